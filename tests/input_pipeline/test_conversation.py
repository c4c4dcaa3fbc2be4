import numpy as np

from input_pipeline.conversation import (
    TEMPLATES,
    VISUAL_TOKEN,
    conversation,
    prompt_tokens,
)


class Letters:
    """One token a character."""

    bos_id = 1
    eos_id = 2

    def encode(self, text):
        return [ord(letter) + 10 for letter in text]

    def spans(self, text):
        return [(i, i + 1) for i in range(len(text))]


def text_of(tokens):
    marks = {VISUAL_TOKEN: '#', 1: '<s>', 2: '</s>'}
    return ''.join(marks.get(t) or chr(t - 10) for t in tokens)


def test_chatml_reads_as_smollm_writes_it():
    tokens = prompt_tokens(Letters(), TEMPLATES['chatml'], ' Which AUs? ', 3)
    assert text_of(tokens) == (
        '<|im_start|>user\n###\nWhich AUs?<|im_end|>\n<|im_start|>assistant\n'
    )


def test_vicuna_reads_as_the_released_training_code_writes_it():
    tokens = prompt_tokens(Letters(), TEMPLATES['vicuna_v1'], 'Which AUs?', 2)
    assert text_of(tokens) == (
        '<s>A chat between a curious user and an artificial intelligence assistant. The assistant '
        "gives helpful, detailed, and polite answers to the user's questions. USER: ##\nWhich AUs? "
        'ASSISTANT:'
    )


def test_the_training_example_continues_the_evaluation_prompt_and_trains_the_answer_and_its_end():
    template = TEMPLATES['chatml']
    prompt = prompt_tokens(Letters(), template, 'Q', 2)
    talk = conversation(Letters(), template, 'Q', 'An answer.', 2)
    whole = [*prompt, *Letters().encode('An answer.'), 2]
    np.testing.assert_array_equal(talk.tokens, whole[:-1])
    trained = talk.targets[talk.loss_weights > 0]
    assert text_of(trained) == 'An answer.</s>'
    # Each target is the token that follows its input.
    where = np.flatnonzero(talk.loss_weights)
    np.testing.assert_array_equal(trained, np.asarray(whole)[where + 1])
    assert (talk.targets[talk.loss_weights == 0] == 0).all()
    assert talk.tokens.dtype == np.int32
    assert talk.loss_weights.dtype == np.float32


def test_without_a_picture_the_line_break_behind_it_is_gone():
    for name, text in (
        ('chatml', '<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n'),
        ('vicuna_v1', ' questions. USER: Q ASSISTANT:'),
    ):
        assert text_of(prompt_tokens(Letters(), TEMPLATES[name], 'Q', 0)).endswith(text)


def test_braces_in_an_instruction_are_text():
    tokens = prompt_tokens(Letters(), TEMPLATES['chatml'], 'What of {this}?', 0)
    assert 'What of {this}?' in text_of(tokens)


def weighted(task, response):
    talk = conversation(
        Letters(), TEMPLATES['chatml'], 'Q', response, 2, task=task, label_weight=5.0
    )
    assert set(talk.loss_weights) <= {0.0, 1.0, 5.0}
    return text_of(talk.targets[talk.loss_weights == 5])


def test_the_label_weighs_more_where_it_is_stated_and_nowhere_else():
    answer = (
        '1. AU4 - Brow Lowerer: the brows.\n2. AU12 - Puller: up.\nAU4 and AU12 relate, not AU9.'
    )
    assert weighted('au', answer) == '1. AU42. AU12'
    assert weighted('emotion', 'The face shows Anger; anger is strong.') == 'Anger'
    assert weighted('au', 'No action unit is active.') == ''
