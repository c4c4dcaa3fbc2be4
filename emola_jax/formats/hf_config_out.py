"""What transformers reads besides weights and tokenizer: the JSON files of a folder, as dicts.

Two kinds of folder: `hf` (EmoLA with its own modeling file) and `llava-hf` (plain LLaVA, which has
no place for the prior).
"""

from __future__ import annotations

import dataclasses
import json

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.formats.hf_tokenizer import IMAGE_TOKEN
from emola_jax.generation.sampler import Sampler
from emola_jax.models.config import EmolaConfig, VisionConfig
from emola_jax.models.tokenizer import Tokenizer
from input_pipeline.conversation import Template
from input_pipeline.images import CLIP_MEAN_COLOUR
from input_pipeline.validate import LANDMARK_LIMIT


@dataclasses.dataclass(frozen=True)
class Generation:
    """How answers are written.

    Attributes:
      max_new_tokens: of the longest task.
      sampler: as in evaluation.
    """

    max_new_tokens: int
    sampler: Sampler


DEFAULT_GENERATION = Generation(max_new_tokens=512, sampler=Sampler())


def emola_config(
    model: EmolaConfig, tokenizer: Tokenizer, image_token_id: int, dtype: str
) -> JsonObject:
    """config.json of an `hf` folder.

    Args:
      model: sizes; LoRA is taken as merged.
      tokenizer: names the special ids.
      image_token_id: the placeholder of visual positions.
      dtype: what the weights are loaded as, 'float32', 'bfloat16' or 'float16'.

    Raises:
      UserError: the model has no vision tower.
    """
    prior = model.prior
    return {
        **_shared_config(model, model.llm.vocab, tokenizer, image_token_id, dtype),
        'architectures': ['EmolaForConditionalGeneration'],
        'model_type': 'emola',
        'auto_map': {
            'AutoConfig': 'configuration_emola.EmolaConfig',
            'AutoModelForImageTextToText': 'modeling_emola.EmolaForConditionalGeneration',
            'AutoProcessor': 'processing_emola.EmolaProcessor',
        },
        'image_seq_length': model.visual_tokens,
        'landmark_inputs': prior.inputs if prior.enabled else 0,
        'landmark_hidden': prior.hidden or model.llm.width,
        'landmark_standardize': prior.enabled and prior.standardize,
        'spatial_merge': vision_of(model).spatial_merge,
        'projector_rms': model.projector_rms,
    }


def emola_processor(model: EmolaConfig) -> JsonObject:
    """processor_config.json of an `hf` folder."""
    vision = vision_of(model)
    return {
        'auto_map': {'AutoProcessor': 'processing_emola.EmolaProcessor'},
        'processor_class': 'EmolaProcessor',
        'image_size': vision.image_size,
        'image_mean': list(vision.image_mean),
        'image_std': list(vision.image_std),
        'pad_colour': list(CLIP_MEAN_COLOUR),
        'image_tokens': model.visual_tokens,
        'image_token': IMAGE_TOKEN,
        'landmark_inputs': model.prior.inputs if model.prior.enabled else 0,
        'landmark_limit': LANDMARK_LIMIT,
    }


def llava_config(
    model: EmolaConfig, tokenizer: Tokenizer, image_token_id: int, dtype: str
) -> JsonObject:
    """config.json of a `llava-hf` folder; arguments as of `emola_config`.

    Raises:
      UserError: plain LLaVA cannot express the model.
    """
    check_plain_llava(model)
    return {
        **_shared_config(
            model, padded_vocab(model, image_token_id), tokenizer, image_token_id, dtype
        ),
        'architectures': ['LlavaForConditionalGeneration'],
        'model_type': 'llava',
        'image_seq_length': vision_of(model).tokens,
    }


def llava_processor(model: EmolaConfig) -> dict[str, JsonObject]:
    """File name -> content: the processor's two files of a `llava-hf` folder."""
    vision = vision_of(model)
    side = vision.image_size
    return {
        'processor_config.json': {
            'processor_class': 'LlavaProcessor',
            'image_token': IMAGE_TOKEN,
            'patch_size': vision.patch_size,
            'num_additional_image_tokens': 1,  # CLIP's class token, which 'default' leaves out
            'vision_feature_select_strategy': 'default',
        },
        'preprocessor_config.json': {
            'image_processor_type': 'LlavaImageProcessor',
            'do_convert_rgb': True,
            'do_pad': True,  # to a square, with the mean colour
            'do_resize': True,
            'size': {'shortest_edge': side},
            'resample': 3,  # bicubic
            'do_center_crop': True,
            'crop_size': {'height': side, 'width': side},
            'do_rescale': True,
            'rescale_factor': 1 / 255,
            'do_normalize': True,
            'image_mean': list(vision.image_mean),
            'image_std': list(vision.image_std),
        },
    }


