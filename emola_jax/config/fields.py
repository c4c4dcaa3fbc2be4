"""What every field of a config may hold: the whole list, by dotted name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from emola_jax.config.eval import CHECKPOINTS
from emola_jax.experts.landmark_cache import CHOICES as LANDMARKS
from emola_jax.models.config import DTYPES, PRIOR_PLACES, PRIOR_SOURCES, REMAT_POLICIES
from input_pipeline.conversation import TEMPLATES
from input_pipeline.datasets import registry
from input_pipeline.datasets.folds import FOLDS
from input_pipeline.records import TASKS
from input_pipeline.selection import POLICIES

LAST_BATCH = ('keep', 'run_on')
"""An epoch ends with a batch of what is left; or batches run on into the next epoch."""

MOST_TOKENS = 1 << 28
"""Of one batch: 512 times the largest that docs/pods.md plans."""

_SEEDS = 2**32 - 1
_LARGEST = 2**31 - 1
"""Of counts and sizes, which are int32 in a compiled program."""
_PROCESSES = 1024
"""Most processes, threads or devices that one machine is asked for."""


@dataclasses.dataclass(frozen=True)
class Field:
    """What one field may hold.

    Attributes:
      expected: in words, for messages.
      accepts: whether it may hold a value.
      reads: what a flag's text says; raises ValueError.
      required: whether every config has it.
      free: whether a run may go on with another value; it changes nothing that is computed.
    """

    expected: str
    accepts: Callable[[object], bool]
    reads: Callable[[str], object]
    required: bool = False
    free: bool = False

    def having(self, **changes: Any) -> Field:
        """The same with other settings."""
        return dataclasses.replace(self, **changes)


def _whole(low: int, high: int = _LARGEST, *, also: Sequence[int] = ()) -> Field:
    others = ''.join(f'{value} or ' for value in also)

    def accepts(value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return low <= value <= high or value in also

    return Field(f'{others}a whole number from {low:,} to {high:,}', accepts, int)


def _real(
    low: float = -math.inf, high: float = math.inf, *, above: bool = False, below: bool = False
) -> Field:
    bounds = [
        f'{"above" if above else "of at least"} {low:g}' if low > -math.inf else '',
        f'{"below" if below else "at most"} {high:g}' if high < math.inf else '',
    ]

    def accepts(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        over = value > low if above else value >= low
        return math.isfinite(value) and over and (value < high if below else value <= high)

    told = ' and '.join(filter(None, bounds))
    return Field(f'a finite number {told}'.rstrip(), accepts, float)


def _one_of(*choices: str) -> Field:
    def accepts(value: object) -> bool:
        return isinstance(value, str) and value in choices

    return Field('one of ' + ', '.join(map(repr, choices)), accepts, str)


def _is_data_set(value: object) -> bool:
    return isinstance(value, str) and value in (*registry.names(), *registry.ALIASES)


def yes_or_no(text: str) -> bool:
    """A flag's text as a truth value; ValueError for any other text."""
    try:
        return {'true': True, '1': True, 'false': False, '0': False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.strip('()[] ').split(',') if part.strip())


def _are_sizes(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_whole(1).accepts, value))


def _optional(field: Field) -> Field:
    def accepts(value: object) -> bool:
        return value is None or field.accepts(value)

    return field.having(expected=f'None or {field.expected}', accepts=accepts)


_DATA_SET = Field(_one_of(*registry.names(), *registry.ALIASES).expected, _is_data_set, str)
_COUNT, _SIZE, _AXIS = _whole(0), _whole(1), _whole(1, also=(-1,))
_FLAG = Field('True or False', lambda value: isinstance(value, bool), yes_or_no)
_TEXT = Field('a text', lambda value: isinstance(value, str), str)
_NAME = Field('a text, not empty', lambda value: isinstance(value, str) and value != '', str)
_SIZES = Field('whole numbers of at least 1 in brackets', _are_sizes, _whole_numbers)
_RATE, _SHARE = _real(0, 1e6, above=True), _real(0, 1)
_SEED, ANYTHING = _whole(0, _SEEDS), Field('anything', lambda value: True, str)


def _required(section: str, fields: Mapping[str, Field]) -> dict[str, Field]:
    return {f'{section}{name}': field.having(required=True) for name, field in fields.items()}


def _optional_fields(section: str, fields: Mapping[str, Field]) -> dict[str, Field]:
    return {f'{section}{name}': field for name, field in fields.items()}


_VISION = {
    **dict.fromkeys(('image_size', 'patch_size', 'width', 'layers', 'heads', 'mlp'), _SIZE),
    'spatial_merge': _SIZE,
    'feature_layer': _whole(-1_000),
    'norm_eps': _real(0),
    'image_mean': ANYTHING,
    'image_std': ANYTHING,
}
_LLM = {
    **dict.fromkeys(('vocab', 'width', 'layers', 'heads', 'kv_heads', 'head_dim', 'mlp'), _SIZE),
    'rope_theta': _real(0, above=True),
    'norm_eps': _real(0),
    'tied_embeddings': _FLAG,
}
_PRIOR = {
    'inputs': _SIZE,
    'hidden': _optional(_SIZE),
    'standardize': _FLAG,
    'enabled': _FLAG,
    'source': _one_of(*PRIOR_SOURCES),
    'place': _one_of(*PRIOR_PLACES),
}
_TOWER = {
    **dict.fromkeys(('steps', 'batch_size', 'align_steps', 'align_batch_size'), _SIZE),
    **dict.fromkeys(('lr', 'align_lr'), _RATE),
    **dict.fromkeys(('weight_decay', 'landmark_noise'), _real(0)),
    'max_shift': _COUNT,
    'seed': _SEED,
}

