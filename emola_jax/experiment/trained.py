"""A trained model with the settings that its answers need, whatever format it is in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from emola_jax.config.eval import EvalConfig
from emola_jax.config.run import RunConfig
from emola_jax.config.sections import BaseConfig, DataConfig, TrainConfig
from emola_jax.errors import UserError
from emola_jax.experiment import finished_run, sources
from emola_jax.facs import AU_NAMES
from emola_jax.files import checksums
from emola_jax.files.json_values import JsonObject
from emola_jax.files.texts import quoted
from emola_jax.files.whole import read_json
from emola_jax.formats.hf_config_in import TOWER_FIELD
from emola_jax.formats.read_adapter import ADAPTER_CONFIG
from emola_jax.formats.source import Source
from emola_jax.weights import hub
from emola_jax.weights.hub import local_folder
from emola_jax.weights.read_files import KINDS, head, weight_files
from input_pipeline.conversation import TEMPLATES
from input_pipeline.datasets import registry
from input_pipeline.records import TASKS


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a user says of a checkpoint beyond its name.

    Attributes:
      base: the model below an adapter or a run, if not where it names it; a folder or hub id.
      clip: the same of CLIP.
      allow_download: whether to fetch from the hub what the checkpoint itself names.
      dataset: the data set in whose words a foreign checkpoint is asked; FABA-Instruct by default.
      template: its conversation template; by default the one that it names, or LLaVA-1.5's.
      max_new_tokens: of its answers; a run has its own.
      pad_to_square: False cuts pictures that are no squares, as the released script evaluates.
    """

    base: str | None = None
    clip: str | None = None
    allow_download: bool = False
    dataset: str | None = None
    template: str | None = None
    max_new_tokens: int | None = None
    pad_to_square: bool | None = None


DATASET = 'faba_instruct'
MAX_NEW_TOKENS = 512


@dataclasses.dataclass(frozen=True)
class Trained:
    """A checkpoint that was looked at; its weights are read by `read`.

    Attributes:
      folder: where it is.
      asked: what the user said of it.
      config: of the run; of a foreign checkpoint made of its sizes and of `asked`.
      labelled_aus: the action units that its training data has labels of; () if that isn't known.
      identity: what answers depend on: step, base and files.
      kind: of a foreign checkpoint, in words; '' of a run.
    """

    folder: Path
    asked: Asked
    config: RunConfig
    labelled_aus: tuple[int, ...]
    identity: JsonObject
    kind: str = ''

    @property
    def is_run(self) -> bool:
        """Whether it is a run of this project."""
        return not self.kind


def cpu_devices(name: str | Path) -> int:
    """Virtual devices to answer with on a machine without an accelerator; touches none of them.

    Raises:
      UserError: there is no such folder, or it is a run whose config is damaged.
    """
    folder = local_folder(name)
    return run_config(folder).cpu_devices if finished_run.is_run(folder) else 1


def look(name: str | Path, asked: Asked | None = None) -> Trained:
    """Finds out what a checkpoint is before any weight is read.

    Raises:
      UserError: there is none, its files are damaged, or something is given that it states itself.
    """
    asked = asked or Asked()
    folder = local_folder(name)
    if not folder.is_dir():
        raise UserError(f'{folder}: is a file; expected the folder of a run or a checkpoint')
    if finished_run.is_run(folder):
        return _run(folder, asked)
    if not weight_files(folder) and not (folder / ADAPTER_CONFIG).is_file():
        raise UserError(
            f'{folder}: holds no trained run (config.json and checkpoints/), no adapter '
            f'({ADAPTER_CONFIG}) and no model ({" or ".join(pattern for pattern, _ in KINDS)})'
        )
    return _foreign(folder, asked)


def read(trained: Trained, *, with_base: bool = True) -> Source:
    """The weights of what was looked at.

    Raises:
      UserError: see `sources.read`.
    """
    asked = trained.asked
    return sources.read(
        trained.folder,
        base=asked.base,
        clip=asked.clip,
        allow_download=asked.allow_download,
        with_base=with_base,
    )


def _run(folder: Path, asked: Asked) -> Trained:
    for flag in ('dataset', 'template', 'max_new_tokens', 'pad_to_square'):
        if getattr(asked, flag) is not None:
            name = flag.replace('_', '-')
            raise UserError(f'{folder}: is a run, whose config says it; leave --{name} out')
    config = run_config(folder)
    return Trained(folder, asked, config, _labelled_aus(folder), _run_identity(folder))


def run_config(folder: Path) -> RunConfig:
    """The config of a run.

    Raises:
      UserError: it is missing or damaged.
    """
    path = folder / finished_run.RUN_CONFIG
    if not path.is_file():
        raise UserError(f'{folder}: holds no trained run (config.json and checkpoints/)')
    checksums.check_file(path)
    try:
        values = read_json(path)['config']
    except (KeyError, TypeError) as error:
        raise UserError(f'{path}: not what a run writes (has no field {error})') from None
    return RunConfig.of_run(values, str(path))


