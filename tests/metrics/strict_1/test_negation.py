import time

import pytest

from emola_jax.metrics.strict_1 import negation


def denied(sentence, word):
    return negation.is_denied(sentence.index(word), negation.denied_spans(sentence))


@pytest.mark.parametrize(
    ('sentence', 'word'),
    [
        ('The person is not happy', 'happy'),
        ("He isn't happy at all", 'happy'),
        ('He doesn’t look happy', 'happy'),
        ('There is no sign of fear or anger', 'anger'),
        ('The face is not happy, sad, or angry', 'angry'),
        ('A calm face without any joy', 'joy'),
        ('Neither joy nor fear shows', 'fear'),
        ('It shows calm rather than anger', 'anger'),
        ('Anger is absent', 'Anger'),
        ('She looks calm, and fear is not visible', 'fear'),
        ('AU12 is not active', 'AU12'),
    ],
)
def test_denied(sentence, word):
    assert denied(sentence, word)


@pytest.mark.parametrize(
    ('sentence', 'word'),
    [
        ('The nose is wrinkled in disgust', 'disgust'),
        ('There is notable joy', 'joy'),
        ('The look is abnormal and sad', 'sad'),
        ('I know this is fear', 'fear'),
        ('Another unknown person is happy', 'happy'),
        ('He is not happy but angry', 'angry'),
        ('He is not happy; he is angry', 'angry'),
        ('It is not joy, it is anger', 'anger'),
        ('Not only happy but joyful', 'happy'),
        ('There is no doubt that this is fear', 'fear'),
        ('She looks calm, and fear is not visible', 'calm'),
        ('Although not smiling, the person is happy', 'happy'),
    ],
)
def test_affirmed(sentence, word):
    assert not denied(sentence, word)


def test_an_answer_that_repeats_itself_for_ever_is_read_in_no_time():
    text = 'no ' * 2000 + ', '.join(['AU4 is not'] * 1000)
    start = time.process_time()
    negation.denied_spans(text)
    assert time.process_time() - start < 5
