import pytest

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS
from emola_jax.metrics import action_units, rouge_batch
from tests.metrics.golden import RECORDED


def one_hot(aus, dataset):
    return [int(au in aus) for au in AU_LISTS[dataset.lower()]]


@pytest.mark.parametrize('case', RECORDED['au'], ids=lambda case: repr(case['pred'][:30]))
def test_reference_scoring_equals_the_released_script(case):
    for dataset, recorded in case['AU2Labels'].items():
        found = action_units.reference_aus(case['pred'])
        assert one_hot(found, dataset) == recorded['value'], dataset
    for dataset, recorded in case['AUint2Labels'].items():
        found = action_units.reference_label(case['label'])
        assert one_hot(found, dataset) == recorded['value'], dataset


def test_recorded_rouge_scores():
    cases = RECORDED['au'] + RECORDED['emotion']
    recorded = [case['rouge'].get('value', 0.0) for case in cases]
    pairs = [(case['pred'], case['ref']) for case in cases]
    assert rouge_batch.rouge_l(pairs) == pytest.approx(recorded, abs=1e-12)


@pytest.mark.parametrize('text', ['AU04', 'AU 12', 'au12', 'Action Unit 12'])
def test_reference_scoring_misses_other_spellings(text):
    assert action_units.reference_aus(text) == set()


def test_lists_are_those_of_the_released_script():
    for dataset, indices in RECORDED['lists']['AU2indices'].items():
        assert [str(au) for au in AU_LISTS[dataset.lower()]] == list(indices)


@pytest.mark.parametrize(
    ('text', 'parsed'),
    [
        ('AU9 and AU04.', '4, 9'),
        ('No facial action unit is active in this face.', ''),
        ('There are no AUs here.', ''),
        ('corn image y', None),
        ('', None),
    ],
)
def test_parse(text, parsed):
    assert action_units.parse(text) == parsed


def test_code_name_agreement():
    text = (
        '1. AU4 - Brow Lowerer: low.\n2. AU20 - lip stretcher: wide.\n'
        '3. AU12 - Cheek Raiser: up.\n4. AU43 - Eyes Closed: shut.\nAU4 and AU20 - both - act.'
    )
    assert action_units.code_name_agreement(text, (4, 12, 20)) == (2, 4)
    assert action_units.code_name_agreement('AU4: the brow is low.', (4,)) == (0, 0)


def test_unknown_data_set():
    with pytest.raises(UserError, match=r"'fer'.*faba"):
        action_units.scored_aus('fer')


@pytest.mark.parametrize('label', ['', '4, 9', '4,9', '4;9', 'AU4 AU9', ' 12 '])
def test_labels(label):
    assert action_units.is_label(label)


@pytest.mark.parametrize('label', ['four', '4.5', 'None', '4 and 9', '123'])
def test_no_labels(label):
    assert not action_units.is_label(label)
