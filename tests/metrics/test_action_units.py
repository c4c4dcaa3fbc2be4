import pytest

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS
from emola_jax.metrics import action_units
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


@pytest.mark.parametrize('text', ['AU04', 'AU 12', 'au12', 'Action Unit 12'])
def test_reference_scoring_misses_other_spellings(text):
    assert action_units.reference_aus(text) == set()


def test_lists_are_those_of_the_released_script():
    for dataset, indices in RECORDED['lists']['AU2indices'].items():
        assert [str(au) for au in AU_LISTS[dataset.lower()]] == list(indices)


@pytest.mark.parametrize(
    ('text', 'aus'),
    [
        ('AU12', {12}),
        ('AU 12', {12}),
        ('au12 and Au6', {6, 12}),
        ('AU04', {4}),
        ('AU_12, AU-6, AU#4', {4, 6, 12}),
        ('Action Unit 12', {12}),
        ('action units 1, 2 and 4 are active', {1, 2, 4}),
        ('AUs: 6, 12, and 25', {6, 12, 25}),
        ('AU26/27', {26, 27}),
        ('AU26-27', {26, 27}),
        ('AU1+2+5', {1, 2, 5}),
        ('AU6 + AU12', {6, 12}),
        ('AU12C and AU4b', {4, 12}),
        ('(AU25)', {25}),
        ('1. AU4 - Brow Lowerer: low.\n2. AU9 - Nose Wrinkler: creased.', {4, 9}),
        ('AU4, 3 of them', {4}),
        ('AU123 and AU99', set()),
        ('Mau12 is a name', set()),
        ('', set()),
    ],
)
def test_strict_scoring_reads_every_spelling(text, aus):
    assert action_units.strict_aus(text) == aus


@pytest.mark.parametrize(
    ('text', 'aus'),
    [
        ('AU12 is not active, but AU4 is.', {4}),
        ('AU4 is active. There is no AU12.', {4}),
        ('AU1 and AU2 without AU4', {1, 2}),
        ("AU25 isn't present; AU24 is", {24}),
        ('AU9 - Nose Wrinkler: the nose is wrinkled.', {9}),
        ('Not only AU6 but also AU12.', {6, 12}),
    ],
)
def test_strict_scoring_leaves_out_what_is_denied(text, aus):
    assert action_units.strict_aus(text) == aus


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
