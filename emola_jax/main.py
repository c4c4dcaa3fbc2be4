"""The command: train, evaluate and report one experiment.

    python -m emola_jax.main --config=configs/mini.py --workdir=runs/mini
    python -m emola_jax.main --config=configs/mini.py --workdir=runs/mini --mode=eval
    python -m emola_jax.main --workdir=runs/mini --verify

Every field of the config is a flag too. Those of an evaluation: --config.eval.split,
--config.eval.limit (the first so many records; 0 = all), --config.eval.batch_size,
--config.eval.max_new_tokens.emotion and .au, --config.eval.sampler.temperature (0 = greedy),
--config.eval.control (docs/evaluation.md).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import app, flags
from ml_collections import config_flags

from emola_jax import extras
from emola_jax.cli import command, verify
from emola_jax.config import config_files
from emola_jax.errors import UserError
from emola_jax.files import places

if TYPE_CHECKING:
    from emola_jax.config.run import RunConfig
    from emola_jax.parallel import hosts

CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'The experiment: a file of configs/, with an argument after a colon.'
)
WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Folder of the run; a killed run goes on in it.', required=True
)
MODE = flags.DEFINE_enum(
    'mode',
    'run',
    ['run', 'train', 'eval', 'report'],
    'run = train, eval and report; a finished run is shown, not redone.',
)
COORDINATOR = flags.DEFINE_string(
    'coordinator', None, 'Of a run of several hosts (docs/multihost.md): HOST:PORT of process 0.'
)
PROCESSES = flags.DEFINE_integer('processes', None, 'How many processes make the run.', 1)
PROCESS = flags.DEFINE_integer('process', None, 'Which of them this is, from 0.', 0)
VERIFY = flags.DEFINE_boolean(
    'verify',
    False,
    'Check every file of --workdir that has a checksum, and do nothing else; needs no --config.',
)
flags.register_multi_flags_validator(
    ['config', 'verify'],
    lambda given: given['config'] is not None or given['verify'],
    'Flag --config must have a value other than None.',
)


def main(argv: list[str]) -> int:
    """Prepares the devices, then does what `--mode` says; returns the exit status."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
    workdir = places.path_of_flag('--workdir', WORKDIR.value)
    if VERIFY.value:
        return 0 if verify.verify(workdir) else 1
    import jax  # it and what needs it take seconds to import

    from emola_jax import workflow
    from emola_jax.config.run import RunConfig
    from emola_jax.experiment import init_from
    from emola_jax.parallel import hosts

    config = RunConfig.from_config_dict(CONFIG.value)
    is_new = MODE.value == 'eval' and init_from.can_be_answered_with(config, workdir)
    if MODE.value in ('eval', 'report') and not is_new:
        workflow.check_trained(workdir)
    hosts.start(config.cpu_devices, _hosts(), silence=config.hosts.silence)
    with hosts.all_or_none():
        config = init_from.resolved(config, whole=is_new)
        if MODE.value != 'run' or not workflow.is_finished(config, workdir):
            with workflow.alone_in(workdir, f'works there (--mode={MODE.value})'):
                _work(config, workdir)
        if jax.process_index() == 0:
            workflow.show(workdir)
    return 0


def check_torch(argv: Sequence[str]) -> None:
    """Finds out, before the imports that take seconds, whether the base's files need PyTorch.

    What is wrong with the command line itself is left to its parser.

    Raises:
      UserError: they do, and it is not installed.
    """
    given = dict(argument.partition('=')[::2] for argument in argv)
    try:
        base = config_files.load(given['--config']).base
    except Exception:
        return
    if base.get('kind') != 'llava' or given.get('--mode') == 'report':
        return
    for name in ('llava', 'clip'):
        flag = f'--config.base.{name}'
        folder = places.path_of_flag(flag, given.get(flag, base[name]))
        files = [*folder.glob('*.safetensors'), *sorted(folder.glob('pytorch_model*.bin'))]
        if files and files[0].suffix == '.bin':
            extras.check_torch(f"{files[0]}: PyTorch's own format")


def _work(config: RunConfig, workdir: Path) -> None:
    import jax

    from emola_jax import workflow

    if MODE.value == 'run':
        workflow.run(config, workdir)
    elif MODE.value == 'train':
        workflow.train(config, workdir)
    elif MODE.value == 'eval':
        workflow.evaluate(config, workdir)
    elif jax.process_index() == 0:
        workflow.report(workdir)


def _hosts() -> hosts.Hosts | None:
    coordinator, processes, process = COORDINATOR.value, PROCESSES.value, PROCESS.value
    if coordinator is None and processes is None and process is None:
        return None
    if coordinator is None or processes is None or process is None:
        raise UserError('--coordinator, --processes and --process are given together, or none')
    from emola_jax.parallel import hosts

    return hosts.Hosts(coordinator, processes, process)


def cli() -> None:
    """Runs `main`; prints a user error as one sentence and exits with status 1."""
    with command.exits_with_a_sentence():
        check_torch(sys.argv)
        app.run(main, argv=config_files.resolve_flag(sys.argv))


if __name__ == '__main__':
    cli()
