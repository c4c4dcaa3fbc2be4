"""The format `emola`: the files that the released code saves, and loads on its LLaVA-1.5."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import write_json, write_text
from emola_jax.formats import read_adapter
from emola_jax.formats.hf_config_in import CONFIG_FILE, TEMPLATE_FIELD, TOWER_FIELD
from emola_jax.formats.layouts import LLAVA, PEFT_PREFIX, PRIOR
from emola_jax.formats.model_card import facts_of, model_card
from emola_jax.formats.source import PAPERS_TEMPLATE, Source, check_priors, trained
from emola_jax.formats.write import Options, copy_tokenizer, write_pytorch
from emola_jax.models.config import EmolaConfig
from emola_jax.weights import rules
from emola_jax.weights.lazy import Lazy

# What the released code saves besides what follows from the model; LLaVA-1.5's values.
_CONSTANT: JsonObject = {
    'architectures': ['LlavaLlamaForCausalLM'],
    'bos_token_id': 1,
    'eos_token_id': 2,
    'pad_token_id': 0,
    'freeze_mm_mlp_adapter': False,
    'image_aspect_ratio': 'pad',
    'initializer_range': 0.02,
    'max_length': 4096,
    'max_position_embeddings': 4096,
    TOWER_FIELD: 'openai/clip-vit-large-patch14-336',
    'mm_projector_lr': 2e-5,
    'pretraining_tp': 1,
    'tokenizer_model_max_length': 2048,
    'tokenizer_padding_side': 'right',
    'torch_dtype': 'float32',
    'transformers_version': '4.31.0',
    'tune_mm_mlp_adapter': False,
    'use_cache': True,
    'use_mm_proj': True,
}


def check(source: Source) -> None:
    """Raises UserError where the released code cannot express the model."""
    check_priors(source.model, 'emola')
    faults = reasons(source.model) + _older_llama(source.model)
    if not source.model.prior.enabled:
        faults.append('has no prior token')
    if source.template != PAPERS_TEMPLATE:
        faults.append(f"was trained with the template '{source.template}'")
    if faults:
        raise UserError(
            f'--to=emola cannot express this model, which {" and ".join(faults)}; use --to=hf'
        )


def reasons(model: EmolaConfig) -> list[str]:
    """What of the model an adapter on LLaVA-1.5 has no place for."""
    if model.vision is None:
        return ['has no vision tower']
    found = []
    if model.lora is None:
        found.append('has no LoRA adapter')
    if model.vision.spatial_merge != 1:
        found.append(f'merges {model.vision.spatial_merge} x {model.vision.spatial_merge} patches')
    if model.projector_rms is not None:
        found.append(f'rescales its visual tokens (projector_rms {model.projector_rms})')
    if model.prior.enabled and model.prior.standardize:
        found.append('standardizes its landmarks')
    if model.prior.enabled and model.prior.hidden not in (None, model.llm.width):
        found.append(f'has a landmark projector of hidden width {model.prior.hidden}')
    return found


def _older_llama(model: EmolaConfig) -> list[str]:
    """The released code runs on transformers 4.31, whose LLaMA lacks some fields."""
    found = []
    if model.llm.rope_theta != 10000.0:
        found.append(f'has the RoPE base {model.llm.rope_theta:g}')
    if model.llm.head_dim * model.llm.heads != model.llm.width:
        found.append(f'has heads of {model.llm.head_dim} numbers')
    return found


def write(source: Source, folder: Path, options: Options) -> None:
    """Fills the folder; the configs, without which nothing loads it, come last."""
    lora, others = trained(source)
    prior = {path: value for path, value in others.items() if path[0] == PRIOR}
    plain = rules.prefixed(LLAVA.rules, PEFT_PREFIX)
    for name, table, params in (
        ('adapter_model.bin', LLAVA.lora_rules, lora),
        (read_adapter.NON_LORA_FILE, plain, others),
        (read_adapter.LANDMARK_FILE, plain, prior),
    ):
        tensors = options.cast(rules.to_theirs(table, params))
        write_pytorch(folder / name, tensors, options.progress)
    copy_tokenizer(source, folder)
    facts = facts_of('emola', source, options.dtype or stored_dtype(lora))
    write_text(folder / 'README.md', model_card(facts))
    write_json(folder / CONFIG_FILE, config(source, options.base or source.base))
    write_json(
        folder / read_adapter.ADAPTER_CONFIG,
        read_adapter.peft_config(source.model, options.base or source.base),
    )


def stored_dtype(params: Mapping[rules.Path, Lazy]) -> str:
    """The type that these tensors are stored in."""
    return ', '.join(sorted({tensor.dtype.name for tensor in params.values()}))


def config(source: Source, base: str | None) -> JsonObject:
    """config.json: what follows from the model over what the source's own says over constants."""
    model = source.model
    assert model.vision is not None
    llm = model.llm
    return {
        **_CONSTANT,
        **source.foreign,
        '_name_or_path': base,
        'hidden_act': 'silu',
        'hidden_size': llm.width,
        'intermediate_size': llm.mlp,
        'landmark_feature_hidden_size': model.prior.inputs,
        'mm_hidden_size': model.vision.width,
        'mm_projector_type': 'mlp2x_gelu',
        'mm_use_im_patch_token': False,
        'mm_use_im_start_end': False,
        'mm_vision_select_feature': 'patch',
        'mm_vision_select_layer': model.vision.feature_layer,
        'model_type': 'emollava',
        'num_attention_heads': llm.heads,
        'num_hidden_layers': llm.layers,
        'num_key_value_heads': llm.kv_heads,
        'rms_norm_eps': llm.norm_eps,
        'rope_scaling': None,
        'tie_word_embeddings': llm.tied_embeddings,
        'vocab_size': llm.vocab,
        TEMPLATE_FIELD: source.template,
    }
