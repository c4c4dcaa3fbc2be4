import re

import numpy as np
import pytest

from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.metrics import action_units, emotions
from input_pipeline.synthetic import phrases
from input_pipeline.synthetic.action_units import (
    PROTOTYPES,
    SUPPORTED_AUS,
    conflicting,
    present_aus,
)
from input_pipeline.synthetic.au_phrases import AU_PHRASES, RELATIONS
from input_pipeline.synthetic.describe import describe
from input_pipeline.synthetic.grammar import alternatives, expand, join

FORMS = ('short', 'long')


def face_of(emotion, rng):
    """Intensities as of a rendered face: the emotion's prototype, extras and asymmetry."""
    prototype = PROTOTYPES[EMOTIONS[emotion]]
    strength = rng.uniform(0.3, 1.0)
    wanted = {au: share * strength for au, share in prototype.core.items()}
    wanted |= {
        au: share * strength
        for au, (probability, share) in prototype.optional.items()
        if rng.random() < probability
    }
    wanted |= {int(rng.choice(group)): strength for group in prototype.one_of}
    for au in prototype.extras:
        if rng.random() < 0.15 and not conflicting(au, wanted):
            wanted[au] = rng.uniform(0.1, 0.8)
    return {au: two_sides(intensity, rng) for au, intensity in wanted.items()}


def two_sides(intensity, rng):
    sides = [intensity, intensity * (rng.uniform(0, 0.7) if rng.random() < 0.15 else 1.0)]
    return tuple(rng.permutation(sides))


def random_face(rng):
    """Any action units at any intensity, beyond what the rig draws."""
    chosen = rng.choice(sorted(AU_PHRASES), rng.integers(0, 10), replace=False)
    return {int(au): two_sides(rng.uniform(0, 1.5), rng) for au in chosen}


def paragraphs(response):
    """Lines of more than eight words that are not entries of the list of action units."""
    lines = response.split('\n')
    return [line for line in lines if len(line.split()) > 8 and not re.match(r'\d+\. AU', line)]


@pytest.mark.parametrize('form', FORMS)
def test_no_two_faces_share_a_response_or_a_paragraph(form):
    seen = set()
    for number in range(6000):
        rng = np.random.default_rng((7, number))
        face = face_of(number % 7, rng)
        for task in ('emotion', 'au'):
            _, response = describe(task, number % 7, face, rng, form)
            for text in {response, *paragraphs(response)}:
                assert text not in seen, text
                seen.add(text)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('sampler', ['prototype', 'random'])
def test_scoring_a_description_gives_back_its_labels(form, sampler):
    for number in range(350):
        rng = np.random.default_rng((8, number))
        emotion = number % 7
        face = face_of(emotion, rng) if sampler == 'prototype' else random_face(rng)
        _, text = describe('emotion', emotion, face, rng, form)
        assert emotions.parse(text) == EMOTIONS[emotion], text
        assert emotions.reference_emotion(text) == emotion, text
        check_words(EMOTIONS[emotion], text)
        _, text = describe('au', emotion, face, rng, form)
        label = ', '.join(str(au) for au in present_aus(face))
        assert action_units.parse(text) == label, text
        assert action_units.reference_aus(text) == set(present_aus(face)), text


def check_words(emotion, text):
    """The class word is in the first sentence; no word counts for another emotion."""
    assert emotion in words_of(text.split('.')[0]), text
    for other in EMOTIONS:
        if other != emotion:
            counted = {*emotions.SYNONYMS[other], *emotions.NAMING_WORDS[other]}
            assert counted.isdisjoint(words_of(text)), text


def words_of(text):
    return set(re.findall(r'\w+', text.lower()))


@pytest.mark.parametrize('form', FORMS)
def test_every_present_unit_is_listed_in_order_with_its_name(form):
    rng = np.random.default_rng(9)
    for _ in range(300):
        face = random_face(rng)
        _, text = describe('au', 0, face, rng, form)
        listed = re.findall(r'^(\d+)\. AU(\d+) - ([^:]+): \S', text, re.MULTILINE)
        present = present_aus(face)
        expected = [(str(i), str(au), AU_NAMES[au]) for i, au in enumerate(present, start=1)]
        assert listed == expected
        if not present:
            assert text.lower().startswith('no ')


def word_counts(form, task, faces=700):
    counts = []
    for number in range(faces):
        rng = np.random.default_rng((10, number))
        face = face_of(number % 7, rng)
        if task == 'emotion' or present_aus(face):
            counts.append(len(describe(task, number % 7, face, rng, form)[1].split()))
    return counts


@pytest.mark.parametrize(
    ('form', 'task', 'median', 'tolerance'),
    [('short', 'emotion', 40, 5), ('short', 'au', 80, 12), ('long', 'emotion', 50, 6)],
)
def test_usual_lengths(form, task, median, tolerance):
    assert np.median(word_counts(form, task)) == pytest.approx(median, abs=tolerance)