def identity(folder: Path) -> JsonObject:
    """What answers depend on: step, base and files of a run, or the files of a foreign folder.

    Raises:
      UserError: the run's config is damaged.
    """
    is_run = finished_run.is_run(folder)
    return _run_identity(folder) if is_run else _foreign_identity(folder)


def _run_identity(folder: Path) -> JsonObject:
    """What a run's answers depend on: the newest checkpoint, by step and files, and its base.

    The names of a checkpoint's files are drawn at random as it is written: they tell it from one of
    another training in the same folder, and a copy has them too.

    Raises:
      UserError: the run's config is damaged.
    """
    checkpoints = folder / 'checkpoints'
    steps = [int(path.name) for path in checkpoints.glob('*') if path.name.isdecimal()]
    step = max(steps, default=0)
    newest = checkpoints / str(step)
    files = sorted(
        (str(path.relative_to(newest)), path.stat().st_size)
        for path in newest.rglob('*')
        if path.is_file()
    )
    base = read_json(folder / finished_run.RUN_CONFIG).get('base', {})
    if not isinstance(base, dict):
        raise UserError(f"{folder / finished_run.RUN_CONFIG}: field 'base' is {quoted(base)}")
    return {'step': step, 'base': base.get('fingerprint', ''), 'checkpoint': _digest(files)}


def _labelled_aus(folder: Path) -> tuple[int, ...]:
    """The action units that the training data has labels of; () if the run did not note them.

    Raises:
      UserError: the run's config is damaged.
    """
    path = folder / finished_run.RUN_CONFIG
    found = read_json(path).get('labelled_aus') or []
    known = list(AU_NAMES)  # by ==: what else JSON holds may have no hash
    if not isinstance(found, list) or any(au not in known for au in found):
        expected = 'expected a list of action units'
        raise UserError(f"{path}: field 'labelled_aus' is {quoted(found)}, {expected}")
    return tuple(int(au) for au in found)


def _foreign(folder: Path, asked: Asked) -> Trained:
    source = sources.read(
        folder,
        base=asked.base,
        clip=asked.clip,
        allow_download=asked.allow_download,
        with_base=False,
    )
    dataset = registry.full_name(asked.dataset or DATASET)
    template = asked.template or source.template
    if template not in TEMPLATES:
        raise UserError(f'--template={template}: expected one of {", ".join(sorted(TEMPLATES))}')
    longest = asked.max_new_tokens or MAX_NEW_TOKENS
    config = RunConfig(
        seed=0,
        cpu_devices=1,
        model=source.model,
        base=BaseConfig('llava', llava=asked.base or source.base or str(folder), clip=asked.clip),
        data=DataConfig(
            dataset=dataset,
            train_split='train',
            template=template,
            pad_to_square=asked.pad_to_square is not False,
            length=2048,
            segments=1,
            packing_bins=1,
            landmark_noise=0.0,
            label_weight=1.0,
            on_bad_record='stop',
            processes=1,
            read_threads=1,
        ),
        train=TrainConfig(
            batch_size=1,
            loss_chunk=256,
            unroll=False,
            accumulate=1,
            log_every=1,
            checkpoint_every=1,
            keep_checkpoints=1,
            steps=1,
        ),
        eval=EvalConfig(split='eval', batch_size=8, max_new_tokens=dict.fromkeys(TASKS, longest)),
    )
    tower = source.foreign.get(TOWER_FIELD)
    stands_on = (asked.base or source.base, asked.clip or tower)
    identity = _foreign_identity(folder, *stands_on)
    return Trained(folder, asked, config, (), identity, source.kind)


def _foreign_identity(folder: Path, *below: str | None) -> JsonObject:
    """What the answers of a foreign folder depend on: its files of weights, and those below it.

    Args:
      folder: of the checkpoint.
      below: names of the models that it stands on; what is not here yet is known by its name.
    """
    stands_on = [
        _heads(Path(name).expanduser()) if hub.is_there(name) else name
        for name in below
        if name is not None
    ]
    base = _digest(stands_on) if stands_on else ''
    return {'step': 0, 'base': base, 'checkpoint': _digest(_heads(folder))}


def _heads(folder: Path) -> list[tuple[str, str]]:
    found = {*weight_files(folder), *folder.glob('*.bin'), *folder.glob('*.safetensors')}
    return [(path.name, head(path)) for path in sorted(found) if path.is_file()]


def _digest(files: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def describe(trained: Trained) -> list[str]:
    """What is taken for granted of a foreign checkpoint: one line each; none of a run."""
    if trained.is_run:
        return []
    data, model = trained.config.data, trained.config.model
    title = registry.find(data.dataset).DATA_SET.title if data.dataset != registry.RENDERED else ''
    lines = [
        f'{trained.folder}: {trained.kind}',
        f'  asked in the words of {title or data.dataset} (--dataset), in the template '
        f'{data.template} (--template)',
    ]
    if not model.prior.enabled:
        lines.append('  without a facial prior: answers from the picture alone')
    return lines
