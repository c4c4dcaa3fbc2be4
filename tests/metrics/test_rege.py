import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.metrics import rege
from emola_jax.metrics.action_units import SCORED_AUS
from emola_jax.metrics.rege import Sample
from emola_jax.metrics.scores import ClassScores
from tests.metrics.golden import RECORDED


def au_samples(confusion):
    """Samples of AU4 alone; rows of the confusion are absent and present labels."""
    return [
        Sample(f'{label}{predicted}{i}', 'AU4.' if predicted else 'AU9.', 'x', '4' if label else '')
        for label, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        for i in range(count)
    ]


@pytest.mark.parametrize(
    'case', [case for case in RECORDED['acc_f1'] if len(case['cm']) == 2 and case['cm'][0][0]]
)
def test_f1_of_one_unit_equals_the_released_script(case):
    scores = rege.score(au_samples(case['cm']), 'au', (4,))
    accuracy, f1 = case['result']['value']
    for scoring in ('reference', 'strict'):
        assert scores.by_scoring[scoring].per_au == pytest.approx({'4': 100 * f1})
        assert scores.by_scoring[scoring].accuracy_per_au == pytest.approx({'4': 100 * accuracy})


def test_strict_scoring_keeps_every_name_and_the_reference_shifts_them():
    # AU4 is neither labelled nor predicted; AU9 is half right; AU12 is right throughout.
    samples = [
        Sample('a', 'AU9 and AU12 act.', 'AU9', '9, 12'),
        Sample('b', 'AU9 and AU12 act.', 'AU9', '12'),
    ]
    scores = rege.score(samples, 'au', (4, 9, 12))
    strict, reference = scores.strict, scores.reference
    assert strict.per_au == {'4': None, '9': pytest.approx(200 / 3), '12': 100.0}
    assert strict.s_re == pytest.approx((200 / 3 + 100) / 2)
    assert strict.positives_per_au == {'4': 0, '9': 1, '12': 2}
    assert reference.per_au == {'4': pytest.approx(200 / 3)}
    assert strict.mean_f1_supported is None


def test_supported_mean_counts_units_with_five_labels():
    samples = [Sample(str(i), 'AU4.' if i else 'AU9.', 'x', '4' if i else '9') for i in range(6)]
    samples.append(Sample('wrong', 'AU4.', 'x', '9'))
    strict = rege.score(samples, 'au', (4, 9)).strict
    assert strict.per_au == pytest.approx({'4': 1000 / 11, '9': 200 / 3})
    assert strict.mean_f1_supported == pytest.approx(1000 / 11)


def test_emotion_details():
    samples = [
        Sample('a', 'The face shows fear.', 'The face shows fear.', 'fear'),
        Sample('b', 'The face shows anger.', 'The face shows fear.', 'fear'),
        Sample('c', '', 'The face shows anger.', '3'),
        Sample('d', 'They are not happy. They are angry.', 'Anger.', 'anger'),
    ]
    scores = rege.score(samples, 'emotion')
    strict = scores.strict
    assert scores.n == 4
    assert strict.s_re == 50.0
    assert strict.unparsed == 1
    assert strict.per_class['fear'] == ClassScores(
        precision=100.0,
        recall=50.0,
        f1=pytest.approx(200 / 3),
        support=2,
        f1_interval=(0.0, 100.0),
    )
    assert strict.per_class['anger'].f1 == 50.0
    assert strict.per_class['sadness'].f1 is None
    assert strict.macro_f1 == pytest.approx((200 / 3 + 50) / 2)
    rows = strict.confusion.rows
    assert dict(zip(strict.confusion.columns, rows['anger'], strict=True)) == {
        **dict.fromkeys(strict.confusion.columns, 0),
        'anger': 1,
        'unparsed': 1,
    }
    # The empty answer counts 0 in the strict mean and is left out of the other.
    assert 3 * scores.reference.s_ge == pytest.approx(4 * strict.s_ge)
    # No synonym is left after the dropped sentence: the script says happiness.
    assert scores.reference.per_class['happiness'].precision == 0.0


def test_agreement_of_codes_and_names():
    samples = [Sample('a', '1. AU4 - Brow Lowerer: x.\n2. AU9 - Chin Raiser: y.', 'x', '4')]
    assert rege.score(samples, 'au', (4, 9)).strict.au_code_name_agreement == 50.0
    samples = [Sample('a', 'AU4.', 'x', '4')]
    assert rege.score(samples, 'au', (4, 9)).strict.au_code_name_agreement is None


def test_scores_of_nothing():
    with pytest.raises(UserError, match='no samples'):
        rege.score([], 'emotion')
    with pytest.raises(UserError, match='action units to score'):
        rege.score([Sample('a', 'AU4', 'x', '4')], 'au')


ROW = {'id': 'r1', 'task': 'au', 'prediction': 'AU4.', 'reference': 'AU4.', 'label': '4'}


def test_sample_from_row():
    assert Sample.from_row(ROW) == Sample('r1', 'AU4.', 'AU4.', '4')
    assert Sample.from_row({**ROW, 'task': 'emotion'}).label == '4'
    assert Sample.from_row({**ROW, 'label': ''}).label == ''


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'prediction': None}, 'r1: prediction is None, expected a text'),
        ({'label': 'four'}, "r1: label 'four', expected FACS numbers"),
        ({'task': 'emotion', 'label': 'joy'}, "r1: label 'joy', expected 0..6 or one of happiness"),
        ({'task': 'pose'}, "r1: task 'pose', expected 'emotion' or 'au'"),
    ],
)
def test_bad_rows(change, message):
    with pytest.raises(UserError, match=message):
        Sample.from_row({**ROW, **change})


@pytest.mark.parametrize('field', ROW)
def test_missing_fields(field):
    row = {key: value for key, value in ROW.items() if key != field}
    with pytest.raises(UserError, match=f"'{field}' is missing"):
        Sample.from_row(row)


def test_scored_units_of_a_data_set_are_among_its_list():
    from emola_jax.facs import AU_LISTS

    assert SCORED_AUS.keys() == AU_LISTS.keys()
    assert all(set(SCORED_AUS[name]) <= set(AU_LISTS[name]) for name in AU_LISTS)


@pytest.mark.parametrize(
    ('task', 'labels', 'answers'),
    [
        ('emotion', ['fear', 'fear', 'anger', 'neutral'] * 5, ['fear', 'anger', 'x', 'fear'] * 5),
        ('au', ['4', '4, 9', '9', '4'] * 5, ['AU4.', 'AU4, AU9.', 'AU9.', 'No AU.'] * 5),
    ],
)
def test_chance_is_the_mean_score_of_answers_dealt_at_random(task, labels, answers):
    def scored(order):
        samples = [
            Sample(str(i), answers[j], 'A reference.', labels[i], rouge_l=0.5)
            for i, j in enumerate(order)
        ]
        return rege.score(samples, task, (4, 9), replicates=0).strict

    rng = np.random.default_rng(0)
    dealt = [scored(rng.permutation(20)).s_re for _ in range(400)]
    assert scored(range(20)).chance == pytest.approx(np.mean(dealt), abs=1.5)
