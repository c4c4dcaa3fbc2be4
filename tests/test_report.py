import base64
import io
import json
from html.parser import HTMLParser

import pytest
from PIL import Image

from emola_jax import report, report_data, report_gallery
from emola_jax.errors import UserError
from tests import report_workdir

VOID = {'meta', 'img', 'input', 'br', 'link'}


class Page(HTMLParser):
    """What a browser would load, show and run."""

    def __init__(self, text: str):
        super().__init__()
        self.references, self.images, self.numbers = [], [], []
        self.tags, self.open_tags, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        if tag not in VOID:
            self.open_tags.append(tag)
        for name in ('src', 'href', 'xlink:href', 'poster', 'data', 'action'):
            if name in values:
                self.references.append(values[name])
        if tag == 'img':
            self.images.append(values['src'])
        if tag == 'data':
            self.numbers.append(float(values['value']))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return ' '.join(' '.join(self.texts).split())


@pytest.fixture
def workdir(tmp_path):
    return report_workdir.write(tmp_path / 'run')


def read(workdir) -> Page:
    path = report.write_report(workdir)
    assert path == workdir / 'report.html'
    return Page(path.read_text(encoding='utf-8'))


def test_page_is_well_formed_and_needs_nothing_else(workdir):
    page = read(workdir)
    assert page.open_tags == []
    assert page.references == page.images != []
    style = (workdir / 'report.html').read_text()
    assert 'http' not in style and '@import' not in style and 'url(' not in style
    assert not [tag for tag, _ in page.tags if tag in ('script', 'link', 'iframe')]


def test_every_picture_is_a_face_of_the_run(workdir):
    shown = []
    for source in read(workdir).images:
        head, _, content = source.partition(',')
        assert head == 'data:image/png;base64'
        shown.append(base64.b64decode(content, validate=True))
        assert Image.open(io.BytesIO(shown[-1])).size == (6, 6)
    assert sorted(shown) == sorted(report_workdir.png(face) for face in range(4))


def test_numbers_are_those_of_scores_json(workdir):
    scores = report_workdir.add_to_scores(
        workdir,
        control={'emotion': {'strict': {'s_re': 11.25, 's_ge': 21.5, 's_rege': 32.75}}},
        ablation={
            'prior only': {
                task: {'strict': {'s_re': 1.125, 's_ge': 2.25, 's_rege': 3.375}}
                for task in ('emotion', 'au')
            }
        },
    )
    numbers = read(workdir).numbers
    for task in ('emotion', 'au'):
        for scoring in ('strict', 'reference'):
            for measure in ('s_re', 's_ge', 's_rege'):
                value = scores[task][scoring][measure]
                assert value is None or value in numbers, (task, scoring, measure)
    assert {11.25, 21.5, 32.75, 1.125, 2.25, 3.375} <= set(numbers)
    assert set(scores['au']['strict']['per_au'].values()) - {None} <= set(numbers)


def test_guess_is_the_score_of_answering_without_looking(workdir):
    page = read(workdir)
    assert 75.0 in page.numbers  # three faces of four show fear
    assert 'always “fear”' in page.text
    # Always naming all: AU4 and AU12 are on 2 of 4 faces (F1 2/3), AU9 on none (F1 0).
    assert any(number == pytest.approx(100 * (2 / 3 + 2 / 3 + 0) / 3) for number in page.numbers)


def test_texts_are_escaped(workdir):
    page = read(workdir)
    assert report_workdir.HOSTILE in page.text
    assert 'A base <b>of nothing</b>' in page.text
    assert 'alert("x")' not in (workdir / 'report.html').read_text()


def test_verdicts_of_emotions(workdir):
    text = read(workdir).text
    assert 'happiness, but it is fear' in text
    assert 'no emotion named, but it is fear' in text


