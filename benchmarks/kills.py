"""Kills, stops and pauses every long command at random moments, and looks for what is lost.

    python -m benchmarks.kills
    python -m benchmarks.kills --count=12 --seed=3
    python -m benchmarks.kills --numbers=6,31     (these again; the others' rows stay in the file)

Each disturbance is SIGKILL, SIGTERM, or SIGSTOP with SIGCONT some seconds later, a random while
after a stage has begun; in a run of two hosts it meets one of them. No stage begins before the
process catches SIGTERM: until Python has read the package, the signal ends it as it ends any
program. Then the same command is given
again, until it ends by itself. All must end with the bytes of a run that nobody disturbed
(parameters, predictions, scores), and with no status but 0, 1 and 75 (-9 for what was killed).
Writes benchmarks/results/kills.json.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from benchmarks import stages
from benchmarks.stages import STAGES, Place, Stage
from emola_jax.errors import Preempted
from emola_jax.files.whole import read_json, write_json

RESULTS = Path(__file__).parent / 'results' / 'kills.json'
ALLOWED = (0, 1, Preempted.EXIT_STATUS, -signal.SIGKILL)
SIGNALS = ('SIGKILL', 'SIGTERM', 'SIGSTOP')
_STARTS = 8
"""Starts after which a command that never ends by itself is given up."""


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """One signal.

    Attributes:
      stage: where it comes.
      hosts: of the run.
      victim: the host that it meets.
      signal: its name.
      delay: seconds after the stage has begun.
      pause: seconds until SIGCONT.
    """

    stage: Stage
    hosts: int
    victim: int
    signal: str
    delay: float
    pause: float


def main() -> None:
    """Runs it all; exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=60, help='disturbances')
    parser.add_argument('--seed', type=int, default=0, help='of signals and moments')
    every = ','.join(stage.name for stage in STAGES)
    parser.add_argument('--stages', default=every, help=f'some of {every}')
    parser.add_argument('--hosts', default='1,2', help='of a run: 1, 2 or both')
    parser.add_argument('--numbers', default='', help='only these, from 0; see above')
    arguments = parser.parse_args()
    hosts = [int(count) for count in arguments.hosts.split(',')]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        chosen = [stage for stage in STAGES if stage.name in arguments.stages.split(',')]
        calm, expected = undisturbed(root, {stage.job for stage in chosen}, hosts)
        numbers = [int(number) for number in arguments.numbers.split(',') if number]
        former = read_json(RESULTS) if numbers else {'commands': [], 'disturbances': []}
        rows = former['disturbances'] or [{}] * arguments.count
        about = stages.circumstances()
        about = {'commands': [*former['commands'], about.pop('command')], **about}
        disturbances = drawn(arguments.count, arguments.seed, chosen, hosts)
        for number in numbers or range(arguments.count):
            rows[number] = disturbed(disturbances[number], root / str(number), calm, expected)
            print(json.dumps(rows[number]), flush=True)
            good = sum(bool(row) and row['same_bytes'] and row['statuses_allowed'] for row in rows)
            done = [row for row in rows if row]
            write_json(RESULTS, {**about, 'good': good, 'disturbances': done})
    print(f'{good} of {len(rows)} ended with the same bytes and allowed statuses')
    sys.exit(good != len(rows))


