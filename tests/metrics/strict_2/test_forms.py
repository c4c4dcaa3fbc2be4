"""Checklists over all action units, and shares over all emotions, in every mark-up."""

import ast
import json
import random

import pytest

from emola_jax.facs import AU_LISTS, AU_NAMES, EMOTIONS
from emola_jax.metrics import action_units, emotions

FORMS = {
    'plain': lambda au, on: f'AU{au}: {"Yes" if on else "No"}',
    'lower case': lambda au, on: f'au{au}: {"yes" if on else "no"}',
    'name in brackets': lambda au, on: f'AU{au} ({AU_NAMES[au]}): {"Yes" if on else "No"}',
    'name, dash': lambda au, on: f'AU{au}: {AU_NAMES[au]} - {"Yes" if on else "No"}',
    'dash, name': lambda au, on: f'AU{au} - {AU_NAMES[au]}: {"present" if on else "absent"}',
    'bold': lambda au, on: f'- **AU{au} ({AU_NAMES[au]})**: {"Present" if on else "Not present"}',
    'numbered': lambda au, on: f'{au}. AU{au}: {"active" if on else "inactive"}',
    'name alone': lambda au, on: f'{AU_NAMES[au]}: {"yes" if on else "no"}',
    'name, code': lambda au, on: f'{AU_NAMES[au]} (AU{au}): {"Detected" if on else "Not detected"}',
    'mark before': lambda au, on: f'{"✅" if on else "❌"} AU{au} {AU_NAMES[au]}',
    'mark behind': lambda au, on: f'AU{au} {"✓" if on else "✗"}',
    'word before': lambda au, on: f'{"Yes" if on else "No"} - AU{au}',
    'mark, dash': lambda au, on: f'{"✅" if on else "❌"} - AU{au} ({AU_NAMES[au]})',
    'box': lambda au, on: f'- [{"x" if on else " "}] AU{au}',
    'box, name': lambda au, on: f'{"☑" if on else "☐"} AU{au} – {AU_NAMES[au]}',
    'equals': lambda au, on: f'AU{au:02d}_c={int(on)}',
    'blank': lambda au, on: f'AU{au} {int(on)}',
    'decimal': lambda au, on: f'AU{au}: {0.87 if on else 0.06}',
    'dash, decimal': lambda au, on: f'AU{au} – {0.73 if on else 0.12}',
    'percent': lambda au, on: f'AU{au}: {91 if on else 7}%',
    'of five': lambda au, on: f'AU{au}: {3 if on else 0}/5',
    'intensity': lambda au, on: f'AU{au}: intensity {2 if on else 0}',
    'letter': lambda au, on: f'AU{au}: {"C" if on else "none"}',
    'present': lambda au, on: f'AU{au} present: {"yes" if on else "no"}',
    'question': lambda au, on: f'Is AU{au} present? {"Yes" if on else "No"}.',
    'short question': lambda au, on: f'AU{au}? {"yes" if on else "no"}',
    'sentence': lambda au, on: f'AU{au} is {"active" if on else "not active"}.',
    'arrow': lambda au, on: f'AU{au} -> {"present" if on else "absent"}',
    'below': lambda au, on: f'AU{au}\n{"Yes" if on else "No"}',
    'full width': lambda au, on: f'AU{au}：{"是" if on else "否"}',
    'with a reason': lambda au, on: f'AU{au}: {"Yes, it moves." if on else "No, it is at rest."}',
    'with confidence': lambda au, on: f'AU{au}: {"present" if on else "absent"} (confidence 0.9)',
    'tagged': lambda au, on: f'<AU{au}>{int(on)}</AU{au}>',
    'pipes': lambda au, on: f'| AU{au} | {AU_NAMES[au]} | {"Present" if on else "Absent"} |',
    'tabs': lambda au, on: f'AU{au}\t{AU_NAMES[au]}\t{"yes" if on else "no"}',
    'decimal comma': lambda au, on: f'AU{au}: {"0,87" if on else "0,06"}',
    'gauge': lambda au, on: f'AU{au}: {"●●○○○" if on else "○○○○○"}',
    'round box': lambda au, on: f'({"x" if on else " "}) AU{au}',
    'attributes': lambda au, on: f'<unit code="AU{au}" active="{"yes" if on else "no"}"/>',
    'share, likely': lambda au, on: f'AU{au} ({AU_NAMES[au]}): {88 if on else 12}% likely',
    'reason': lambda au, on: f'AU{au}: {"present" if on else "absent"} because of the muscle',
    'pipes, sides': lambda au, on: f'| AU{au} | {AU_NAMES[au]} | {2 if on else 0} |',
    'pipes, number': lambda au, on: f'| {au} | {AU_NAMES[au]} | {"✔" if on else "✖"} |',
}
ONE_LINE = (
    'plain',
    'name in brackets',
    'equals',
    'blank',
    'decimal',
    'percent',
    'mark behind',
    'sentence',
)


def faces(seed, count=12):
    """A list of action units, and which of them act."""
    rng = random.Random(seed)
    for _ in range(count):
        listed = AU_LISTS[rng.choice(sorted(AU_LISTS))]
        yield listed, {au for au in listed if rng.random() < rng.choice((0.0, 0.3, 0.7, 1.0))}


