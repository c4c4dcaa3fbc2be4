"""A run of this project as something to convert: its newest checkpoint on the base it names."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

from flax.traverse_util import flatten_dict

from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import base as bases
from emola_jax.experiment import checkpoint, splits, state
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import read_json
from emola_jax.formats import hf_config_in
from emola_jax.formats.foreign_code import without_code
from emola_jax.formats.read_folder import vocabulary_faults
from emola_jax.formats.source import Source, refuse
from emola_jax.models import tokenizer_files
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import param_shapes
from emola_jax.weights import hub, lazy
from emola_jax.weights.lazy import Lazy
from emola_jax.weights.rules import Path as ParamPath

RUN_CONFIG = 'config.json'


def is_run(folder: Path) -> bool:
    """Whether `folder` is a run's workdir."""
    return (folder / 'checkpoints').is_dir()


def read_run(
    workdir: Path, *, base: str | None = None, clip: str | None = None, with_base: bool = True
) -> Source:
    """Reads the newest checkpoint; sizes, rank, template and base are those of the checkpoint.

    Args:
      workdir: the run's folder.
      base: where the base is now, if not where it was (for bases of kind 'llava').
      clip: the same of CLIP.
      with_base: False reads what was trained, without the weights below it.

    Raises:
      UserError: no complete checkpoint, another base than it was trained on, or parameters that
        don't fit the model (lists them).
    """
    newest, metadata, trainable = checkpoint.read_trainable(workdir)
    config = RunConfig.of_run(metadata['config'], str(newest / 'metadata'))
    if config.base.kind == 'llava':
        config = _with_base(config, llava=base, clip=clip)
    # The output is on the original weights, however the run stored them.
    model = config.model.replace(quantize=None)
    params = {
        path: lazy.of_array(leaf, str(newest)) for path, leaf in flatten_dict(trainable).items()
    }
    if with_base:
        params = _base(config, model, metadata['base']['fingerprint']) | params
    folder = bases.llava_folders(config.base)[0] if config.base.kind == 'llava' else None
    has_tokenizer = folder is not None and tokenizer_files.is_there(folder)
    faults = _faults(model, params, with_base=with_base)
    if has_tokenizer and folder is not None:
        faults += vocabulary_faults(folder, model.llm.vocab)
    refuse(faults, f'{newest}: does not fit the model that its config describes')
    return Source(
        workdir,
        f'run of this project, step {newest.name}',
        model,
        params,
        template=config.data.template,
        base=None if folder is None else str(config.base.llava),
        tokenizer=folder if has_tokenizer else None,
        load_tokenizer=functools.partial(bases.load_tokenizer, config.base),
        foreign=_foreign(config, folder),
    )


def _with_base(config: RunConfig, *, llava: str | None, clip: str | None) -> RunConfig:
    """The config with its base at the path that the user gives."""
    base = dataclasses.replace(
        config.base,
        llava=config.base.llava if llava is None else hub.asked(llava),
        clip=config.base.clip if clip is None else hub.asked(clip),
    )
    return dataclasses.replace(config, base=base)


def _base(config: RunConfig, model: EmolaConfig, fingerprint: str) -> dict[ParamPath, Lazy]:
    if missing := bases.missing(config.base):
        raise UserError('files of the base are missing:\n  ' + '\n  '.join(missing))
    bases.check(config.base, model)
    tokenizer = bases.load_tokenizer(config.base)
    if config.base.kind == 'embedded':
        # The small tower is known by the data that it was trained on; only that name is needed,
        # unless the tower has to be made again.
        with tempfile.TemporaryDirectory() as folder:
            faces = splits.load(config, model, tokenizer, Path(folder), checked=False)
        found = bases.load(config, model, faces, tokenizer)
    else:
        found = bases.load(config, model, None, tokenizer)
    if found.fingerprint != fingerprint:
        raise UserError(
            f'the run was trained on base weights {fingerprint}, but what its config names '
            f'({found.description}) is {found.fingerprint}'
        )
    return {
        path: lazy.of_array(leaf, found.description)
        for path, leaf in flatten_dict(found.params).items()
    }


def _faults(model: EmolaConfig, params: dict[ParamPath, Lazy], *, with_base: bool) -> list[str]:
    shapes = param_shapes(model)
    wanted = shapes if with_base else [path for path in shapes if state.group_of(path)]
    faults = [f'{"/".join(path)}: missing' for path in wanted if path not in params]
    for path, value in params.items():
        name = '/'.join(path)
        if path not in shapes:
            faults.append(f'{name}: the model has no such parameter')
        elif value.shape != shapes[path].shape:
            faults.append(f'{name}: has shape {value.shape}, expected {shapes[path].shape}')
    return faults


def _foreign(config: RunConfig, folder: Path | None) -> JsonObject:
    """The base's config.json if it is in LLaVA's own layout, with CLIP's path."""
    if folder is None:
        return {}
    path = folder / hf_config_in.CONFIG_FILE
    values = read_json(path) if path.is_file() else {}
    if 'text_config' in values:
        values = {}
    return without_code({hf_config_in.TOWER_FIELD: config.base.clip, **values})
