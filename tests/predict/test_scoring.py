"""Probabilities against the same computed by running the whole model on whole texts."""

import itertools

import jax
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from emola_jax.models.emola import Emola, unroll
from emola_jax.models.lora import merge_lora
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.predict import answer_forms, scoring, token_tree
from emola_jax.predict.token_tree import TokenTree
from tests.models.tiny import conversation, pack, pad_left, random_params
from tests.tiny_experiment import MODEL

pytestmark = pytest.mark.usefixtures('compiled_quickly')

PLAIN, PARAMS = merge_lora(Emola(MODEL), random_params(MODEL))
PROMPTS = [conversation(MODEL, length, seed=length) for length in (4, 9, 6)]
TOKENIZER = Tokenizer.byte_level()
CODES = (1, 2, 4, 12, 25)
LENGTH = 160
ENDLESS = answer_forms.AuList('AU', ' ', '')  # goes on with certainty, so that lists get long

_run = jax.jit(lambda batch: PLAIN.apply({'params': PARAMS}, batch))


def log_probs(prompt, text):
    """(log p of each byte of a text behind a prompt, log p of every byte that may come next)."""
    ids = TOKENIZER.encode(text)
    start = prompt['tokens'].shape[1]
    row = pack([prompt], length=LENGTH)
    for number, token in enumerate(ids):
        row['tokens'][0, start + number] = token
        row['positions'][0, start + number] = start + number
        row['segment_ids'][0, start + number] = 1
    given = log_softmax(np.asarray(_run(row)[0], np.float64), axis=-1)
    own = [given[start - 1 + number, token] for number, token in enumerate(ids)]
    return np.array(own), given[start - 1 + len(ids)]


def number_log_prob(prompt, text, code):
    """Log p that `code` follows and that no digit of another known code does."""
    own, behind = log_probs(prompt, text + str(code))
    onward = {
        TOKENIZER.encode(str(other)[len(str(code))])[0]
        for other in CODES
        if str(other).startswith(str(code)) and other != code
    }
    ended = np.log1p(-sum(np.exp(behind[token]) for token in onward))
    return own[len(text) :].sum() + ended


def hazards(prompt, form):
    """The documented formula, one text at a time."""
    listed, odds = [], {}
    for _ in range(len(CODES)):
        before = listed[-1] if listed else None
        given, joiner = answer_forms.stem(form, len(listed), before)
        text = answer_forms.list_text(form, listed) + given
        if before is None:
            goes_on = 1.0
            if form.rest:
                goes_on -= np.exp(log_probs(prompt, '')[1][TOKENIZER.encode(form.rest)[0]])
        else:
            goes_on = np.exp(log_probs(prompt, text + joiner)[0][len(text) :].sum())
        above = [code for code in CODES if before is None or code > before]
        share = softmax([number_log_prob(prompt, text + joiner, code) for code in above])
        p = goes_on * share
        chosen = None
        for place, code in enumerate(above):
            others = p[place + 1 :].sum() + 1 - goes_on
            odds[code] = np.clip(np.log(p[place] / max(others, 1e-300)), -30, 30)
            if odds[code] >= 0:
                chosen = code
                break
        if chosen is None or chosen == CODES[-1]:
            break
        listed.append(chosen)
    return [odds[code] for code in CODES], listed


@pytest.mark.parametrize(
    ('form', 'unrolled'),
    [
        (answer_forms.CODES, False),
        (answer_forms.CODES, True),
        (ENDLESS, False),
        (answer_forms.AuList('1.', ';', '{number}.'), False),
    ],
)
def test_action_units_follow_the_documented_formula(form, unrolled):
    expected = [hazards(prompt, form)[0] for prompt in PROMPTS]
    stems, tree = token_tree.au_lists(TOKENIZER, form, CODES)
    model, params = unroll(PLAIN, PARAMS) if unrolled else (PLAIN, PARAMS)
    rest = np.int32(TOKENIZER.encode(form.rest)[0] if form.rest else -1)
    got = scoring.au_log_odds(model, params, pad_left(PROMPTS), stems, tree, rest)
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_such_lists_go_on_behind_their_first_number():
    """What is above checks later rounds of the walk too, not the first alone."""
    assert all(hazards(prompt, ENDLESS)[1] for prompt in PROMPTS)


def test_emotions_are_a_softmax_over_whole_words():
    words = (' sad', ' sadness', ' joy')
    opening = 'It is'
    stems, tree = token_tree.words_after(TOKENIZER, opening, words)
    got = scoring.emotion_log_probs(PLAIN, PARAMS, pad_left(PROMPTS), stems, tree)
    for prompt, row in zip(PROMPTS, np.asarray(got), strict=True):
        scores = []
        for word in words:
            own, behind = log_probs(prompt, opening + word)
            longer = np.exp(behind[TOKENIZER.encode('n')[0]]) if word == ' sad' else 0.0
            scores.append(own[len(opening) :].sum() + np.log1p(-longer))
        np.testing.assert_allclose(row, log_softmax(scores), atol=2e-3)


def test_a_tree_holds_every_path_once():
    paths = [(1,), (1, 0), (1, 2), (2, 5), (4,)]
    tree = TokenTree.build(paths)
    assert tree.tokens.tolist() == [1, 2]
    assert tree.depth.tolist() == [0, 0]
    assert [tuple(t[u]) for t, u in zip(tree.targets, tree.used, strict=True)] == paths
    assert tree.longer[0][tree.has_longer[0]].tolist() == [0, 2]
    assert not tree.has_longer[1:].any()


def test_a_deep_tree_knows_the_way_to_each_node():
    tree = TokenTree.build([(1, 2, 3, 4), (1, 2, 9), (7, 2, 3)])
    assert tree.depth.tolist() == [0, 0, 1, 1, 2]
    ways = [tree.tokens[row].tolist() for row in tree.ancestors]
    assert ways == [[1], [7], [1, 2], [7, 2], [1, 2, 3]]


def test_probabilities_of_a_walk_are_those_of_a_list():
    """With every step given, the chance of a whole list is the product of its hazards."""
    rng = np.random.default_rng(3)
    goes_on, numbers = rng.uniform(0.2, 0.9, 1), rng.normal(size=(1, 4))
    odds, _ = scoring._hazards(np.log(goes_on), numbers, np.array([-1], np.int32))
    p = 1 / (1 + np.exp(-np.asarray(odds[0], np.float64)))
    direct = goes_on[0] * softmax(numbers[0])
    survived = list(itertools.accumulate(1 - p, lambda a, b: a * b, initial=1.0))
    np.testing.assert_allclose(p * survived[:-1], direct, atol=1e-5)
    np.testing.assert_allclose(survived[-1], 1 - goes_on[0], atol=1e-5)