def test_verdicts_of_action_units(workdir):
    chips = [
        (values['class'].removeprefix('chip '), values['title'])
        for tag, values in read(workdir).tags
        if tag == 'span' and 'title' in values and values['class'].startswith('chip ')
    ]
    assert sorted(chips) == [
        ('extra', 'Nose Wrinkler: extra'),
        ('hit', 'Brow Lowerer: hit'),
        ('hit', 'Lip Corner Puller: hit'),
        ('missed', 'Brow Lowerer: missed'),
        ('missed', 'Lip Corner Puller: missed'),
    ]


def test_landmarks_are_drawn_where_there_are_any(workdir):
    drawings = [
        values['d'] for tag, values in read(workdir).tags if values.get('d', '').count('h0') == 106
    ]
    assert len(drawings) == 3  # face 1 has none
    assert drawings[0].startswith('M-0.900 ')


def test_what_was_run_is_told(workdir):
    text = read(workdir).text
    for part in ('abc123', 'too long: 2', 'lora.rank 4', 'seed 7', 'jax 0.10', '8 optimiser steps'):
        assert part in text, part


@pytest.mark.parametrize(
    ('base', 'dataset', 'rendered', 'not_clip', 'random'),
    [
        ('embedded', 'synthetic_faces', True, True, False),
        ('random', 'synthetic_faces', True, False, True),
        ('llava', 'faba_instruct', False, False, False),
    ],
)
def test_note_on_what_the_faces_are(tmp_path, base, dataset, rendered, not_clip, random):
    text = read(report_workdir.write(tmp_path, base=base, dataset=dataset)).text
    assert ('rendered, not photographed' in text) == rendered
    assert ('it is not CLIP' in text) == not_clip
    assert ('base weights are random' in text) == random


@pytest.mark.parametrize(
    ('gone', 'message'),
    [
        ('scores.json', 'scores.json: missing'),
        ('config.json', 'config.json: missing'),
        ('predictions.jsonl', 'no answers here'),
        (report_workdir.report_faces.file_name(report_workdir.png(2)), 'png: missing'),
    ],
)
def test_missing_files_are_named(workdir, gone, message):
    (workdir / gone).unlink()
    with pytest.raises(UserError, match=message):
        report.write_report(workdir)


def test_damaged_scores_are_named(workdir):
    (workdir / 'scores.json').write_text('{"emotion": ')
    with pytest.raises(UserError, match=r'scores\.json: not JSON'):
        report.write_report(workdir)


def test_a_run_of_one_task_and_without_a_log(workdir):
    only = [row for row in report_workdir.PREDICTIONS if row['task'] == 'au']
    report_workdir.write_lines(workdir / 'predictions.jsonl', only)
    scores = json.loads((workdir / 'scores.json').read_text())
    (workdir / 'scores.json').write_text(json.dumps({'au': scores['au']}))
    (workdir / 'metrics.jsonl').unlink()
    text = read(workdir).text
    assert 'Action units: F1' in text
    assert 'truth against answer' not in text and 'Training' not in text


@pytest.mark.parametrize('count', [0, 1, 5, 11, 12, 13, 40])
def test_pick_never_takes_a_face_twice(count):
    ranked = [str(i) for i in range(count)]
    groups = report_gallery.pick(ranked, 4)
    chosen = [face for group in groups.values() for face in group]
    assert len(set(chosen)) == len(chosen) == min(count, 12)
    assert groups['best'] == ranked[:4]
    assert [int(face) for face in chosen] == sorted(int(face) for face in chosen)
    if count == 40:
        assert groups['worst'] == ranked[36:] and groups['typical'] == ranked[18:22]


def test_best_and_worst_are_ranked_by_what_was_recognised(workdir):
    cards = report_gallery.cards(report_data.load(workdir), per_group=1)
    by_group = {card.group: card for card in cards}
    assert by_group['best'].name == 'face2/emotion'  # both answers right
    assert by_group['worst'].name == 'face3/emotion'  # both wrong
    assert [answer.task for answer in by_group['best'].answers] == ['emotion', 'au']
