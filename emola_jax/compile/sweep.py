"""Combinations of topology, batch, length and mesh, each compiled in a process of its own.

A compiler that runs out of memory or crashes ends its process and not the sweep, and what it took
is given back before the next one starts.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import itertools
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from emola_jax.compile import chips
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import write_text

CASE = ('topology', 'batch', 'length', 'mesh', 'fast')
"""What tells one result from another; the programs of a case may be compiled at several times."""

GIB = 2.0**30


def numbers(flag: str, texts: Sequence[str | int]) -> list[int]:
    """The values of --batch or --length.

    Raises:
      UserError: one of them is no number above 0.
    """
    for text in texts:
        if not str(text).isdecimal() or not int(text):
            raise UserError(f'--{flag} {text!r}: expected numbers above 0, for example 64,256')
    return [int(text) for text in texts]


def cases(
    topologies: Sequence[str],
    batches: Sequence[int],
    lengths: Sequence[int],
    meshes: Sequence[str],
    *,
    fast: bool,
) -> list[JsonObject]:
    """Every combination, as the part of a result that `CASE` names."""
    combined = itertools.product(topologies, batches, lengths, meshes, [fast])
    return [dict(zip(CASE, values, strict=True)) for values in combined]


def known(out: Path | None, config: RunConfig) -> list[JsonObject]:
    """What an earlier sweep left in its file, but for cases whose compiler died.

    Raises:
      UserError: it is no sweep's file, or that of a config which makes other programs.
    """
    from emola_jax.compile import settings

    if out is None or not out.exists():
        return []
    try:
        before = json.loads(out.read_text(encoding='utf-8'))
        then = RunConfig.of_run(before['config'], str(out))
        results, differing = before['results'], settings.differing(then, config)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f'{out}: no file that a sweep wrote ({error}); name another') from error
    if differing:
        names = ', '.join(differing)
        raise UserError(
            f'{out}: holds the sweep of another config ({names} differ); name another --out'
        )
    return [result for result in results if 'died' not in result]


def commands(out: Path | None, new: str) -> list[str]:
    """The command lines that filled a sweep's file, which `known` has checked, and `new`."""
    if out is None or not out.exists():
        return [new]
    before = json.loads(out.read_text(encoding='utf-8')).get('commands', [])
    return list(dict.fromkeys([*before, new]))


def missing(case: JsonObject, results: Sequence[JsonObject], programs: Sequence[str]) -> list[str]:
    """The programs of a case that no result has."""
    found = next((one for one in results if case == {key: one[key] for key in CASE}), None)
    if found is None:
        return list(programs)
    return [] if 'error' in found else [name for name in programs if name not in found]


def run(
    config: RunConfig,
    wanted: Sequence[JsonObject],
    results: Sequence[JsonObject],
    programs: Sequence[str],
    *,
    hlo: Path | None = None,
    memory: float = 0.0,
) -> Iterator[tuple[JsonObject, list[JsonObject]]]:
    """Compiles what is missing, and says on the terminal how far it is.

    Args:
      config: the experiment.
      wanted: of `cases`.
      results: of `known`.
      programs: names of `programs.PROGRAMS`.
      hlo: folder for the texts of the compiled programs.
      memory: GiB that the compiler may take; 0 is no limit.

    Yields:
      (the new result, all results with it).
    """
    todo = [(case, names) for case in wanted if (names := missing(case, results, programs))]
    done, started = list(results), time.monotonic()
    for number, (case, names) in enumerate(todo):
        left = (time.monotonic() - started) / number * (len(todo) - number) / 60 if number else 0
        title = f'{case["topology"]}, {case["batch"]} x {case["length"]}, {" and ".join(names)}'
        eta = f'; about {left:.0f} min left' if left else ''
        print(f'[{number + 1}/{len(todo)}] {title}{eta}', flush=True)
        new = case | in_own_process(config, case, names, hlo, memory)
        same = [one for one in done if case == {key: one[key] for key in CASE}]
        done = [one for one in done if one not in same]
        done.append(_joined(same[0], new) if same else new)
        yield new, done