def read(text):
    parsed = action_units.parse(text)
    return parsed if parsed is None else set(action_units.parse_label(parsed))


@pytest.mark.parametrize('form', FORMS)
def test_checklists(form):
    for listed, acting in faces(form):
        lines = [FORMS[form](au, au in acting) for au in listed]
        assert read('\n'.join(lines)) == acting
        assert (
            read('Here are the results:\n\n' + '\n'.join(lines) + '\n\nI hope this helps!')
            == acting
        )


@pytest.mark.parametrize('form', ONE_LINE)
@pytest.mark.parametrize('separator', [', ', '; ', ' '])
def test_checklists_in_one_line(form, separator):
    for listed, acting in faces(form + separator):
        assert read(separator.join(FORMS[form](au, au in acting) for au in listed)) == acting


HEADS = [
    ('**Present:** ', '**Absent:** '),
    ('Active AUs: ', 'Inactive AUs: '),
    ('Observed: ', 'Not observed: '),
    ('Detected - ', 'Not detected - '),
    ('Yes: ', 'No: '),
]


@pytest.mark.parametrize(('one', 'other'), HEADS)
def test_sections(one, other):
    for listed, acting in faces(one):
        resting = set(listed) - acting
        if acting and resting:
            first, second = (', '.join(f'AU{au}' for au in sorted(s)) for s in (acting, resting))
            assert read(f'{one}{first}\n{other}{second}') == acting
            assert read(f'{other}{second}.\n{one}{first}.') == acting
            if ':' in one:
                items = ['\n'.join(f'- AU{au}' for au in sorted(s)) for s in (acting, resting)]
                assert read(f'{one.strip()}\n{items[0]}\n\n{other.strip()}\n{items[1]}') == acting


@pytest.mark.parametrize(
    'value',
    [(1, 0), (True, False), ('yes', 'no'), ('present', 'absent'), (0.93, 0.02), ('B', None)],
)
def test_json(value):
    for listed, acting in faces(str(value)):
        flat = {f'AU{au}': value[au not in acting] for au in listed}
        named = {AU_NAMES[au]: value[au not in acting] for au in listed}
        records = [
            {'au': au, 'name': AU_NAMES[au], 'present': value[au not in acting]} for au in listed
        ]
        for made in (
            flat,
            {'aus': flat},
            {'face': {'action_units': flat}},
            named,
            records,
            {'units': records},
        ):
            for text in (json.dumps(made), json.dumps(made, indent=2), repr(made)):
                assert read(text) == acting
                assert read(f'Here it is:\n```json\n{text}\n```\nAU99 is not scored.') == acting
            assert ast.literal_eval(repr(made)) == made


def test_json_lists():
    for _, acting in faces('lists'):
        for made in (sorted(acting), [f'AU{au}' for au in acting], [AU_NAMES[au] for au in acting]):
            assert read(json.dumps({'AUs': made})) == acting
            assert (
                read(json.dumps({'emotion': 'anger', 'active_aus': made, 'reason': 'AU45'}))
                == acting
            )


SHARES = {
    'percent': lambda name, share: f'{name}: {100 * share:.0f}%',
    'percent first': lambda name, share: f'{100 * share:.0f}% {name}',
    'brackets': lambda name, share: f'{name} ({100 * share:.1f}%)',
    'decimal': lambda name, share: f'{name.capitalize()}: {share:.2f}',
    'equals': lambda name, share: f'{name}={share:.3f}',
    'of ten': lambda name, share: f'{name}: {10 * share:.0f}/10',
    'pipes': lambda name, share: f'| {name} | {share:.2f} |',
    'bold': lambda name, share: f'- **{name.capitalize()}**: {100 * share:.0f}%',
}


@pytest.mark.parametrize('form', SHARES)
@pytest.mark.parametrize('separator', ['\n', ', '])
def test_the_largest_share(form, separator):
    if separator != '\n' and form in ('pipes', 'bold'):
        separator = '\n'
    rng = random.Random(form)
    for _ in range(12):
        order = rng.sample(EMOTIONS, 7)
        shares = dict.fromkeys(order, 0.0) | dict(zip(order[:3], (0.1, 0.2, 0.7), strict=True))
        rng.shuffle(order)
        text = separator.join(SHARES[form](name, shares[name]) for name in order)
        assert emotions.parse(text) == max(shares, key=shares.__getitem__)


@pytest.mark.parametrize('emotion', EMOTIONS)
@pytest.mark.parametrize(
    'form',
    [
        'Options: happiness, sadness, surprise, anger, neutral, disgust, fear. The answer is {}.',
        '<think>It may be happiness, or fear. Perhaps anger?</think>\n{}',
        '<think>happiness</think><answer>{}</answer>',
        'The brows hint at surprise. The mouth is open. Overall, the face expresses {}.',
        'At first glance one might think of fear. The expression primarily reflects {}.',
        'In bright lighting, with mild brow movement and focus on the camera, the face shows {}.',
        'Q: Which emotion is it, happiness or sadness?\nA: {}',
        '**Emotion:** {}\n\n**Explanation:** There is no sign of happiness, fear or sadness.',
    ],
)
def test_the_conclusion_decides(form, emotion):
    assert emotions.parse(form.format(emotion)) == emotion
