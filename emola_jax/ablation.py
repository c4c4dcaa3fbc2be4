"""The ablation: what the face prior and what the pixels give, each alone and both together.

    python -m emola_jax.ablation --config=configs/mini.py --workdir=runs/mini

Trains and evaluates the presets `prior_only` and `vision_only` of the config file in
`WORKDIR/ablation/…` with the recipe of the full model, and writes the full model's report anew with
all rows. Every part goes on where a killed run left it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from absl import app, flags

from emola_jax import report, summary
from emola_jax.errors import UserError
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
    _run(config, workdir)
    rows = {}
    for title, preset in PRESETS.items():
        folder = workdir / 'ablation' / preset
        _run(f'{config}:{preset}', folder)
        rows[title] = _tasks(folder)
    rows[BOTH] = _tasks(workdir)
    scores = json.loads((workdir / SCORES_FILE).read_text())
    write_json(workdir / SCORES_FILE, scores | {'ablation': rows})
    report.write_report(workdir)
    summary.print_summary(workdir)


def _run(config: str, workdir: Path) -> None:
    # A process of its own: the model of one row leaves nothing behind in the next.
    command = [sys.executable, '-m', 'emola_jax.main', f'--config={config}', f'--workdir={workdir}']
    if subprocess.run(command, check=False).returncode:
        raise UserError(f'{workdir}: the run of {config} failed; see above, then call this again')


def _tasks(workdir: Path) -> dict[str, object]:
    scores = json.loads((workdir / SCORES_FILE).read_text())
    return {task: scores[task] for task in ('emotion', 'au') if task in scores}


def main(argv: list[str]) -> None:
    """Reads the flags."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments: {" ".join(argv[1:])}')
    ablate(CONFIG.value, Path(WORKDIR.value))


def cli() -> None:
    """Runs `main`; what is the user's to mend is one sentence and exit status 1."""
    try:
        app.run(main)
    except UserError as error:
        sys.exit(f'emola_jax: {error}')


if __name__ == '__main__':
    cli()
