"""The README's commands, run as they stand there, at toy size and without PyTorch.

    python -m tests.readme_commands [FOLDER]

A scratch folder is given the README's names: a virtual environment that sees neither torch nor
peft, a toy `configs/mini.py`, photos, data sets and weights of the released layouts. Every line of
the README's code blocks then runs in it through the shell, in the README's order.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from input_pipeline.datasets.disfa import PARTS

CHECKOUT = Path(__file__).parents[1]
GOLDEN = CHECKOUT / 'tests' / 'golden'

_LONGEST = 1800  # seconds of a command; many minutes where others use the machine too

ENDS, ASKS_TO_INSTALL = 'ends', 'asks'
"""What a command comes to: exit status 0, or 1 and a sentence that says what to install."""

_TOY_CONFIG = """
from configs import _priors, tiny

def get_config(argument='default'):
    _, row = _priors.take_row(argument, ('default', 'long', 'int8', 'nf4'), 'configs/mini.py')
    config = tiny.get_config(row and f'row={row}' or '')
    config.train.steps = 4
    return config
"""

_WITHOUT = """
import os, sys
from importlib.machinery import PathFinder

HIDDEN = set(os.environ['TESTS_HIDDEN'].split(','))

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split('.')[0] in HIDDEN else super().find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""

_PYTHON = """#!/bin/sh
case "$*" in *"-m pip"*) exit 0;; esac
PYTHONPATH={site}:{checkout} exec {python} "$@"
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Attributes:
      line: the command.
      status: exit status.
      output: both streams.
    """

    line: str
    status: int
    output: str

    @property
    def kind(self) -> str:
        """One of the kinds above, or '' for anything else (a traceback, say)."""
        if self.status == 0:
            return ENDS
        if self.status != 1 or 'Traceback' in self.output:
            return ''
        asks = 'pip install' in self.output or 'make setup EXTRAS=' in self.output
        return ASKS_TO_INSTALL if asks else ''


def lines(readme: str) -> list[str]:
    """Commands of the indented blocks, a continued one joined, comments left out."""
    joined = readme.replace('\\\n', ' ')
    commands = re.findall(r'^    ((?:make|\.venv/bin/python|python) .*)$', joined, re.MULTILINE)
    found = [re.sub(r'\s{2,}#.*', '', line).strip() for line in commands]
    # The tests are this very run; a line with '…' is a pattern to fill in.
    return [line for line in found if line != 'make test' and '…' not in line]


def prepare(folder: Path) -> None:
    """Puts what the README speaks of into a folder."""
    _virtual_environment(folder)
    (folder / 'configs').mkdir()
    (folder / 'configs' / 'mini.py').write_text(_TOY_CONFIG)
    shutil.copytree(GOLDEN / 'faba', folder / 'data', dirs_exist_ok=True)
    _disfa(folder / 'data' / 'DISFA')
    _photos(folder)
    _answers(folder)
    released = GOLDEN / 'released'
    shutil.copytree(released / 'llava-v1.5-tiny-mha', folder / 'weights' / 'llava-v1.5-7b')
    for name in ('runs/emola', 'emola-lora'):
        shutil.copytree(released / 'llava-v1.5-tiny-lora-emola-mha', folder / name)