def _joined(before: JsonObject, new: JsonObject) -> JsonObject:
    """Results of one case, whose programs were compiled at two times."""
    peaks = [one['peak_bytes'] for one in (before, new) if 'peak_bytes' in one]
    return {**before, **new} | ({'peak_bytes': max(peaks)} if peaks else {})


def in_own_process(
    config: RunConfig, case: JsonObject, programs: Sequence[str], hlo: Path | None, memory: float
) -> JsonObject:
    """`compile_case` in a process that ends with it; 'died' says that it never came to an end.

    Raises:
      UserError: a program's name is none.
    """
    spawn = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, spawn, initializer=_limit, initargs=(memory,)) as pool:
        try:
            return pool.submit(compile_case, config, case, programs, hlo).result()
        except (BrokenProcessPool, MemoryError):
            limit = f'--memory={memory:g} GiB' if memory else "this machine's memory"
            return {'died': f'the compiler died, most likely for want of memory ({limit})'}


def _limit(memory: float) -> None:
    if memory:
        # Not the address space: libtpu reserves far more of it than it ever touches.
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory * GIB),) * 2)


def compile_case(
    config: RunConfig, case: JsonObject, names: Sequence[str], hlo: Path | None = None
) -> JsonObject:
    """Compiles programs of one case.

    Returns:
      'versions', 'peak_bytes' (of this process), 'chips', 'axes' and what `programs.report` found
      of each program; or 'error', one sentence, instead of what cannot be had: libtpu doesn't know
      the topology, mesh and batch don't go together, XLA refuses the program.

    Raises:
      UserError: a program's name is none, or libtpu is missing.
    """
    # Not before --help and the flags are done: these imports take seconds.
    from emola_jax.compile import programs
    from emola_jax.parallel import sharding

    for name in names:
        if name not in programs.PROGRAMS:
            raise UserError(f'--programs {name!r}: expected some of {programs.PROGRAMS}')
    chips.check_libtpu()
    chip = chips.chip_of(case['topology'])
    config = dataclasses.replace(
        config,
        train=dataclasses.replace(config.train, batch_size=case['batch']),
        data=dataclasses.replace(config.data, length=case['length']),
    )
    versions = {name: importlib.metadata.version(name) for name in ('jax', 'libtpu')}
    result: JsonObject = {'versions': versions}
    try:
        devices = chips.devices_of(case['topology'])
        result['chips'] = len(devices)
        shape = mesh_shape(case['mesh'], len(devices), case['batch'] // config.train.accumulate)
        mesh = sharding.make_mesh(shape, devices)
        result['axes'] = dict(mesh.shape)
        for name in names:
            lowered = programs.lower(config, mesh, name)
            found, text = programs.report(lowered, chip, mesh, fast=case['fast'])
            result[name] = {**lowered.shape, **found}
            if hlo is not None and text:
                slice_name = case['topology'].replace(':', '-')
                write_text(hlo / f'{slice_name}-{name}-{case["batch"]}x{case["length"]}.hlo', text)
    except UserError as error:
        result['error'] = str(error)
    result['peak_bytes'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result


def mesh_shape(text: str, count: int, rows: int) -> dict[str, int]:
    """Devices by axis, from the text of --mesh; 'auto' shares the rows as far as they go.

    Raises:
      UserError: the text is neither.
    """
    if text == 'auto':
        tensor = next(n for n in range(1, count + 1) if not count % n and not rows % (count // n))
        return {'data': 1, 'fsdp': count // tensor, 'tensor': tensor}
    try:
        return {name: int(size) for name, size in (part.split('=') for part in text.split(','))}
    except ValueError:
        raise UserError(f'--mesh {text!r}: expected for example data=1,fsdp=16,tensor=4') from None
