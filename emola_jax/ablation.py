"""The ablation: what the face prior and what the pixels give, each alone and both together.

    python -m emola_jax.ablation --config=configs/mini.py --workdir=runs/mini

Trains and evaluates the presets `prior_only` and `vision_only` of the config file in
`WORKDIR/ablation/…` with the recipe of the full model, and writes the full model's report anew with
all rows. Every part goes on where a killed run left it.
"""

from __future__ import annotations

import json
from pathlib import Path

from absl import app, flags

from emola_jax import command, part_runs, report, summary
from emola_jax.evaluate import SCORES_FILE
from emola_jax.files import write_json

CONFIG = flags.DEFINE_string(
    'config', None, 'A config file with the presets named above.', required=True
)
WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Folder of the full model; trained if need be.', required=True
)

PRESETS = {'prior only': 'prior_only', 'vision only': 'vision_only'}
BOTH = 'vision + prior'


def ablate(config: str, workdir: Path) -> None:
    """Runs what is missing, then gathers the rows into the full model's scores and report.

    Raises:
      UserError: one of the runs failed (its own message stands above).
    """
    part_runs.run(config, workdir)
    rows = {}
    for title, preset in PRESETS.items():
        folder = workdir / 'ablation' / preset
        part_runs.run(f'{config}:{preset}', folder)
        rows[title] = part_runs.task_scores(folder)
    rows[BOTH] = part_runs.task_scores(workdir)
    scores = json.loads((workdir / SCORES_FILE).read_text())
    write_json(workdir / SCORES_FILE, scores | {'ablation': rows})
    report.write_report(workdir)
    summary.print_summary(workdir)


def main(argv: list[str]) -> None:
    """Reads the flags."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
    ablate(CONFIG.value, Path(WORKDIR.value))


def cli() -> None:
    """Runs `main`; what is the user's to mend is one sentence and exit status 1."""
    with command.exits_with_a_sentence():
        app.run(main)


if __name__ == '__main__':
    cli()
