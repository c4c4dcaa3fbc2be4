import numpy as np
import pytest

from input_pipeline.pipeline import plan_rows, train_batches
from input_pipeline.shuffled_landmarks import deal, givers
from tests.input_pipeline.fakes import encoder, record


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('tasks', [('au',) * 7, ('au', 'emotion') * 5, ('emotion', 'au', 'au')])
def test_nobody_keeps_its_own_and_each_face_is_given(tasks, seed):
    given = deal(tasks, seed)
    assert (given != np.arange(len(tasks))).all()
    if min(map(tasks.count, set(tasks))) > 1:
        assert sorted(given) == list(range(len(tasks)))
        assert [tasks[giver] for giver in given] == list(tasks)


def test_the_only_record_keeps_its_own():
    assert deal(('au',), 0).tolist() == [0]


def test_a_deal_is_of_its_seed():
    tasks = ('au',) * 20
    np.testing.assert_array_equal(deal(tasks, 3), deal(tasks, 3))
    assert (deal(tasks, 3) != deal(tasks, 4)).any()


def test_givers_are_among_the_records_in_use():
    source = [record(number) for number in range(9)]
    used = np.array([1, 4, 6, 7])
    dealt = givers(source, used, seed=0)
    assert set(dealt) == set(dealt.values()) == set(used.tolist())


def test_training_shows_another_record_the_same_in_every_epoch():
    source = [record(number) for number in range(6)]
    shown = {}
    coder = encoder(shuffle_landmarks=True)
    batches = iter(train_batches(source, coder, plan_rows(source, np.arange(6), coder)))
    for _ in range(6):  # two epochs
        batch = next(batches)
        for index, landmarks in zip(
            batch['record_index'][:, 0], batch['landmarks'][:, 0], strict=True
        ):
            giver = next(i for i, r in enumerate(source) if np.array_equal(r.landmarks, landmarks))
            assert shown.setdefault(int(index), giver) == giver != index
    batches.close()
    assert shown == givers(source, np.arange(6), seed=0)