def drawn(
    count: int, seed: int, chosen: Sequence[Stage], hosts: Sequence[int]
) -> list[Disturbance]:
    """`count` disturbances: stages, hosts and signals in turn, so that all meet; moments random."""
    rng = random.Random(seed)
    kinds = [
        (stage, number) for stage in chosen for number in (hosts if stage.job == 'main' else (1,))
    ]
    rng.shuffle(kinds)
    made = []
    for number in range(count):
        stage, hosts = kinds[number % len(kinds)]
        signal_name = SIGNALS[(number + number // len(kinds)) % len(SIGNALS)]
        delay, pause = rng.uniform(0, 1.5), rng.uniform(2, 12)
        made.append(Disturbance(stage, hosts, rng.randrange(hosts), signal_name, delay, pause))
    return made


Expected = dict[tuple[str, int], dict[str, str]]
"""Hashes by job and number of hosts, whose sums are rounded in another order."""


def undisturbed(root: Path, jobs: set[str], hosts: Collection[int]) -> tuple[Place, Expected]:
    """The commands to their ends, alone; those that read a run have one made."""
    cache = stages.new_cache(root / 'calm' / 'cache', root / 'compiled')
    place = Place(root / 'calm' / 'run1', root / 'calm' / 'none', cache)
    expected: Expected = {}
    counts = set(hosts) if 'main' in jobs else set()
    if jobs & READ_A_RUN:
        counts.add(1)
    for number in sorted(counts):
        run = dataclasses.replace(place, run=root / 'calm' / f'run{number}')
        expected['main', number] = _ends('main', run, number)
    for job in sorted(set(jobs) - {'main'}):
        expected[job, 1] = _ends(job, dataclasses.replace(place, out=root / 'calm' / job), 1)
    return place, expected


READ_A_RUN = {'predict', 'calibrate', 'convert'}
"""Commands that need a finished run."""


def _ends(job: str, place: Place, hosts: int) -> dict[str, str]:
    output = place.cache.parent / f'{job}{hosts}.txt'
    processes = stages.start(job, place, output, hosts)
    with stages.ended(processes):
        statuses = stages.wait(processes)
    if any(statuses):
        raise RuntimeError(f'{job} ended with {statuses}:\n{output.read_text()[-2000:]}')
    return stages.result(job, place)


def disturbed(one: Disturbance, folder: Path, calm: Place, expected: Expected) -> dict[str, Any]:
    """One command, disturbed once and started again until it ends by itself.

    Returns:
      What was done, every host's statuses start by start, and what is wrong.
    """
    job = one.stage.job
    place = _prepared(one, folder, calm)
    output, statuses, hit = folder / 'output.txt', [], False
    for start in range(_STARTS):
        processes = stages.start(job, place, output, one.hosts)
        with stages.ended(processes):
            if start == 0:
                hit = _strike(one, processes, place)
            statuses.append(stages.wait(processes))
        if not any(statuses[-1]):
            break
    found = stages.result(job, place) if not any(statuses[-1]) else {}
    flat = [status for of_start in statuses for status in of_start]
    return {
        'stage': one.stage.name,
        'hosts': one.hosts,
        'victim': one.victim,
        'signal': one.signal,
        'seconds_into_stage': round(one.delay, 2),
        'met_a_running_command': hit,
        'statuses': statuses,
        'statuses_allowed': all(status in ALLOWED for status in flat)
        and (one.signal == 'SIGKILL' or -signal.SIGKILL not in flat),
        'same_bytes': found == expected[job, one.hosts],
    }


def _prepared(one: Disturbance, folder: Path, calm: Place) -> Place:
    """A place of its own, with what the command needs: a finished run, a built data set."""
    cache = stages.new_cache(folder / 'cache', (calm.cache / 'compiled').resolve())
    run = calm.run if one.stage.job in ('predict', 'convert') else folder / 'run'
    if one.stage.job == 'calibrate':
        shutil.copytree(calm.run, run, ignore=shutil.ignore_patterns('calibration.json'))
    if one.stage.job != 'tower' and one.stage.name not in ('start-up', 'data build'):
        shutil.copytree(calm.cache / 'datasets', cache / 'datasets')
    return Place(run, folder / 'out', cache)


def _strike(one: Disturbance, processes: list[Any], place: Place) -> bool:
    """Sends the signal; whether the command was still running."""
    victim = processes[one.victim]
    while not (_catches_sigterm(victim.pid) and one.stage.begun(place)):
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(0.02)
    time.sleep(one.delay)
    if victim.poll() is not None:
        return False
    victim.send_signal(getattr(signal, one.signal))
    if one.signal == 'SIGSTOP':
        time.sleep(one.pause)
        victim.send_signal(signal.SIGCONT)
    return True


def _catches_sigterm(pid: int) -> bool:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f'/proc/{pid}/status').read_text().splitlines()
        caught = next(line for line in lines if line.startswith('SigCgt:'))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


if __name__ == '__main__':
    main()
