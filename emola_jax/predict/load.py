"""From a checkpoint of any kind to a `Predictor`."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import jax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh

from emola_jax.config.quantize import quantization
from emola_jax.errors import UserError
from emola_jax.experiment import base as bases
from emola_jax.experiment import splits, trained
from emola_jax.experiment.trained import Asked, Trained
from emola_jax.experts.finder import Finder
from emola_jax.experts.registry import load_finder
from emola_jax.formats.source import Source, merged
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import Emola, Params, unroll
from emola_jax.models.lora import merge_lora
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.parallel import sharding
from emola_jax.predict import answer_forms, calibration
from emola_jax.predict.model import Predictor
from input_pipeline.conversation import TEMPLATES
from input_pipeline.pipeline import Encoder

BATCH = 8


def load(
    checkpoint: str | Path | Trained,
    *,
    batch: int = BATCH,
    base: str | None = None,
    clip: str | None = None,
    finder: Finder | None = None,
    quantize: str | None = None,
    asked: Asked | None = None,
) -> Predictor:
    """Loads a checkpoint, with its calibration if `calibrate` was run.

    Args:
      checkpoint: a run, EmoLA as released, an adapter of PEFT, LLaVA-1.5 or a merged EmoLA: a
        folder, an id of the Hugging Face hub, or what `trained.look` found there.
      batch: faces at a time.
      base: where LLaVA's weights are, if not where the checkpoint names them.
      clip: the same of CLIP.
      finder: of faces; by default one with the pinned weights.
      quantize: a name of `config.quantize.PRESETS`: how all matrices are stored, the adapter
        merged into them.
      asked: what else the user says of the checkpoint; `base` and `clip` go before its own.

    Raises:
      UserError: there is no whole checkpoint, or something that it needs is missing.
    """
    if not isinstance(checkpoint, Trained):
        asked = asked or Asked()
        asked = dataclasses.replace(asked, base=base or asked.base, clip=clip or asked.clip)
        checkpoint = trained.look(checkpoint, asked)
    config = checkpoint.config
    source = trained.read(checkpoint)
    if source.model.shuffles_landmarks:
        raise UserError(
            f"{checkpoint.folder}: model.prior.source is 'shuffled', a control: it learnt the "
            'landmarks of other faces; expected a run that looks at the face it answers for'
        )
    if source.load_tokenizer is None:
        raise UserError(f'{checkpoint.folder}: has no tokenizer, nor has its base')
    mesh = _mesh(source.model, split=config.base.kind == 'llava')
    model, params = _place(_computed_here(source, checkpoint), mesh, quantize)
    if config.eval.unroll:
        model, params = unroll(model, params)
    tokenizer = source.load_tokenizer()
    devices = jax.device_count()
    return Predictor(
        model=model,
        params=params,
        mesh=mesh,
        tokenizer=tokenizer,
        encoder=_encoder(checkpoint, source.model, tokenizer),
        form=answer_forms.of_config(config),
        codes=answer_forms.known_aus(config, checkpoint.labelled_aus),
        max_new_tokens=dict(config.eval.max_new_tokens),
        finder=finder or load_finder(),
        calibration=calibration.load(checkpoint.folder, checkpoint.identity)
        or calibration.UNCALIBRATED,
        batch=-(-batch // devices) * devices,
    )


def _mesh(model: EmolaConfig, *, split: bool) -> Mesh:
    """All devices: they share the parameters of the paper's base, and hold a small one whole.

    So they do where they do not divide the sizes of a model.
    """
    if split:
        mesh = sharding.make_mesh({'fsdp': -1})
        with contextlib.suppress(UserError):
            bases.whole_shapes_on(model, mesh)
            return mesh
    return sharding.make_mesh({'data': -1})


def _encoder(checkpoint: Trained, model: EmolaConfig, tokenizer: Tokenizer) -> Encoder:
    """Prompts, pixels and landmarks as in training, without noise."""
    config = checkpoint.config
    settings = dataclasses.replace(splits.pipeline_config(config, model), landmark_noise=0.0)
    return Encoder(settings, tokenizer, TEMPLATES[config.data.template])


def _computed_here(source: Source, checkpoint: Trained) -> Source:
    """A foreign checkpoint in half precision is computed in it where that is fast."""
    stored = source.model.param_dtype
    if checkpoint.is_run or stored == 'float32' or jax.default_backend() == 'cpu':
        return source
    return dataclasses.replace(source, model=source.model.replace(dtype=stored))


def _place(source: Source, mesh: Mesh, quantize: str | None) -> tuple[Emola, Params]:
    """The model without an adapter, and its parameters on the mesh."""
    if quantize is not None:
        # Merged and quantised layer by layer: nothing is ever held in full.
        whole = merged(source)
        cfg = whole.model.replace(quantize=quantization(quantize))
        return Emola(cfg), _placed(whole, cfg, mesh)
    model, params = merge_lora(Emola(source.model), _placed(source, source.model, mesh))
    return model, sharding.one_copy(params)


def _placed(source: Source, model: EmolaConfig, mesh: Mesh) -> Params:
    shapes = flatten_dict(bases.whole_shapes_on(model, mesh))
    return unflatten_dict(
        {path: bases.place_leaf(path, leaf, shapes[path]) for path, leaf in source.params.items()}
    )
