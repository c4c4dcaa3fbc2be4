"""Rows that are refilled write what every question gets by itself."""

import re

import jax
import numpy as np
import pytest

from emola_jax.evaluation import evaluate, scheduler
from emola_jax.files.whole import read_jsonl
from emola_jax.generation import continuous
from tests.tiny_experiment import questions, tiny_experiment

pytestmark = pytest.mark.usefixtures('compiled_quickly')

FACES = questions(13)


def evaluated(workdir, *, refill, batch_size=5, devices=1, temperature=0.0, faces=FACES):
    """Lines of predictions.jsonl."""
    asked = {
        'batch_size': batch_size,
        'refill': refill,
        'sampler': {'temperature': temperature},
        'max_new_tokens': {'emotion': 5, 'au': 9},
    }
    experiment = tiny_experiment(
        workdir, faces=faces, devices=devices, lively=True, evaluation=asked
    )
    evaluate.evaluate(experiment, experiment.trainable, step=0)
    return read_jsonl(workdir / 'predictions.jsonl')


def one_by_one(workdir, temperature):
    rows = evaluated(workdir, refill=0, batch_size=1, temperature=temperature)
    assert len({row['prediction'] for row in rows}) > 5
    assert len({len(row['prediction']) for row in rows}) > 1  # else none would end before another
    return rows


@pytest.fixture(scope='module')
def greedy(tmp_path_factory):
    return one_by_one(tmp_path_factory.mktemp('one'), 0.0)


@pytest.mark.parametrize(('devices', 'batch_size', 'refill'), [(1, 5, 3), (8, 8, 8), (2, 6, 2)])
def test_refilled_rows_write_what_one_at_a_time_writes(
    greedy, devices, batch_size, refill, tmp_path
):
    found = evaluated(tmp_path, refill=refill, batch_size=batch_size, devices=devices)
    assert found == greedy


def test_so_they_do_where_tokens_are_drawn(tmp_path):
    found = evaluated(tmp_path / 'refilled', refill=3, temperature=1.0)
    assert found == one_by_one(tmp_path / 'one', 1.0)


class Killed(BaseException):
    pass


def test_a_killed_one_goes_on_behind_its_answers(greedy, tmp_path, monkeypatch):
    advance, admitted = continuous.advance, []

    def dying(*args):
        if len(admitted) > 1:
            raise Killed
        admitted.append(1)
        return advance(*args)

    monkeypatch.setattr(continuous, 'advance', dying)
    with pytest.raises(Killed):
        evaluated(tmp_path / 'killed', refill=3)
    monkeypatch.setattr(continuous, 'advance', advance)
    written = read_jsonl(tmp_path / 'killed' / 'answers' / 'host0.jsonl')
    assert 0 < len(written) < len(FACES)
    asked = []
    answers = scheduler.answers
    monkeypatch.setattr(
        scheduler,
        'answers',
        lambda settings, params, left, *rest: (
            asked.extend(left) or answers(settings, params, left, *rest)
        ),
    )
    assert evaluated(tmp_path / 'killed', refill=3) == greedy
    assert len(asked) == len(FACES) - len(written)


def test_rows_are_busy_but_at_the_end(tmp_path, monkeypatch):
    """Steps that are done, against those of batches that wait for their longest answer."""
    steps = []
    advance = continuous.advance

    def counting(settings, params, state, wanted):
        before = int(state.time)
        after = advance(settings, params, state, wanted)
        steps.append(int(after.time) - before)
        return after

    monkeypatch.setattr(continuous, 'advance', counting)
    faces = [face for face in questions(40) if face.task == 'au']
    rows = evaluated(tmp_path, refill=1, batch_size=4, faces=faces)
    lengths = sorted(len(row['prediction']) + row['finished'] for row in rows)
    waiting = sum(max(lengths[i : i + 4]) - 1 for i in range(0, len(lengths), 4))
    assert sum(steps) <= sum(lengths) / 4 + max(lengths)
    assert sum(steps) >= sum(lengths) / 4 - len(lengths)
    assert waiting >= sum(lengths) / 4 - len(lengths)


def test_no_prompt_is_sent_to_another_device(tmp_path):
    """The program that gives rows new prompts moves nothing between the devices."""
    asked = {'batch_size': 16, 'refill': 8}
    experiment = tiny_experiment(tmp_path, faces=FACES, devices=8, lively=True, evaluation=asked)
    texts = []
    admit = continuous.admit

    def reading(*args):
        texts.append(admit.lower(*args).compile().as_text())
        return admit(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(continuous, 'admit', reading)
        evaluate.evaluate(experiment, experiment.trainable, step=0)
    assert texts
    moved = re.findall(r'(all-gather|all-to-all|collective-permute)\(', '\n'.join(texts))
    assert not moved
    assert len(jax.devices()) == 8
    assert np.prod(list(experiment.mesh.shape.values())) == 8
