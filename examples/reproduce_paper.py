"""The paper's runs, one after the other, and its tables of them (docs/datasets.md, docs/pods.md).

    python examples/reproduce_paper.py data runs/paper

Each takes the released recipe on LLaVA-1.5-7B; what is finished is not done again, so the same
command goes on after a stop.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import emola_jax

RUNS = {
    'faba_emotion': 'configs/emola.py:emotion',
    'faba_au': 'configs/emola.py:au',
    'rafdb': 'configs/emola.py:task=emotion,dataset=rafdb',
    'gft': 'configs/emola.py:task=au,dataset=gft',
    **{
        f'{name}_fold{fold}': f'configs/emola.py:task=au,dataset={name},fold={fold}'
        for name in ('bp4d', 'disfa')
        for fold in (1, 2, 3)
    },
}


def main(root: str, workdir: str, runs: Mapping[str, str] = RUNS, **overrides: object) -> None:
    """Trains and evaluates what is missing of `runs`."""
    for name, config in runs.items():
        run = emola_jax.train(config, Path(workdir) / name, {'data.root': root, **overrides})
        for task, scores in run.scores.items():
            strict = scores.strict
            print(f'{name}, {task}: S_re {strict.s_re:.1f}, REGE {strict.s_rege:.1f}')
    print(f'tables: emola tables {workdir}/*/predictions.jsonl')


if __name__ == '__main__':
    main(*sys.argv[1:])