def test_long_action_unit_texts_grow_with_the_face():
    assert 150 <= np.median(word_counts('long', 'au')) <= 220


def test_a_short_text_on_nine_units_stays_short():
    rng = np.random.default_rng(11)
    for _ in range(500):
        chosen = rng.choice(SUPPORTED_AUS, 9, replace=False)
        face = {int(au): two_sides(rng.uniform(0.3, 1), rng) for au in chosen}
        assert len(describe('au', 0, face, rng, 'short')[1].split()) <= 110


@pytest.mark.parametrize(
    ('sides', 'said'),
    [
        ((0.8, 0.0), '(left only)'),
        ((0.1, 0.8), '(right only)'),
        ((0.9, 0.4), '(mostly left)'),
        ((0.8, 0.7), ''),
    ],
)
def test_the_stronger_side_is_said(sides, said):
    rng = np.random.default_rng(12)
    _, text = describe('au', 0, {4: (0.9, 0.9), 12: sides}, rng, 'short')
    line = next(line for line in text.split('\n') if 'AU12 - ' in line)
    assert re.findall(r'\(.*\)', line) == ([said] if said else [])
    _, text = describe('au', 0, {25: sides}, rng, 'short')
    assert '(' not in text  # the lips part on both sides


def test_the_strongest_units_are_the_cues_of_an_emotion():
    rng = np.random.default_rng(13)
    face = {4: (0.9, 0.9), 6: (0.3, 0.3), 9: (0.8, 0.8), 15: (0.7, 0.7), 25: (0.2, 0.2)}
    for _ in range(20):
        text = describe('emotion', 5, face, rng, 'short')[1].lower()
        assert text.index('brows are') < text.index('nose is') < text.index('corners are')
        assert 'cheeks' not in text and 'parted' not in text


def test_emphasis_names_the_strongest_unit():
    rng = np.random.default_rng(14)
    face = {1: (0.5, 0.5), 2: (0.9, 0.6), 5: (0.7, 0.7)}
    for _ in range(20):
        last = describe('au', 2, face, rng, 'short')[1].split('\n')[-1]
        assert re.search(r'AU2 (is|looks|appears|seems|remains|stands|shows|can|comes)', last)


@pytest.mark.parametrize(
    ('task', 'options'),
    [('emotion', phrases.EMOTION_INSTRUCTIONS), ('au', phrases.AU_INSTRUCTIONS)],
)
def test_instructions_are_drawn_from_at_least_thirty(task, options):
    assert len(set(options)) >= 30
    drawn = {
        describe(task, 0, {12: (1, 1)}, np.random.default_rng(i), 'short')[0] for i in range(600)
    }
    assert drawn == set(options)


def test_the_same_rng_writes_the_same_text():
    face = {1: (0.5, 0.5), 4: (0.9, 0.9)}
    first, second = (describe('au', 1, face, np.random.default_rng(3), 'long') for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    'arguments',
    [
        ('pose', 0, {}, 'short'),
        ('emotion', 7, {}, 'short'),
        ('emotion', -1, {}, 'short'),
        ('au', 0, {3: (1, 1)}, 'short'),
        ('au', 0, {}, 'medium'),
    ],
)
def test_what_does_not_exist_is_refused(arguments):
    task, emotion, aus, form = arguments
    with pytest.raises(ValueError, match=r'expected|exists'):
        describe(task, emotion, aus, np.random.default_rng(0), form)


def test_every_unit_can_be_described():
    assert AU_PHRASES.keys() == AU_NAMES.keys() >= set(SUPPORTED_AUS)
    assert all(set(group) <= AU_NAMES.keys() for group in RELATIONS)


def test_no_phrase_of_a_unit_names_an_emotion():
    words = {word for group in emotions.SYNONYMS.values() for word in group}
    words |= {word for group in emotions.NAMING_WORDS.values() for word in group}
    templates = [t for p in AU_PHRASES.values() for t in (p.clause, p.brief, p.muscle, p.effect)]
    for template in [*templates, *RELATIONS.values()]:
        for text in alternatives(template):
            assert words.isdisjoint(words_of(text)), text


def test_expand():
    template = 'a [|clear ][x|y [1|2]] and a [apple|pear]'
    texts = {expand(template, np.random.default_rng(i)) for i in range(200)}
    assert texts == {
        f'a {adjective}{letter} and {noun}'
        for adjective in ('', 'clear ')
        for letter in ('x', 'y 1', 'y 2')
        for noun in ('an apple', 'a pear')
    }
    assert join(['a']) == 'a'
    assert join(['a', 'b']) == 'a and b'
    assert join(['a', 'b', 'c']) == 'a, b, and c'
