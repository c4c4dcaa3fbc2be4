"""The format `peft`: an adapter that PEFT loads on a llava-hf model, with the projectors."""

from __future__ import annotations

from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.whole import write_json, write_text
from emola_jax.formats import read_adapter
from emola_jax.formats.layouts import EMOLA_HF, LLAVA_HF_MODULES
from emola_jax.formats.model_card import facts_of, model_card
from emola_jax.formats.read_folder import MODEL_FILE, PROJECTORS_FILE
from emola_jax.formats.source import Source, check_priors, trained
from emola_jax.formats.write import Options, copy_tokenizer, write_safetensors
from emola_jax.formats.write_emola import reasons, stored_dtype
from emola_jax.models.config import LORA_TARGETS, EmolaConfig
from emola_jax.weights import rules

_USE = """\
`PeftModel.from_pretrained(model, folder)` puts this LoRA adapter on the language model of LLaVA-1.5
in transformers. What else was trained is in `{file}`, which PEFT does not load:
`model.multi_modal_projector.*` replace the base's tensors of these names{prior}.
"""

_PRIOR = """, and
`model.landmark_projector` (Linear, GELU, Linear) maps {inputs} landmark numbers to one embedding,
which stands behind the patches of the image"""


def check(source: Source) -> None:
    """Raises UserError where an adapter on plain LLaVA cannot express the model."""
    check_priors(source.model, 'peft')
    if faults := reasons(source.model):
        raise UserError(
            f'--to=peft cannot express this model, which {" and ".join(faults)}; use --to=hf'
        )


def write(source: Source, folder: Path, options: Options) -> None:
    """Fills the folder; the adapter's config, without which nothing loads it, comes last."""
    lora, projectors = trained(source)
    for file, table, params in (
        ('adapter_model.safetensors', LLAVA_HF_MODULES.lora_rules, lora),
        (PROJECTORS_FILE, EMOLA_HF.rules, projectors),
    ):
        tensors = options.cast(rules.to_theirs(table, params))
        whole = sum(tensor.nbytes for tensor in tensors.values())  # PEFT knows no shards
        stem = file.removesuffix('.safetensors')
        write_safetensors(
            folder, tensors, max_shard_size=whole, stem=stem, progress=options.progress
        )
    copy_tokenizer(source, folder)
    facts = facts_of('peft', source, options.dtype or stored_dtype(lora))
    write_text(folder / 'README.md', model_card(facts, _use(source.model)))
    write_json(
        folder / MODEL_FILE,
        {
            'model': source.model.replace(scan=True).to_dict(),
            'template': source.template,
            'foreign': dict(source.foreign),
        },
    )
    write_json(
        folder / read_adapter.ADAPTER_CONFIG,
        {
            **read_adapter.peft_config(source.model, options.base or source.base),
            'target_modules': target_pattern(source.model),
        },
    )


def target_pattern(model: EmolaConfig) -> str:
    """What PEFT adapts: by name alone it would adapt the vision tower's q, k and v too."""
    assert model.lora is not None
    names = '|'.join(f'{name}_proj' for name in LORA_TARGETS if name in model.lora.targets)
    return rf'.*language_model\..*layers\.\d+\.(?:self_attn|mlp)\.(?:{names})'


def _use(model: EmolaConfig) -> str:
    prior = _PRIOR.format(inputs=model.prior.inputs) if model.prior.enabled else ''
    return _USE.format(file=PROJECTORS_FILE, prior=prior)