def generation_config(
    tokenizer: Tokenizer, image_token_id: int, generation: Generation
) -> JsonObject:
    """generation_config.json of either kind; an answer never holds the image placeholder."""
    sampler = generation.sampler
    config: JsonObject = {
        **_special_ids(tokenizer),
        'max_new_tokens': generation.max_new_tokens,
        'suppress_tokens': [image_token_id],
        'do_sample': sampler.temperature > 0,
    }
    if sampler.temperature > 0:
        config |= dataclasses.asdict(sampler)
    return config


def chat_template(template: Template) -> str:
    """Jinja that turns one user turn of an image and a text into our prompt.

    The prompt always ends where the answer starts.
    """
    head, tail = template.after_image.split('{instruction}')
    before, after, end = (
        json.dumps(text) for text in (template.before_image + IMAGE_TOKEN, head, tail)
    )
    return (
        "{%- if messages | length != 1 or messages[0].role != 'user' -%}"
        "{{- raise_exception('expected one turn of the user: an image and a question') -}}"
        '{%- endif -%}'
        "{%- set texts = messages[0].content | selectattr('type', 'equalto', 'text') | list -%}"
        "{%- set images = messages[0].content | selectattr('type', 'equalto', 'image') | list -%}"
        '{%- if texts | length != 1 or images | length != 1 -%}'
        "{{- raise_exception('expected one image and one text') -}}"
        '{%- endif -%}'
        f'{{{{- {before} + {after} + (texts[0].text | trim) + {end} -}}}}'
    )


def vision_of(model: EmolaConfig) -> VisionConfig:
    """The vision tower's sizes.

    Raises:
      UserError: there is none.
    """
    if model.vision is None:
        raise UserError(
            'a model of landmarks and text alone cannot be written for transformers; expected one '
            'with model.vision'
        )
    return model.vision


def check_plain_llava(model: EmolaConfig) -> None:
    """Raises UserError, naming the fields, where plain LLaVA cannot express the model."""
    vision = vision_of(model)
    faults = []
    if vision.spatial_merge != 1:
        faults.append(f'vision.spatial_merge {vision.spatial_merge} (expected 1)')
    if model.projector_rms is not None:
        faults.append(f'projector_rms {model.projector_rms} (expected None)')
    if not vision.used_layers:
        faults.append(f'vision.feature_layer {vision.feature_layer} (expected one behind a layer)')
    if faults:
        raise UserError(
            f'plain LLaVA has no {" and no ".join(faults)}; write the hf format instead'
        )


def padded_vocab(model: EmolaConfig, image_token_id: int) -> int:
    """Rows of plain LLaVA's embedding table, which the image placeholder needs a row of."""
    return max(model.llm.vocab, image_token_id + 1)


def _shared_config(
    model: EmolaConfig, vocab: int, tokenizer: Tokenizer, image_token_id: int, dtype: str
) -> JsonObject:
    vision, llm = vision_of(model), model.llm
    return {
        'dtype': dtype,
        'image_token_index': image_token_id,
        'projector_hidden_act': 'gelu',
        'multimodal_projector_bias': True,
        'vision_feature_layer': -1,
        'vision_feature_select_strategy': 'default',
        'tie_word_embeddings': llm.tied_embeddings,
        **_special_ids(tokenizer),
        'text_config': {
            'model_type': 'llama',
            'architectures': ['LlamaForCausalLM'],
            'vocab_size': vocab,
            'hidden_size': llm.width,
            'intermediate_size': llm.mlp,
            'num_hidden_layers': llm.layers,
            'num_attention_heads': llm.heads,
            'num_key_value_heads': llm.kv_heads,
            'head_dim': llm.head_dim,
            'hidden_act': 'silu',
            'rms_norm_eps': llm.norm_eps,
            'rope_theta': llm.rope_theta,
            'max_position_embeddings': 4096,  # LLaVA-1.5's; plain RoPE has no limit of its own
            'tie_word_embeddings': llm.tied_embeddings,
            'dtype': dtype,
            **_special_ids(tokenizer),
        },
        'vision_config': {
            'model_type': 'clip_vision_model',
            'hidden_size': vision.width,
            'intermediate_size': vision.mlp,
            # The layers that the features need, so that the last one's output is theirs.
            'num_hidden_layers': vision.used_layers,
            'num_attention_heads': vision.heads,
            'image_size': vision.image_size,
            'patch_size': vision.patch_size,
            'hidden_act': 'quick_gelu',
            'layer_norm_eps': vision.norm_eps,
            'dtype': dtype,
        },
    }


def _special_ids(tokenizer: Tokenizer) -> dict[str, int | None]:
    return {
        'bos_token_id': tokenizer.bos_id,
        'eos_token_id': tokenizer.eos_id,
        'pad_token_id': tokenizer.pad_id,
    }
