"""Everything in a folder for transformers but its weights.

hf        EmoLA with its own modeling file, prior token included
llava-hf  plain LLaVA, without the prior
"""

from __future__ import annotations

import shutil
from pathlib import Path

from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import write_json, write_text
from emola_jax.formats import hf_config_out
from emola_jax.formats.hf_config_in import CONFIG_FILE, TEMPLATE_FIELD
from emola_jax.formats.hf_config_out import DEFAULT_GENERATION, Generation
from emola_jax.formats.hf_tokenizer import image_token_id, tokenizer_files
from emola_jax.models.config import EmolaConfig
from emola_jax.models.tokenizer import Tokenizer
from input_pipeline.conversation import TEMPLATES

KINDS = ('hf', 'llava-hf')

MODULES = ('configuration_emola', 'modeling_emola', 'processing_emola')
"""Files of `hf_files/` that an `hf` folder carries: the code that transformers runs."""

_HF_FILES = Path(__file__).parent / 'hf_files'


def write_files(
    folder: Path,
    kind: str,
    model: EmolaConfig,
    tokenizer: Tokenizer,
    template: str,
    *,
    dtype: str,
    card: str,
    generation: Generation = DEFAULT_GENERATION,
) -> None:
    """Writes every file but the weights; the config, without which nothing loads, comes last.

    Args:
      folder: an open folder that isn't under its final name yet.
      kind: one of `KINDS`.
      model: sizes; LoRA is taken as merged.
      tokenizer: of the language model.
      template: name of the conversation template.
      dtype: what transformers is to load the weights as.
      card: README.md.
      generation: how answers are written by default.

    Raises:
      UserError: the kind cannot express the model.
    """
    image, words = image_token_id(tokenizer), TEMPLATES[template]
    if kind == 'hf':
        config = hf_config_out.emola_config(model, tokenizer, image, dtype)
        processor = {'processor_config.json': hf_config_out.emola_processor(model)}
        for name in MODULES:
            shutil.copyfile(_HF_FILES / f'{name}.py', folder / f'{name}.py')
    else:
        config = hf_config_out.llava_config(model, tokenizer, image, dtype)
        processor = hf_config_out.llava_processor(model)
    contents: JsonObject = {
        **tokenizer_files(tokenizer, starts_with_bos=words.starts_with_bos),
        **processor,
        'generation_config.json': hf_config_out.generation_config(tokenizer, image, generation),
    }
    for name, content in contents.items():
        write_json(folder / name, content)
    write_text(folder / 'chat_template.jinja', hf_config_out.chat_template(words))
    write_text(folder / 'README.md', card)
    write_json(folder / CONFIG_FILE, {**config, TEMPLATE_FIELD: template})