def run(line: str, folder: Path, hidden: tuple[str, ...] = ('torch', 'peft')) -> Outcome:
    """Runs a line in a prepared folder, where the packages `hidden` aren't installed."""
    variables = os.environ | {'TESTS_HIDDEN': ','.join(hidden), 'CI': '1'}
    variables.pop('XLA_FLAGS', None)
    try:
        done = subprocess.run(
            ['bash', '-c', line],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(line, 124, f'did not end within {_LONGEST} s')
    # `make` has a status of its own for a command that failed.
    status = 1 if line.startswith('make') and done.returncode == 2 else done.returncode
    return Outcome(line, status, done.stdout)


def _virtual_environment(folder: Path) -> None:
    """A .venv whose Python runs this checkout, and make's stamps that say it is complete."""
    binaries, site = folder / '.venv' / 'bin', folder / '.venv' / 'site'
    binaries.mkdir(parents=True)
    site.mkdir()
    (site / 'sitecustomize.py').write_text(_WITHOUT)
    python = binaries / 'python'
    python.write_text(_PYTHON.format(site=site, checkout=CHECKOUT, python=sys.executable))
    python.chmod(0o755)
    for name in ('Makefile', 'setup.py', 'pyproject.toml', 'constraints.txt', 'README.md'):
        shutil.copy(CHECKOUT / name, folder / name)
    shutil.copytree(CHECKOUT / 'requirements', folder / 'requirements')
    (folder / '.venv' / 'runtime.stamp').touch()


def _disfa(folder: Path) -> None:
    """Every person of DISFA with one labelled frame of a drawn face."""
    for person in itertools.chain.from_iterable(PARTS.values()):
        labels = folder / 'ActionUnit_Labels' / person
        labels.mkdir(parents=True)
        for au in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26):
            (labels / f'{person}_au{au}.txt').write_text(f'1,{3 * (au % 2)}\n')
        picture = folder / 'frames' / person / '1.jpg'
        picture.parent.mkdir(parents=True)
        Image.new('RGB', (32, 32), (90, 80, 70)).save(picture)


def _photos(folder: Path) -> None:
    (folder / 'photos').mkdir()
    astronaut = Image.open(GOLDEN / 'faces' / 'astronaut.jpg')
    astronaut.save(folder / 'photos' / 'astronaut.jpg')
    small = np.asarray(astronaut.resize((128, 128)))[..., ::-1]
    video = cv2.VideoWriter(
        str(folder / 'talk.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 4.0, (128, 128)
    )
    for _ in range(4):
        video.write(small)
    video.release()


def _answers(folder: Path) -> None:
    """Answers of other models, in the files that the README names."""
    aus = {'reference': '1. AU4 - Brow Lowerer.', 'label': '4, 9', 'task': 'au'}
    emotion = {'reference': 'The face shows fear.', 'label': 'fear', 'task': 'emotion'}
    for name, row in {
        'predictions': aus | {'prediction': 'AU4 and AU9 are active.'},
        'other_model': aus | {'prediction': 'AU4 is active.', 'dataset': 'disfa'},
        'mine': emotion | {'prediction': 'This is fear.'},
        'theirs': emotion | {'prediction': 'This is anger.'},
        'runs/emotion/predictions': emotion | {'prediction': 'Fear.', 'dataset': 'faba'},
        'runs/au/predictions': aus | {'prediction': 'AU4.', 'dataset': 'faba'},
        'runs/disfa/predictions': aus | {'prediction': 'AU4.', 'dataset': 'disfa'},
    }.items():
        rows = [json.dumps(row | {'id': str(number)}) for number in range(4)]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f'{name}.jsonl').write_text('\n'.join(rows) + '\n')


def main() -> int:
    """Runs every line and says what became of it; the status is 1 if one ended unexpectedly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', nargs='?', type=Path, help='a new one; default: a temporary one')
    named = parser.parse_args().folder
    folder = (named or Path(tempfile.mkdtemp(prefix='readme_'))).resolve()
    folder.mkdir(parents=True, exist_ok=named is None)
    prepare(folder)
    faults = 0
    for line in lines((CHECKOUT / 'README.md').read_text(encoding='utf-8')):
        started = time.monotonic()
        outcome = run(line, folder)
        faults += not outcome.kind
        seconds = time.monotonic() - started
        print(f'{outcome.kind or "FAULT":<6}{seconds:6.1f} s  {line}', flush=True)
        if outcome.kind != ENDS:
            print('  ' + '\n  '.join(outcome.output.strip().splitlines()[-4:]))
    return int(faults > 0)


if __name__ == '__main__':
    sys.exit(main())
