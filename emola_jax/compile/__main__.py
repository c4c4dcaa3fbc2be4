"""The command: compile a run for a TPU slice before booking one.

python -m emola_jax.compile --config=configs/emola.py --topology=v5e:8x8 --batch=64 --length=1024

Compiles the very training step and the very generation that a run uses, at full size, for TPUs that
are not at hand, and says what they need: memory, operations, traffic, time at best, and whether it
fits. No weights and no TPU are needed, only the extra `tpu`. With --sweep, commas in --topology,
--batch and --length and semicolons in --mesh make a table; a killed sweep goes on in its file.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from emola_jax import command, config_files
from emola_jax.compile import chips, table
from emola_jax.errors import UserError
from emola_jax.files import write_json, write_text


def _define_flags() -> None:
    """Not at import, since other commands have flags of the same names."""
    config_flags.DEFINE_config_file(
        'config', None, 'The experiment: a file of configs/, with an argument after a colon.'
    )
    flags.DEFINE_list(
        'topology', None, 'CHIP:SIZES, for example v5e:8x8 or v5p:2x2x1; chips: v4, v5e, v5p, v6e.'
    )
    flags.DEFINE_list('batch', None, 'Rows of a step, instead of train.batch_size.')
    flags.DEFINE_list('length', None, 'Tokens a row, instead of data.length.')
    flags.DEFINE_string(
        'mesh',
        'auto',
        'Devices by axis, for example data=1,fsdp=16,tensor=4 (one may be -1); '
        "'auto' shares the batch as far as it goes and the rest by tensor.",
    )
    flags.DEFINE_list('programs', ['train', 'generate'], 'What to compile.')
    flags.DEFINE_bool(
        'fast',
        False,
        'Search less: several times sooner; temporaries and traffic become upper bounds.',
    )
    flags.DEFINE_bool('sweep', False, 'Compile every combination and print a table.')
    flags.DEFINE_string('out', None, 'JSON file to write; a sweep writes its table beside it.')
    flags.DEFINE_string('hlo', None, 'Folder for the texts of the compiled programs.')
    flags.mark_flags_as_required(['config', 'topology'])


def main(argv: list[str]) -> None:
    """Compiles what the flags ask for; each result is on disk before the next one starts."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
    cases = [
        {'topology': topology, 'batch': int(batch), 'length': int(length), 'mesh': mesh}
        for topology, batch, length, mesh in itertools.product(
            flags.FLAGS.topology or (),
            flags.FLAGS.batch or [flags.FLAGS.config.train.batch_size],
            flags.FLAGS.length or [flags.FLAGS.config.data.length],
            flags.FLAGS.mesh.split(';'),
        )
    ]
    if len(cases) > 1 and not flags.FLAGS.sweep:
        raise UserError('several topologies, batches, lengths or meshes need --sweep')
    out = Path(flags.FLAGS.out) if flags.FLAGS.out else None
    identity = {
        'config': json.loads(flags.FLAGS.config.to_json_best_effort()),
        'fast': flags.FLAGS.fast,
    }
    results = _known(out, identity) if flags.FLAGS.sweep else []
    for case in cases:
        if any(case == {key: result[key] for key in case} for result in results):
            continue
        result = case | _compile(flags.FLAGS.config.copy_and_resolve_references(), case)
        results.append(result)
        print(table.describe(result), flush=True)
        if out is not None:
            write_json(out, {**identity, 'results': results})
    if flags.FLAGS.sweep:
        text = table.markdown(results)
        print(f'\n{text}')
        if out is not None:
            write_text(out.with_suffix('.md'), text)
    if out is not None:
        print(f'written: {out}' + (f', {out.with_suffix(".md")}' if flags.FLAGS.sweep else ''))


def _compile(config: ConfigDict, case: dict[str, Any]) -> dict[str, Any]:
    # Not before --help and the flags are done: these imports take seconds.
    from emola_jax import sharding
    from emola_jax.compile import programs

    chip = chips.chip_of(case['topology'])
    devices = chips.devices_of(case['topology'])
    with config.unlocked():
        config.train.batch_size, config.data.length = case['batch'], case['length']
    result: dict[str, Any] = {'chips': len(devices)}
    try:
        shape = _mesh(case['mesh'], len(devices), case['batch'] // config.train.accumulate)
        mesh = sharding.make_mesh(shape, devices)
        result['axes'] = dict(mesh.shape)
        for program in flags.FLAGS.programs:
            if program not in programs.PROGRAMS:
                raise UserError(f'--programs {program!r}: expected some of {programs.PROGRAMS}')
            lowered = programs.lower(config, mesh, program)
            found, text = programs.report(lowered, chip, mesh, fast=flags.FLAGS.fast)
            result[program] = {**lowered.shape, **found}
            if flags.FLAGS.hlo and text:
                slice_name = case['topology'].replace(':', '-')
                name = f'{slice_name}-{program}-{case["batch"]}x{case["length"]}.hlo'
                write_text(Path(flags.FLAGS.hlo) / name, text)
    except UserError as error:
        if not flags.FLAGS.sweep:
            raise
        result['error'] = str(error)
    return result


def _mesh(text: str, count: int, rows: int) -> dict[str, int]:
    if text == 'auto':
        tensor = next(n for n in range(1, count + 1) if not count % n and not rows % (count // n))
        return {'data': 1, 'fsdp': count // tensor, 'tensor': tensor}
    try:
        return {name: int(size) for name, size in (part.split('=') for part in text.split(','))}
    except ValueError:
        raise UserError(f'--mesh {text!r}: expected for example data=1,fsdp=16,tensor=4') from None


def _known(out: Path | None, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """What an earlier sweep of the same config left in the file."""
    if out is None or not out.exists():
        return []
    before = json.loads(out.read_text(encoding='utf-8'))
    if {key: before.get(key) for key in identity} != identity:
        raise UserError(f'{out}: holds the sweep of another config; name another --out')
    return list(before['results'])


def cli() -> None:
    """Runs `main`; what is the user's to mend is one sentence and exit status 1."""
    os.environ['JAX_PLATFORMS'] = 'cpu'  # the TPU is only compiled for
    _define_flags()
    with command.exits_with_a_sentence('emola_jax.compile'):
        app.run(main, argv=config_files.resolve_flag(sys.argv))


if __name__ == '__main__':
    cli()
