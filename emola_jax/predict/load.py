"""From a run's folder to a `Predictor`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from emola_jax.config.run import RunConfig
from emola_jax.convert.source import Source
from emola_jax.errors import UserError
from emola_jax.experiment import finished_run, splits, state
from emola_jax.experts.finder import FaceFinder
from emola_jax.facs import AU_NAMES
from emola_jax.files import checksums
from emola_jax.files.texts import quoted
from emola_jax.files.whole import read_json
from emola_jax.models.emola import Emola, Params, abstract_params, unroll
from emola_jax.models.lora import merge_lora
from emola_jax.parallel import sharding
from emola_jax.predict import answer_forms, calibration
from emola_jax.predict.model import Predictor
from emola_jax.weights import lazy
from input_pipeline.conversation import TEMPLATES
from input_pipeline.pipeline import Encoder

BATCH = 8


def load(
    workdir: str | Path,
    *,
    batch: int = BATCH,
    base: str | None = None,
    clip: str | None = None,
    finder: FaceFinder | None = None,
) -> Predictor:
    """Loads the newest checkpoint of a run, with its calibration if `calibrate` was run.

    Args:
      workdir: the run's folder.
      batch: faces at a time.
      base: where LLaVA's weights are now, if not where they were (for bases of kind 'llava').
      clip: the same of CLIP.
      finder: of faces; by default one with the pinned weights.

    Raises:
      UserError: there is no trained run, or something that it needs is missing.
    """
    workdir = Path(workdir)
    config = read_config(workdir)
    source = finished_run.read_run(workdir, base=base, clip=clip)
    if source.model.shuffles_landmarks:
        raise UserError(
            f"{workdir}: model.prior.source is 'shuffled', a control: it learnt the landmarks "
            'of other faces; expected a run that looks at the face it answers for'
        )
    if source.load_tokenizer is None:
        raise UserError(f'{workdir}: has no tokenizer')
    # The paper's base is split over the devices; a small one lies on each of them whole.
    mesh = sharding.make_mesh({'fsdp' if config.base.kind == 'llava' else 'data': -1})
    model, params = merge_lora(Emola(source.model), _place(source, mesh))
    params = sharding.one_copy(params)
    if config.eval.unroll:
        model, params = unroll(model, params)
    tokenizer = source.load_tokenizer()
    settings = splits.pipeline_config(config, source.model)
    devices = jax.device_count()
    return Predictor(
        model=model,
        params=params,
        mesh=mesh,
        tokenizer=tokenizer,
        encoder=Encoder(
            dataclasses.replace(settings, landmark_noise=0.0),
            tokenizer,
            TEMPLATES[config.data.template],
        ),
        form=answer_forms.of_config(config),
        codes=answer_forms.known_aus(config, _labelled_aus(workdir)),
        max_new_tokens=dict(config.eval.max_new_tokens),
        finder=finder or FaceFinder.load(),
        calibration=calibration.load(workdir, identity(workdir)) or calibration.UNCALIBRATED,
        batch=-(-batch // devices) * devices,
    )


def read_config(workdir: Path) -> RunConfig:
    """The config of a run.

    Raises:
      UserError: the folder holds no trained run, or its config is damaged.
    """
    path = workdir / finished_run.RUN_CONFIG
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f'{workdir}: is a file; expected the folder of a run')
    if not workdir.is_dir():
        raise UserError(f'{workdir}: no such folder; expected a run, made by emola_jax.main')
    if not path.is_file() or not finished_run.is_run(workdir):
        raise UserError(f'{workdir}: holds no trained run (config.json and checkpoints/)')
    checksums.check_file(path)
    try:
        values = read_json(path)['config']
    except (KeyError, TypeError) as error:
        raise UserError(f'{path}: not what a run writes (has no field {error})') from None
    config = RunConfig.of_run(values, str(path))
    answer_forms.of_config(config)
    return config


def identity(workdir: Path) -> dict[str, Any]:
    """What answers depend on: the newest checkpoint, by its step, its files and its base weights.

    The names of a checkpoint's files are drawn at random as it is written: they tell it from one of
    another training in the same folder, and a copy has them too.

    Raises:
      UserError: the run's config is damaged.
    """
    folder = workdir / 'checkpoints'
    steps = [int(path.name) for path in folder.glob('*') if path.name.isdecimal()]
    step = max(steps, default=0)
    newest = folder / str(step)
    files = sorted(
        (str(path.relative_to(newest)), path.stat().st_size)
        for path in newest.rglob('*')
        if path.is_file()
    )
    base = read_json(workdir / finished_run.RUN_CONFIG).get('base', {})
    if not isinstance(base, dict):
        raise UserError(f"{workdir / finished_run.RUN_CONFIG}: field 'base' is {quoted(base)}")
    return {
        'step': step,
        'base': base.get('fingerprint', ''),
        'checkpoint': hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16],
    }


def _labelled_aus(workdir: Path) -> list[int]:
    """The action units that the training data has labels of; [] if the run did not note them.

    Raises:
      UserError: the run's config is damaged.
    """
    path = workdir / finished_run.RUN_CONFIG
    found = read_json(path).get('labelled_aus') or []
    known = list(AU_NAMES)  # by ==: what else JSON holds may have no hash
    if not isinstance(found, list) or any(au not in known for au in found):
        expected = 'expected a list of action units'
        raise UserError(f"{path}: field 'labelled_aus' is {quoted(found)}, {expected}")
    return [int(au) for au in found]


def _place(source: Source, mesh: jax.sharding.Mesh) -> Params:
    boxed = abstract_params(source.model)
    shapes = flatten_dict(sharding.unbox(boxed))
    shardings = flatten_dict(sharding.param_shardings(boxed, mesh))
    return unflatten_dict(
        {
            path: lazy.place(
                leaf,
                np.float32 if state.group_of(path) else shapes[path].dtype,
                shardings[path],
            )
            for path, leaf in source.params.items()
        }
    )
