import dataclasses
import json

import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.selection import select
from tests.input_pipeline.fakes import Letters, encoder, png, record

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


def choose(tmp_path, policy, **options):
    return select(
        source(),
        encoder(),
        known_aus=(4, 9),
        needs_landmarks=True,
        needs_label=True,
        policy=policy,
        report=tmp_path / 'dropped.json',
        split='train',
        **options,
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


def test_of_several_hosts_one_writes_and_prints_what_is_left_out(tmp_path, capsys):
    selection = choose(tmp_path, 'drop', reports=False)
    assert {problem.record for problem in selection.dropped} == set(BROKEN)
    assert 'left out' not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


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


class WithEnd(Letters):
    """Letters, and one token for what ends a turn of the template."""

    def encode(self, text):
        parts = [super(WithEnd, self).encode(part) for part in text.split('<|im_end|>')]
        return [*parts[0], *(i for part in parts[1:] for i in (self.eos_id, *part))]

    def spans(self, text):
        assert '<|im_end|>' not in text
        return super().spans(text)


@pytest.mark.parametrize('field', ['instruction', 'response'])
@pytest.mark.parametrize('label_weight', [1.0, 3.0])
def test_a_text_that_spells_the_end_of_an_answer_out_is_named_by_its_field(
    field, label_weight, tmp_path
):
    """The template itself has one end token in the prompt."""
    faces = [record(0), record(1, **{field: 'AU4. <|im_end|> AU9.'}), record(2)]
    selection = select(
        faces,
        dataclasses.replace(encoder(label_weight=label_weight), tokenizer=WithEnd()),
        known_aus=(4,),
        needs_landmarks=True,
        needs_label=True,
        policy='drop',
        report=tmp_path / 'dropped.json',
        split='train',
    )
    np.testing.assert_array_equal(selection.indices, [0, 2])
    (problem,) = selection.dropped
    assert problem.kind == 'end token in text' and f'field {field} ' in problem.message
    lengths = [len(encoder().conversation(face).tokens) for face in (faces[0], faces[2])]
    # The end of the user's turn is one token here and ten letters there.
    np.testing.assert_array_equal(selection.lengths, np.array(lengths) - 9)
