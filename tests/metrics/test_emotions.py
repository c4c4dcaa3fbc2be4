import pytest

from emola_jax.facs import EMOTIONS
from emola_jax.metrics import emotions
from tests.metrics.golden import RECORDED, runs


@pytest.mark.parametrize('case', RECORDED['emotion'], ids=lambda case: repr(case['pred'][:30]))
def test_reference_scoring_equals_the_released_script(case):
    # 'value' is absent where the script crashes.
    assert emotions.reference_emotion(case['pred']) == case['description2emotion'].get('value')
    assert emotions.reference_affirmed(case['pred']) == case['remove_neg_sentences']['value']


@pytest.mark.parametrize(
    ('text', 'label'),
    [
        # 'Mr.' ends no sentence, so all of 'Joyful Mr. Noe.' goes with its 'no'.
        ('Joyful Mr. Noe. He is crying.', 1),
        # Neither does 'e.g.'.
        ('Joyful, e.g. a nose. He is crying.', 1),
        ('It is joyful. A nose is seen. He is crying.', 0),
    ],
)
def test_reference_scoring_knows_abbreviations(text, label):
    assert emotions.reference_emotion(text) == label


def test_reference_scoring_fails_the_samples_that_the_script_failed():
    (run,) = runs('emotion_ok')
    failed = {
        int(name.split('/')[-1].removesuffix('.json'))
        for name in run['files']
        if 'failed_jsons' in name
    }
    wrong = {
        i
        for i, (prediction, _, label) in enumerate(run['items'])
        if emotions.reference_emotion(prediction) != emotions.parse_label(label)
    }
    assert wrong == failed


def test_words_are_those_of_the_released_script():
    recorded = RECORDED['lists']['emotion_list']
    assert {name: set(words) for name, words in recorded.items()} == {
        name: set(words) for name, words in emotions.SYNONYMS.items()
    }
    numbers = {name.lower(): number for name, number in RECORDED['lists']['emotions2num'].items()}
    assert numbers == {name: number for number, name in enumerate(EMOTIONS)}


@pytest.mark.parametrize(
    ('text', 'emotion'),
    [
        ('The person does not look happy. They look angry and irritated.', 'anger'),
        ('The nose is wrinkled in disgust. The mouth is tense.', 'disgust'),
        ('There is notable joy in the eyes.', 'happiness'),
        ('The person is smiling; they are joyful', 'happiness'),
        ('First line\nSecond line is happy. Third.', 'happiness'),
        ('I know this is fear. There is tension and panic.', 'fear'),
        ("She isn't smiling. He is crying and shows distress.", 'sadness'),
        ('The face is neither happy nor sad, it is neutral.', 'neutral'),
        ('A serious face shows sadness.', 'sadness'),
        ('The calm and thoughtful look is positive.', 'neutral'),
        ('HAPPINESS', 'happiness'),
    ],
)
def test_strict_scoring_reads_what_is_said(text, emotion):
    assert emotions.parse(text) == emotion


@pytest.mark.parametrize(
    'text', ['', '!', '...', 'The person is not happy.', 'The brows are raised.', 'Curiosity.']
)
def test_strict_scoring_reads_no_emotion_where_none_is_affirmed(text):
    assert emotions.strict_emotion(text) is None


@pytest.mark.parametrize('label', ['fear', 'Fear', ' FEAR ', '6', 6])
def test_labels(label):
    assert emotions.parse_label(label) == 6


@pytest.mark.parametrize('label', ['7', '-1', 'joy', ''])
def test_no_labels(label):
    assert emotions.parse_label(label) is None
