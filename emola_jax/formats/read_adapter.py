"""Reads adapters: PEFT's LoRA, and the files that EmoLA and this project put next to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import read_json
from emola_jax.formats import layouts
from emola_jax.formats.layouts import LLAVA, PRIOR, VISUAL_PROJECTOR
from emola_jax.models.config import LORA_TARGETS, EmolaConfig, LoraConfig
from emola_jax.models.emola import param_shapes
from emola_jax.weights import read_files, rules
from emola_jax.weights.lazy import Lazy
from emola_jax.weights.rules import Path as ParamPath

ADAPTER_CONFIG = 'adapter_config.json'
ADAPTER_FILES = ('adapter_model.safetensors', 'adapter_model.bin')
"""Looked for in this order, as PEFT does."""

NON_LORA_FILE = 'non_lora_trainables.bin'
LANDMARK_FILE = 'landmark_feature_projector.bin'
"""The released code's files of both projectors, and of the landmark projector once more."""

# Field of PEFT's config -> the values that change nothing.
_MUST: dict[str, tuple[object, ...]] = {
    'peft_type': ('LORA',),
    'bias': ('none',),
    'fan_in_fan_out': (False,),
    'use_dora': (False,),
    'use_rslora': (False,),
    'lora_bias': (False,),
    'modules_to_save': (None, []),
    'layers_to_transform': (None, []),
    'rank_pattern': ({}, None),
    'alpha_pattern': ({}, None),
    'target_parameters': (None, []),
    'trainable_token_indices': (None, []),
    # These draw A and B and leave the base as it is, so that what was stored says all.
    'init_lora_weights': (True, False, 'gaussian', 'orthogonal', 'eva', 'mica', None),
}

_READ = ('r', 'lora_alpha', 'lora_dropout', 'target_modules', 'base_model_name_or_path')

_WITHOUT_EFFECT = (
    *('auto_mapping', 'inference_mode', 'peft_version', 'revision', 'task_type', 'megatron_core'),
    # What is adapted is seen from the tensors; one that is missing is a fault.
    *('exclude_modules', 'layers_pattern'),
    # Read by PEFT only with the `init_lora_weights` (or `use_qalora`) that they belong to.
    *('eva_config', 'qalora_group_size'),
    # Of modules that are saved whole, which are refused.
    'ensure_weight_tying',
    # Where PEFT computes, and whether it merges at inference (before 0.3).
    *('runtime_config', 'merge_weights'),
)
"""Fields that do not change what the stored tensors compute."""

_RESIDUAL = ('pissa', 'olora', 'corda', 'lora_ga')
"""Values of `init_lora_weights` (or their beginnings) that take a part out of the base first."""

_LARGEST_RANK, _LARGEST_ALPHA = 1 << 15, 1e12

_MERGE = 'merge it in PEFT (merge_and_unload) and convert the merged model'


def adapter_file(folder: Path) -> Path:
    """The file with an adapter's tensors.

    Raises:
      UserError: there is none.
    """
    for name in ADAPTER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f'{folder}: no adapter file; expected {" or ".join(ADAPTER_FILES)}')


def read_lora_config(folder: Path, names: Iterable[str]) -> LoraConfig:
    """Rank, alpha, dropout and targets of an adapter.

    Args:
      folder: with adapter_config.json.
      names: of its tensors, which say what is adapted where the config has only a pattern.

    Raises:
      UserError: fields that this model can't compute (lists them).
    """
    path = folder / ADAPTER_CONFIG
    values = read_json(path)
    faults = _faults(values)
    targets = values.get('target_modules')
    if not isinstance(targets, list) or not all(isinstance(name, str) for name in targets):
        targets = {match[1] for name in names if (match := re.search(r'\.(\w+)\.lora_A\.', name))}
    ours = {f'{name}_proj': name for name in LORA_TARGETS}
    unknown = sorted(set(targets) - ours.keys())
    if unknown:
        faults.append(f'target_modules holds {unknown}, expected a subset of {sorted(ours)}')
    if faults:
        raise UserError(f'{path}: describes an adapter that this is not:\n  ' + '\n  '.join(faults))
    return LoraConfig(
        rank=values['r'],
        alpha=float(values['lora_alpha']),
        dropout=float(values.get('lora_dropout') or 0.0),
        targets=tuple(name for name in LORA_TARGETS if f'{name}_proj' in targets),
    )


def _faults(values: JsonObject) -> list[str]:
    """One line for each field that is missing, wrong, or asks for what is not computed here."""
    faults = []
    for field, value in values.items():
        if field in _MUST:
            # 0 and 1 are no False and True here.
            if not any(value == a and type(value) is type(a) for a in _MUST[field]):
                faults.append(_unlike(field, value))
        elif field not in (*_READ, *_WITHOUT_EFFECT) and value:
            faults.append(f'{field} is {value!r}, which is not computed here; {_MERGE}')
    rank, alpha = values.get('r', 1), values.get('lora_alpha', 1)
    if type(rank) is not int or not 1 <= rank <= _LARGEST_RANK:
        faults.append(f'r is {rank!r:.40}, expected a whole number from 1 to {_LARGEST_RANK}')
    dropout = values.get('lora_dropout') or 0
    for field, number in (('lora_alpha', alpha), ('lora_dropout', dropout)):
        if type(number) not in (int, float) or not abs(number) < _LARGEST_ALPHA:
            faults.append(f'{field} is {number!r:.40}, expected a number')
        elif field == 'lora_dropout' and not 0 <= number < 1:
            faults.append(f'{field} is {number!r}, expected a share from 0 to below 1')
    targets = values.get('target_modules')
    named = isinstance(targets, list) and all(isinstance(name, str) for name in targets)
    if not named and not isinstance(targets, str | None):
        faults.append(f'target_modules is {targets!r}, expected names or a pattern')
    return faults + [
        f"the field '{field}' is missing" for field in ('r', 'lora_alpha') if field not in values
    ]


