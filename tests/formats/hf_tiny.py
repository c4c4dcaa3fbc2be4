"""Tiny random models, what they read, and what transformers makes of the folders they become."""

import dataclasses
import io
from pathlib import Path

import jax
import numpy as np
import torch
from flax.traverse_util import flatten_dict
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from emola_jax.files.whole import atomic_folder
from emola_jax.formats import write_hf
from emola_jax.formats.source import Source
from emola_jax.formats.write import Options
from emola_jax.models.config import (
    EmolaConfig,
    LlamaConfig,
    LoraConfig,
    PriorConfig,
    VisionConfig,
)
from emola_jax.models.emola import Emola
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.weights import lazy
from input_pipeline.conversation import TEMPLATES, prompt_tokens
from input_pipeline.images import square_pixels
from tests.models.tiny import pad_left, random_params, run

TOKENIZER = Tokenizer.byte_level()
VISION = VisionConfig(image_size=28, patch_size=7, width=16, layers=3, heads=2, mlp=32)
LLM = LlamaConfig(
    vocab=TOKENIZER.vocab,
    width=32,
    layers=2,
    heads=4,
    kv_heads=4,
    head_dim=8,
    mlp=48,
    rope_theta=5000.0,
)
PLAIN = EmolaConfig(vision=VISION, llm=LLM, lora=LoraConfig(rank=4, alpha=8.0, dropout=0.0))
QUESTIONS = ('What emotion does this face show?', 'Why?')


@dataclasses.dataclass(frozen=True)
class Case:
    """A model and the template that it is asked with."""

    model: EmolaConfig
    template: str = 'vicuna_v1'


def _llm(**changes):
    return dataclasses.replace(LLM, **changes)


_MERGED = dataclasses.replace(VISION, spatial_merge=2)
CASES = {
    'plain': Case(PLAIN),
    # A vocabulary with room for the placeholder, and every option at once.
    'all': Case(
        PLAIN.replace(
            vision=_MERGED,
            llm=_llm(kv_heads=2, tied_embeddings=True, vocab=TOKENIZER.vocab + 5),
            prior=PriorConfig(standardize=True, hidden=24),
            projector_rms=0.3,
            scan=False,
        ),
        'chatml',
    ),
    'grouped, unrolled': Case(
        PLAIN.replace(llm=_llm(kv_heads=2), prior=PriorConfig(standardize=True), scan=False)
    ),
    'tied, merged': Case(PLAIN.replace(vision=_MERGED, llm=_llm(tied_embeddings=True)), 'chatml'),
    'no prior': Case(PLAIN.replace(prior=PriorConfig(enabled=False))),
}


@dataclasses.dataclass(frozen=True)
class Written:
    """A model of ours (LoRA not merged) and the folder that it became."""

    case: Case
    folder: Path
    params: dict

    @property
    def model(self):
        return Emola(self.case.model)

    def load(self, dtype=torch.float32):
        """(transformers' model, what it says of the keys)."""
        return AutoModelForImageTextToText.from_pretrained(
            self.folder, trust_remote_code=True, output_loading_info=True, dtype=dtype
        )

    def processor(self):
        return AutoProcessor.from_pretrained(self.folder, trust_remote_code=True)


def lively_params(model):
    """Random parameters whose greedy answers go on changing: the layers outweigh the embeddings."""

    def livelier(path, leaf):
        name = path[-1].key
        return 2 * leaf if name == 'kernel' else 1 + leaf if name == 'scale' else leaf

    params = random_params(model, seed=2)
    llm = params['llm']
    llm['layers'] = jax.tree_util.tree_map_with_path(livelier, llm['layers'])
    if model.llm.tied_embeddings:
        llm['embed'] *= 0.3  # else a token is the likeliest to follow itself
    return params


def source(case, params):
    """The model as the writers take it, LoRA not merged."""
    return Source(
        Path('nowhere'),
        'a model of the tests',
        case.model,
        {path: lazy.of_array(array) for path, array in flatten_dict(params).items()},
        template=case.template,
        load_tokenizer=lambda: TOKENIZER,
    )


def write(folder, case, kind='hf', dtype=None, params=None):
    params = lively_params(case.model) if params is None else params
    found = source(case, params)
    write_hf.check(kind, found)
    with atomic_folder(folder) as partial:
        write_hf.write(kind, found, partial, Options(dtype))
    return Written(case, folder, params)


def pictures():
    """Two faces of noise: one wide, one tall."""
    rng = np.random.default_rng(3)
    shapes = ((6, 9, 3), (8, 5, 3))
    small = [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for shape in shapes]
    return [picture.resize((5 * picture.width, 5 * picture.height)) for picture in small]


def encoded(picture):
    file = io.BytesIO()
    picture.save(file, 'png')
    return file.getvalue()


def landmarks():
    return np.random.default_rng(4).uniform(-1, 1, (2, 212)).astype(np.float32)


def our_prompts(case):
    """Our batch of both prompts, padded on the left."""
    cfg = case.model
    rows = []
    for question, picture, points in zip(QUESTIONS, pictures(), landmarks(), strict=True):
        tokens = prompt_tokens(TOKENIZER, TEMPLATES[case.template], question, cfg.visual_tokens)
        pixels = square_pixels(encoded(picture), size=cfg.vision.image_size, name='')
        row = {
            'tokens': np.asarray([tokens], np.int32),
            'positions': np.arange(len(tokens), dtype=np.int32)[None],
            'segment_ids': np.ones((1, len(tokens)), np.int32),
            'images': pixels[None, None],
        }
        if cfg.prior.enabled:
            row['landmarks'] = points[None, None]
        rows.append(row)
    return pad_left(rows)


def real(rows, mask):
    """Each row at its real positions."""
    return [row[here] for row, here in zip(np.asarray(rows), np.asarray(mask) != 0, strict=True)]


def our_logits(model, params, batch):
    return real(run(model, params, batch), batch['segment_ids'])


def chat(question):
    return [{'role': 'user', 'content': [{'type': 'image'}, {'type': 'text', 'text': question}]}]


def their_prompts(processor, with_landmarks=True):
    """The same through a processor: one prompt each, and a padded batch."""
    texts = [processor.apply_chat_template(chat(q), add_generation_prompt=True) for q in QUESTIONS]

    def inputs(chosen):
        extra = {'landmarks': landmarks()[chosen]} if with_landmarks else {}
        return processor(
            images=pictures()[chosen],
            text=texts[chosen],
            padding=True,
            return_tensors='pt',
            **extra,
        )

    return [inputs(slice(i, i + 1)) for i in range(len(texts))], inputs(slice(None))


@torch.inference_mode()
def their_logits(net, inputs):
    """Logits of each row at its real positions."""
    return real(net(**inputs).logits.float(), inputs['attention_mask'])
