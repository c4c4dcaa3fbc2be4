"""The command: compile a run for a TPU slice before booking one.

python -m emola_jax.compile --config=configs/emola.py --topology=v5e:8x8 --batch=64 --length=1024

Compiles the very training step and the very generation that a run uses, at full size, for TPUs that
are not at hand, and says what they need: memory, operations, traffic, time at best, and whether it
fits. No weights and no TPU are needed, only the extra `tpu`. With --sweep, commas in --topology,
--batch and --length and semicolons in --mesh make a table; a killed sweep goes on in its file, and
`python -m emola_jax.compile.table FILE` prints the table again.
"""

from __future__ import annotations

import math
import os
import shlex
import sys
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from emola_jax.cli import command
from emola_jax.compile import chips, sweep, table
from emola_jax.config import config_files
from emola_jax.errors import UserError
from emola_jax.files import places
from emola_jax.files.whole import write_json


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
    flags.DEFINE_string('out', None, 'JSON file to write; a killed sweep goes on in it.')
    flags.DEFINE_float(
        'memory', 0.0, 'GiB that the compiler may take before it is ended; 0 is no limit.'
    )
    flags.DEFINE_string('hlo', None, 'Folder for the texts of the compiled programs.')
    flags.mark_flags_as_required(['config', 'topology'])


def main(argv: list[str]) -> None:
    """Compiles what the flags ask for; each result is on disk before the next one starts."""
    from emola_jax.config.run import RunConfig

    given = flags.FLAGS
    config = RunConfig.from_config_dict(given.config)
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
    if not given.topology:
        raise UserError('--topology: is empty; expected CHIP:SIZES, for example v5e:8x8')
    if not 0 <= given.memory < math.inf:
        raise UserError(f'--memory={given.memory}: expected GiB, or 0 for no limit')
    wanted = sweep.cases(
        given.topology,
        sweep.numbers('batch', given.batch or [config.train.batch_size]),
        sweep.numbers('length', given.length or [config.data.length]),
        given.mesh.split(';'),
        fast=given.fast,
    )
    if len(wanted) > 1 and not given.sweep:
        raise UserError('several topologies, batches, lengths or meshes need --sweep')
    for case in wanted:
        chips.chip_of(case['topology'])
    out = _path('out')
    if out is not None:
        places.check_output_file(out)
    before = results = sweep.known(out, config) if given.sweep else []
    line = shlex.join(['python', '-m', 'emola_jax.compile', *sys.argv[1:]])
    commands = sweep.commands(out, line) if given.sweep else [line]
    hlo = _path('hlo')
    if hlo is not None:
        places.check_output_folder(hlo)
    for new, results in sweep.run(
        config, wanted, before, given.programs, hlo=hlo, memory=given.memory
    ):
        if not given.sweep and ('error' in new or 'died' in new):
            raise UserError(new.get('error') or new['died'])
        print(table.describe(new), flush=True)
        if out is not None:
            write_json(out, {'commands': commands, 'config': config.to_dict(), 'results': results})
    if given.sweep:
        print(f'\n{table.markdown(results)}')
    if out is not None:
        print(f'written: {out}')


def _path(name: str) -> Path | None:
    text = flags.FLAGS[name].value
    return None if text is None else places.path_of_flag(f'--{name}', text)


def cli() -> None:
    """Runs `main`; prints a user error as one sentence, exit status 1."""
    os.environ['JAX_PLATFORMS'] = 'cpu'  # the TPU is only compiled for
    _define_flags()
    with command.exits_with_a_sentence('emola_jax.compile'):
        if not any(argument.lstrip('-').startswith('help') for argument in sys.argv[1:]):
            chips.check_libtpu()  # before imports that take seconds
        app.run(main, argv=config_files.resolve_flag(sys.argv))


if __name__ == '__main__':
    cli()