FIELDS: dict[str, Field] = {
    **_required('', {'seed': _SEED, 'cpu_devices': _whole(0, _PROCESSES)}),
    'init_from': _TEXT,
    'model.vision': Field('None or a section', lambda value: value is None, str),
    **_optional_fields('model.vision.', _VISION),
    **_optional_fields('model.llm.', _LLM),
    'model.lora': Field('None or a section', lambda value: value is None, str),
    **_optional_fields(
        'model.lora.',
        {
            'rank': _SIZE,
            'alpha': _real(0, above=True),
            'dropout': _real(0, 1, below=True),
            'targets': ANYTHING,
        },
    ),
    **_optional_fields('model.prior.', _PRIOR),
    **_optional_fields('model.more_priors.*.', _PRIOR),
    'model.projector_rms': _optional(_real(0, above=True)),
    **dict.fromkeys(('model.dtype', 'model.param_dtype'), _one_of(*DTYPES)),
    'model.remat': _one_of(*REMAT_POLICIES),
    'model.scan': _FLAG,
    'base.kind': _one_of('random', 'embedded', 'llava').having(required=True),
    'base.llava': _NAME,
    'base.clip': _NAME,
    'base.quantize': ANYTHING,
    'base.quantize.*': ANYTHING,
    **_optional_fields('base.vision.', _VISION),
    **_optional_fields('base.prior.', _PRIOR),
    **_optional_fields('base.tower.', _TOWER),
    **_required(
        'data.',
        {
            'dataset': _DATA_SET,
            'train_split': _NAME,
            'template': _one_of(*sorted(TEMPLATES)),
            'pad_to_square': _FLAG,
            'length': _SIZE,
            'segments': _SIZE,
            'packing_bins': _SIZE,
            'landmark_noise': _real(0),
            'label_weight': _real(0, above=True),
            'on_bad_record': _one_of(*POLICIES),
            'processes': _whole(1, _PROCESSES),
            'read_threads': _whole(0, _PROCESSES),
        },
    ),
    'data.root': _NAME,
    'data.built': _TEXT,
    'data.task': _one_of(*TASKS, 'mix'),
    'data.fold': _whole(0, max(FOLDS)),
    'data.frame_step': _SIZE,
    'data.labels': _TEXT,
    'data.image_size': _SIZE,
    'data.landmarks': _one_of(*LANDMARKS),
    'data.length_buckets': _SIZES,
    'data.workers': _whole(0, _PROCESSES),
    **_optional_fields(
        'data.synthetic_faces.',
        {
            **dict.fromkeys(
                ('image_size', 'train_faces', 'validation_faces', 'test_faces', 'faces_per_person'),
                _SIZE,
            ),
            'form': _one_of('short', 'long'),
            'seed': _SEED,
            'aus': _SIZES,
        },
    ),
    'train.steps': _SIZE,
    'train.epochs': _SIZE,
    **_required(
        'train.',
        {
            'batch_size': _SIZE,
            'loss_chunk': _SIZE,
            'unroll': _FLAG,
            'accumulate': _SIZE,
            'log_every': _SIZE,
            'checkpoint_every': _SIZE,
            'keep_checkpoints': _SIZE,
        },
    ),
    'train.last_batch': _one_of(*LAST_BATCH),
    **_optional_fields(
        'train.optimiser.',
        {
            **dict.fromkeys(('lr', 'projector_lr'), _RATE),
            **dict.fromkeys(('weight_decay', 'clip_norm'), _real(0)),
            **dict.fromkeys(('b1', 'b2'), _real(0, 1, below=True)),
            'eps': _real(0, above=True),
            'warmup_ratio': _SHARE,
            'final_ratio': _SHARE,
        },
    ),
    'train.validate.every': _COUNT,
    'train.validate.split': _NAME,
    'train.validate.limit': _COUNT,
    **_required(
        'eval.',
        {
            'split': _NAME,
            'batch_size': _SIZE,
            **{f'max_new_tokens.{task}': _SIZE for task in TASKS},
            'sampler.temperature': _real(0),
            'unroll': _FLAG,
            'control': _FLAG,
        },
    ),
    'eval.sampler.top_k': _COUNT,
    'eval.sampler.top_p': _real(0, 1, above=True),
    'eval.checkpoint': _one_of(*CHECKPOINTS),
    'eval.limit': _COUNT,
    'eval.merge': _FLAG,
    'eval.refill': _COUNT,
    **{f'mesh.{axis}': _AXIS for axis in ('data', 'fsdp', 'tensor')},
    'mesh.dcn_data': _SIZE,
    'hosts.silence': _whole(2, 86_400).having(free=True),
}
"""By dotted name; `*` stands for any one name."""


def find(name: str) -> Field | None:
    """What `FIELDS` says of a field; None if it knows no such field."""
    return next((FIELDS[pattern] for pattern in _patterns(name) if pattern in FIELDS), None)


def is_section(name: str) -> bool:
    """Whether `FIELDS` has fields below that name."""
    return any(pattern in _INNER for pattern in _patterns(name))


def _patterns(name: str) -> Iterator[str]:
    """The names in `FIELDS` that may stand for one: itself, and with one part as `*`."""
    yield name
    pieces = name.split('.')
    for place in range(len(pieces)):
        yield '.'.join([*pieces[:place], '*', *pieces[place + 1 :]])


_INNER = frozenset(
    '.'.join(name.split('.')[:depth]) for name in FIELDS for depth in range(1, name.count('.') + 1)
)

SECTIONS = ('model', 'base', 'data', 'train', 'eval', 'mesh', 'hosts')
"""The sections of a config."""
