import numpy as np
import pytest

from emola_jax.config.eval import EvalConfig
from emola_jax.errors import UserError
from emola_jax.evaluation import questions as eval_plan
from emola_jax.experiment.splits import Split
from emola_jax.generation.sampler import Sampler
from input_pipeline.selection import Selection
from input_pipeline.shuffled_landmarks import deal
from tests.input_pipeline.fakes import encoder
from tests.tiny_experiment import questions

FIELDS = {
    'split': 'test',
    'batch_size': 4,
    'max_new_tokens': {'emotion': 6, 'au': 9},
    'sampler': Sampler(temperature=0.5, top_k=3),
}


def asked(count, *, blind=False, shuffled=False, **changes):
    faces = questions(count)
    split = Split(faces, Selection(np.arange(count), ()))
    config = EvalConfig(**(FIELDS | changes))
    coder = encoder(shuffle_landmarks=shuffled, seed=5)
    return eval_plan.ask(split, coder, config, blind=blind), config


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'batch_size': 0}, r'eval\.batch_size is 0'),
        ({'limit': -1}, r'eval\.limit is -1'),
        ({'max_new_tokens': {'emotion': 6}}, r'eval\.max_new_tokens\.au is None'),
    ],
)
def test_a_fault_in_it_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        EvalConfig(**(FIELDS | changes))


def test_there_are_as_few_batches_as_can_be_and_no_prompt_is_longer_than_its_batch():
    found, config = asked(26)
    batches = eval_plan.plan(found, config, rows=4)
    assert [len(batch.questions) for batch in batches] == [4, 4, 4, 1] * 2
    assert sorted(q.index for batch in batches for q in batch.questions) == list(range(26))
    for batch in batches:
        task = batch.questions[0].task
        assert {question.task for question in batch.questions} == {task}
        assert batch.max_new_tokens == FIELDS['max_new_tokens'][task]
        assert max(question.length for question in batch.questions) <= batch.length
    # Padding is spent on the few that fill a shorter bucket's last batch up.
    assert sum(b.length * len(b.questions) for b in batches) < 26 * max(b.length for b in batches)


def test_a_limit_keeps_the_first_records_of_the_split():
    found, _ = asked(26, limit=5)
    assert [question.index for question in found] == [0, 1, 2, 3, 4]


def test_blind_every_face_has_the_landmarks_of_another_of_its_task():
    found, _ = asked(12, blind=True)
    task = {question.index: question.task for question in found}
    assert all(question.landmarks_of != question.index for question in found)
    assert all(task[question.landmarks_of] == question.task for question in found)
    assert sorted(question.landmarks_of for question in found) == list(range(12))


def test_keys_differ_by_task_id_and_seed_and_by_nothing_else():
    found, _ = asked(12)
    words = {tuple(eval_plan.key_words(q, seed)) for q in found for seed in (0, 1)}
    assert len(words) == 24
    again, _ = asked(12, blind=True, limit=3)
    np.testing.assert_array_equal(
        eval_plan.key_words(again[2], 0), eval_plan.key_words(found[2], 0)
    )


@pytest.mark.parametrize('blind', [False, True])
def test_a_model_of_shuffled_landmarks_is_asked_as_it_was_trained(blind):
    """By its own seed, with every picture: the deal of the control is another one."""
    questions_, _ = asked(20, shuffled=True, blind=blind)
    tasks = [question.task for question in questions_]
    assert [question.landmarks_of for question in questions_] == deal(tasks, 5).tolist()
    assert all(question.landmarks_of != question.index for question in questions_)
    control, _ = asked(20, blind=True)
    assert [question.landmarks_of for question in control] == deal(tasks, 0).tolist()