def _unlike(field: str, value: object) -> str:
    fault = f'{field} is {value!r}, expected {_MUST[field][0]!r}'
    if field != 'init_lora_weights':
        return fault
    if isinstance(value, str) and value.lower().startswith(_RESIDUAL):
        return (
            f'{fault}: it was trained on a base with a part taken out; save it once more in PEFT '
            'with path_initial_model_for_weight_conversion'
        )
    return f'{fault}; {_MERGE}'


def base_name(folder: Path) -> str | None:
    """The base that an adapter names, as a path or a hub id; None without one.

    Raises:
      UserError: it is something else than a text.
    """
    name = read_json(folder / ADAPTER_CONFIG).get('base_model_name_or_path')
    if name is not None and not isinstance(name, str):
        raise UserError(
            f"{folder / ADAPTER_CONFIG}: 'base_model_name_or_path' is {name!r}, expected a text"
        )
    return name or None


def read_lora(
    path: Path, opened: read_files.Weights, model: EmolaConfig
) -> tuple[dict[ParamPath, Lazy], list[str]]:
    """The adapter's parameters.

    Args:
      path: the file, for messages.
      opened: its tensors, under plain names.
      model: with `lora`.

    Returns:
      (parameters, one line for each fault).
    """
    assert model.lora is not None
    layout = layouts.detect_adapter(opened.tensors)
    if layout is None:
        some = ', '.join(sorted(opened.tensors)[:3])
        return {}, [f'{path}: tensors named {some}, … are no adapter of a LLaMA or LLaVA']
    ranks = {t.shape[0] for name, t in opened.tensors.items() if name.endswith('.lora_A.weight')}
    if len(ranks) == 1 and ranks != {model.lora.rank}:
        return {}, [
            f'{path}: holds an adapter of rank {ranks.pop()}, but {ADAPTER_CONFIG} says r = '
            f'{model.lora.rank}'
        ]
    wanted = {
        path: shape
        for path, shape in param_shapes(model).items()
        if path[-1] in ('lora_a', 'lora_b')
    }
    params, faults = rules.to_ours(layout.lora_rules, opened.tensors, wanted)
    return params, [f'{path}: {fault}' for fault in faults]


def open_lora(path: Path) -> read_files.Weights:
    """Opens an adapter's file; its tensors come under plain names."""
    opened = read_files.open_files([path])
    tensors = {layouts.plain_adapter_name(name): t for name, t in opened.tensors.items()}
    return read_files.Weights(tensors, opened.faults)


def read_released_projectors(
    folder: Path, model: EmolaConfig
) -> tuple[dict[ParamPath, Lazy], list[str]]:
    """Both projectors of a folder that the released code wrote.

    The landmark projector may be in either file; where it is in both, they must agree.

    Returns:
      (parameters, one line for each fault).
    """
    faults: list[str] = []
    tensors: dict[str, Lazy] = {}
    broken = False
    for name in (NON_LORA_FILE, LANDMARK_FILE):
        if not (folder / name).is_file():
            continue
        opened = read_files.open_files([folder / name])
        broken |= bool(opened.faults)
        faults += opened.faults
        plain = {layouts.plain_trainable_name(n): tensor for n, tensor in opened.tensors.items()}
        faults += _disagreements(folder, tensors, plain)
        tensors = plain | tensors
    parts = LLAVA.parts_in(tensors)
    wanted = {
        path: shape
        for path, shape in param_shapes(model).items()
        if path[0] in (VISUAL_PROJECTOR, PRIOR) and path[0] in parts
    }
    params, unfit = rules.to_ours(LLAVA.rules, tensors, wanted)
    faults += [f'{folder}: {fault}' for fault in unfit]
    if PRIOR not in parts and not broken:
        faults.append(
            f'{folder}: holds no landmark projector; expected {LANDMARK_FILE}, or its tensors in '
            f'{NON_LORA_FILE}'
        )
    if VISUAL_PROJECTOR not in parts and not broken:
        faults.append(f'{folder}: holds no visual projector; expected it in {NON_LORA_FILE}')
    return params, faults


def _disagreements(folder: Path, one: Mapping[str, Lazy], two: Mapping[str, Lazy]) -> list[str]:
    def differ(name: str) -> bool:
        same_kind = (one[name].shape, one[name].dtype) == (two[name].shape, two[name].dtype)
        return not same_kind or not np.array_equal(one[name].whole(), two[name].whole())

    return [
        f'{folder}: {name} is not the same in {one[name].origin} and {two[name].origin}'
        for name in sorted(one.keys() & two.keys())
        if differ(name)
    ]


def peft_config(model: EmolaConfig, base: str | None) -> JsonObject:
    """adapter_config.json in the fields that PEFT 0.4 knows, as later versions do."""
    assert model.lora is not None
    alpha = model.lora.alpha
    return {
        'auto_mapping': None,
        'base_model_name_or_path': base,
        'bias': 'none',
        'fan_in_fan_out': False,
        'inference_mode': True,
        'init_lora_weights': True,
        'layers_pattern': None,
        'layers_to_transform': None,
        'lora_alpha': int(alpha) if alpha == int(alpha) else alpha,
        'lora_dropout': model.lora.dropout,
        'modules_to_save': None,
        'peft_type': 'LORA',
        'r': model.lora.rank,
        'revision': None,
        'target_modules': [f'{name}_proj' for name in LORA_TARGETS if name in model.lora.targets],
        'task_type': 'CAUSAL_LM',
    }
