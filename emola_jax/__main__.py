"""The command `emola VERB`, also `python -m emola_jax VERB`: every command by one name."""

from __future__ import annotations

import difflib
import importlib.metadata
import runpy
import sys
from collections.abc import Sequence

VERBS = {
    'run': ('emola_jax.main', 'train, evaluate and report the experiment of a config'),
    'predict': ('emola_jax.cli.predict', 'answer for photos and videos'),
    'calibrate': ('emola_jax.cli.calibrate', "fit a run's probabilities to held-out answers"),
    'score': ('emola_jax.cli.score', "score any model's answers, without the model"),
    'tables': ('emola_jax.cli.tables', "make the paper's tables from predictions"),
    'statistics': ('emola_jax.cli.statistics', 'describe an instruction set'),
    'build_data': ('emola_jax.cli.build_data', "check and build a data set from its owners' files"),
    'landmarks': ('emola_jax.cli.landmarks', 'extract or audit landmark files'),
    'convert': ('emola_jax.cli.convert', 'turn one kind of checkpoint into another'),
    'compile': ('emola_jax.cli.compile', 'compile a run for a TPU slice before booking one'),
    'ablation': ('emola_jax.study.ablation', 'train and score what image and landmarks bring'),
    'folds': ('emola_jax.study.cross_validation', 'train and score every fold of a data set'),
    'assets': ('emola_jax.cli.assets', 'list, fetch or verify the pinned public files'),
    'verify': ('emola_jax.cli.verify', 'compare the files of a run with their checksums'),
}
"""Module and purpose of each verb, in the order of a project's life."""

_COMPLETION = """_emola() {{
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "{verbs}" -- "$2"))
  else COMPREPLY=($(compgen -f -- "$2")); fi
}}
complete -o filenames -F _emola emola
"""


def usage() -> str:
    """What `emola --help` prints."""
    width = max(map(len, VERBS))
    return '\n'.join(
        (
            'usage: emola VERB [ARGUMENTS]     (emola VERB --help explains one)',
            '',
            *(f'  {verb:<{width}}  {purpose}' for verb, (_, purpose) in VERBS.items()),
            '',
            '  --version      versions of emola_jax, jax and flax, and the device',
            '  --completion   completion of verbs and files, for bash (zsh: after bashcompinit):',
            '                 eval "$(emola --completion)"',
        )
    )


def version() -> str:
    """What `emola --version` prints; the device is the one that jax would use."""
    import jax

    parts = [f'{name} {importlib.metadata.version(name)}' for name in ('emola_jax', 'jax', 'flax')]
    devices = jax.devices()
    return ', '.join([*parts, f'{len(devices)} x {devices[0].device_kind} ({devices[0].platform})'])


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command of the first argument, as `python -m` would.

    Raises:
      SystemExit: when the command ends, with its status; or the verb is unknown.
    """
    verb, *arguments = (sys.argv[1:] if argv is None else argv) or ['--help']
    if verb in ('-h', '--help', 'help'):
        print(usage())
    elif verb == '--version':
        print(version())
    elif verb == '--completion':
        print(_COMPLETION.format(verbs=' '.join(VERBS)), end='')
    elif verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        hint = f'did you mean {near[0]!r}?' if near else f'expected one of {", ".join(VERBS)}'
        sys.exit(f'emola: unknown command {verb!r}; {hint}')
    else:
        module, _ = VERBS[verb]
        _listen(verb)
        sys.argv = [f'emola {verb}', *arguments]
        runpy.run_module(module, run_name='__main__', alter_sys=True)


def _listen(verb: str) -> None:
    from emola_jax.parallel import preemption

    preemption.listen_as_command([f'emola_jax.{verb}'])


if __name__ == '__main__':
    main()
