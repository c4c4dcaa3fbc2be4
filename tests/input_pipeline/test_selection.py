import json

import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.selection import select
from tests.input_pipeline.fakes import encoder, png, record

BROKEN = {
    'no-image': {'image': b''},
    'half-image': {'image': png((1, 2, 3))[:30]},
    'short-landmarks': {'landmarks': np.zeros(210, np.float32)},
    'no-answer': {'response': ' '},
    'strange-au': {'aus': (4, 99)},
    'too-long': {'response': 'AU4 ' * 200},
}


def source():
    broken = [record(n, id=name, **change) for n, (name, change) in enumerate(BROKEN.items())]
    return [record(90), *broken, record(91)]


def choose(tmp_path, policy):
    return select(
        source(),
        encoder(),
        known_aus=(4, 9),
        needs_landmarks=True,
        needs_label=True,
        policy=policy,
        report=tmp_path / 'dropped.json',
        split='train',
    )


def test_bad_records_are_dropped_counted_and_named(tmp_path, capsys):
    selection = choose(tmp_path, 'drop')
    assert '6 of 8 records left out: ' in capsys.readouterr().out
    np.testing.assert_array_equal(selection.indices, [0, 7])
    named = {problem.record for problem in selection.dropped}
    assert named == set(BROKEN)
    assert sum(selection.reasons().values()) == len(BROKEN)
    written = json.loads((tmp_path / 'dropped.json').read_text())
    for row in written:
        assert row['record'] in row['message']


def test_the_other_policy_stops_with_the_first_and_where_the_rest_stand(tmp_path):
    with pytest.raises(UserError, match=r'6 bad records, the first: .*no-image.*dropped\.json'):
        choose(tmp_path, 'stop')


def test_an_unknown_policy_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'data\.on_bad_record'):
        choose(tmp_path, 'ignore')


def test_texts_without_a_label_are_fit_for_training_alone(tmp_path):
    unlabelled = [record(1, task='emotion', emotion=-1)]
    settings = {
        'known_aus': (4,),
        'needs_landmarks': True,
        'policy': 'stop',
        'report': tmp_path / 'dropped.json',
        'split': 'train',
    }
    assert len(select(unlabelled, encoder(), needs_label=False, **settings).indices) == 1
    with pytest.raises(UserError, match='field emotion is -1'):
        select(unlabelled, encoder(), needs_label=True, **settings)
