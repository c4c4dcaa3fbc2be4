import base64
import dataclasses
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from emola_jax.errors import UserError
from emola_jax.metrics import rege
from emola_jax.predict import calibration
from emola_jax.reporting import gallery, run_facts, run_page, scoring_differences
from tests import report_workdir
from tests.made_scores import made

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
    path = run_page.write_report(workdir)
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
        control={'emotion': made(11.25, 21.5, 32.75, chance=9.875).to_json()},
        ablation={
            'prior only': {task: made(1.125, 2.25, 3.375).to_json() for task in ('emotion', 'au')}
        },
    )
    numbers = read(workdir).numbers
    for task in ('emotion', 'au'):
        for scoring in ('strict', 'reference'):
            for measure in ('s_re', 's_ge', 's_rege'):
                value = scores[task][scoring][measure]
                assert value is None or value in numbers, (task, scoring, measure)
    assert {11.25, 21.5, 32.75, 9.875, 1.125, 2.25, 3.375} <= set(numbers)
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
        (report_workdir.faces.file_name(report_workdir.png(2)), 'png: missing'),
    ],
)
def test_missing_files_are_named(workdir, gone, message):
    (workdir / gone).unlink()
    with pytest.raises(UserError, match=message):
        run_page.write_report(workdir)


def test_damaged_scores_are_named(workdir):
    (workdir / 'scores.json').write_text('{"emotion": ')
    with pytest.raises(UserError, match=r'scores\.json: not JSON'):
        run_page.write_report(workdir)


def test_a_run_of_one_task_and_without_a_log(workdir):
    only = [row for row in report_workdir.PREDICTIONS if row['task'] == 'au']
    report_workdir.write_lines(workdir / 'predictions.jsonl', only)
    scores = json.loads((workdir / 'scores.json').read_text())
    (workdir / 'scores.json').write_text(json.dumps({'au': scores['au']}))
    (workdir / 'metrics.jsonl').unlink()
    text = read(workdir).text
    assert 'Action units: F1' in text
    assert 'truth against answer' not in text and 'Training' not in text


def without_intervals(workdir) -> dict:
    """Takes from the scores what one that does not bootstrap lacks."""
    scores = json.loads((workdir / 'scores.json').read_text())
    for task in ('emotion', 'au'):
        scores[task].pop('rouge_score', None)
        for scoring in ('strict', 'reference'):
            for key in ('interval', 'per_au_interval'):
                scores[task][scoring].pop(key, None)
            for entry in scores[task][scoring].get('per_class', {}).values():
                entry.pop('f1_interval', None)
    return report_workdir.add_to_scores(workdir, **scores)


def with_intervals(workdir) -> dict:
    """Adds what a scorer that bootstraps adds, each interval telling which score it belongs to."""
    scores = without_intervals(workdir)
    for task in ('emotion', 'au'):
        strict = scores[task]['strict']
        strict['interval'] = {'s_re': [31.125, 32.25], 's_ge': [33.5, 34.5], 's_rege': [60.5, 61.5]}
        scores[task]['rouge_score'] = {'rouge_l': 43.21}
    scores['au']['strict']['per_au_interval'] = {'4': [41.5, 42.5], '9': [0, 0], '12': [None, None]}
    scores['emotion']['strict']['per_class']['fear']['f1_interval'] = [51.5, 52.5]
    return report_workdir.add_to_scores(workdir, **scores)


def test_intervals_and_googles_rouge_are_shown_where_there_are_any(workdir):
    without_intervals(workdir)
    before = read(workdir)
    assert '95 %' not in before.text and 'rouge-score' not in before.text
    with_intervals(workdir)
    page = read(workdir)
    for shown in ('31.1–32.2', '33.5–34.5', '60.5–61.5', '41.5–42.5', '51.5–52.5'):
        assert shown in page.text, shown
    assert 'gives ROUGE-L 43.2' in page.text
    whiskers = [v['style'] for tag, v in page.tags if tag == 'b' and 'style' in v]
    assert 'left:41.50%;width:1.00%' in whiskers and 'left:51.50%;width:1.00%' in whiskers
    assert len(whiskers) == 3  # AU4, AU9 and fear


def test_how_far_probabilities_may_be_believed_is_shown_once_it_is_known(workdir):
    assert 'may be believed' not in read(workdir).text
    log_odds = np.array([[2.0, 1.0], [-1.0, 2.0], [1.0, 3.0]])
    labels = np.array([[True, False], [False, False], [False, False]])
    made = calibration.fit(np.zeros((0, 7)), np.zeros(0, int), log_odds, labels)
    areas = calibration.au_areas(log_odds, labels, (4, 6))
    about = {'au': made.about['au'] | {'roc_auc': areas}, 'split': 'validation'}
    calibration.save(workdir, dataclasses.replace(made, about=about), {'step': 40})
    page = read(workdir)
    assert 'at step 40' in page.text and 'validation split' in page.text
    assert {1.0, about['au']['ece_before'], about['au']['ece_after']} <= set(page.numbers)
    dots = [v for tag, v in page.tags if tag == 'circle']
    assert len(dots) == len(about['au']['bins_before']) + len(about['au']['bins_after'])
    assert 'AU6 Cheek Raiser –' in page.text


@pytest.mark.parametrize('content', ['{', '[]', '{"about": {}}'])
def test_a_damaged_calibration_is_named(workdir, content):
    (workdir / 'calibration.json').write_text(content)
    with pytest.raises(UserError, match=r'calibration\.json: not '):
        run_page.write_report(workdir)


def test_published_figures_stand_apart_from_rendered_faces(workdir):
    page = read(workdir)
    assert 'its scores do not compare' in page.text
    rows = [v.get('class') for tag, v in page.tags if tag == 'tr']
    assert rows.count('published') == 2 and 'measured' not in rows
    assert '96.2' in page.text and '91.38' in page.text


def test_published_figures_of_faba_bench_stand_beside_the_run_and_are_marked(tmp_path):
    workdir = report_workdir.write(tmp_path / 'run', base='llava', dataset='faba_instruct')
    page = read(workdir)
    rows = [v.get('class') for tag, v in page.tags if tag == 'tr']
    assert rows.count('published') == 2 and rows.count('measured') == 2
    assert page.text.count('†') >= 3 and 'do not compare' not in page.text


def test_the_differences_of_the_scorings_are_told(tmp_path):
    workdir = report_workdir.write(tmp_path / 'run')
    said = {
        'the nose': ('It is fear. The nose is calm.', None),
        'not happy': ('He is not happy but sad.', 'is denied'),
        'nothing': ('Who knows!', 'takes for happiness'),
        'no end': ('fear', 'stops with an error'),
        'dropped': ('The nose shows disgust. It is calm.', '“nose” contains “no”'),
    }
    rows = [
        report_workdir.row(0, 'emotion', text, 'fear', None) | {'id': name}
        for name, (text, _) in said.items()
    ]
    rows += [
        report_workdir.row(1, 'au', 'AU 4 and no AU12.', '4', '4') | {'id': 'au'},
        report_workdir.row(1, 'au', 'AU4, AU99 and AU 43.', '4', '4') | {'id': 'outside the list'},
    ]
    report_workdir.write_lines(workdir / 'predictions.jsonl', rows)
    found = {d.id: d for d in scoring_differences.differences(run_facts.load(workdir))}
    for name, (_, why) in said.items():
        assert (name in found) == (why is not None), name
        assert why is None or why in found[name].why
    assert 'outside the list' not in found
    assert found['au'].why == (
        '“AU 4” is not spelled the one way that the released script knows; AU12 is denied'
    )
    assert (found['au'].strict, found['au'].reference) == ('AU4', 'AU12')
    assert found['au'].strict_right and not found['au'].reference_right
    assert f'{len(found)} of {len(rows)} answers are read differently' in read(workdir).text


def test_without_differences_the_page_says_so(workdir):
    rows = [row for row in report_workdir.PREDICTIONS if row['id'] == 'face2/emotion']
    report_workdir.write_lines(workdir / 'predictions.jsonl', rows)
    scores = {'emotion': report_workdir.score('emotion').to_json()}
    (workdir / 'scores.json').write_text(json.dumps(scores))
    assert 'both read the same in each of the 1 answers' in read(workdir).text


def test_the_page_carries_the_text_of_its_tables(workdir):
    page = read(workdir)
    assert page.text.count('| run | strict |') == 2
    assert r'\begin{tabular}{llrrrrrr} \toprule' in page.text
    assert 'EmoLA (README)' not in page.text[page.text.index('The scores as tables') :]


FOREIGN = [
    {'id': str(i), 'prediction': text, 'reference': 'It is fear.', 'label': label}
    for i, (text, label) in enumerate([('It is fear.', '6'), ('It is joy.', 'fear')])
]


def test_answers_of_another_model_without_pictures_or_config(tmp_path):
    predictions = tmp_path / 'other.jsonl'
    # With a byte-order mark and without an end of the last line, as others write such files.
    lines = '\n'.join(json.dumps(row) for row in FOREIGN)
    predictions.write_text('\ufeff' + lines, encoding='utf-8')
    samples = [rege.Sample.from_row(row | {'task': 'emotion'}) for row in FOREIGN]
    scores = {'emotion': rege.score(samples, 'emotion')}
    out = run_page.write_scored(predictions, scores, tmp_path / 'a' / 'r.html', dataset='rafdb')
    page = Page(out.read_text())
    assert page.open_tags == [] and page.references == []
    assert 'happiness, but it is fear' in page.text and page.text.count('no picture') == 2
    assert '92.05' in page.text and 'EmoLA †' in page.text
    for absent in ('What was run', 'Training', 'show landmarks', 'rendered', 'optimiser steps'):
        assert absent not in page.text, absent


def test_a_row_of_another_model_that_lacks_a_field_is_named(tmp_path):
    predictions = tmp_path / 'other.jsonl'
    report_workdir.write_lines(predictions, [{'id': 7, 'prediction': 'x', 'label': '1'}])
    with pytest.raises(UserError, match="prediction 7: field 'reference' is missing"):
        scores = {'emotion': made(1.0, 1.0, 2.0)}
        run_page.write_scored(predictions, scores, tmp_path / 'r.html', dataset='rafdb')


def test_large_and_rare_pictures_are_shown_small(tmp_path):
    Image.new('RGB', (1200, 300), 'teal').save(tmp_path / 'wide.png')
    Image.new('RGB', (40, 50), 'teal').save(tmp_path / 'rare.bmp')
    rows = [
        FOREIGN[0] | {'image': 'wide.png'},
        FOREIGN[1] | {'image': 'rare.bmp', 'id': 'rare'},
    ]
    predictions = tmp_path / 'predictions.jsonl'
    report_workdir.write_lines(predictions, rows)
    samples = [rege.Sample.from_row(row | {'task': 'emotion'}) for row in rows]
    scores = {'emotion': rege.score(samples, 'emotion')}
    page = Page(
        run_page.write_scored(predictions, scores, tmp_path / 'r.html', dataset='x').read_text()
    )
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(image.partition(',')[2]))) for image in page.images
    ]
    assert sorted(picture.size for picture in pictures) == [(40, 50), (480, 120)]
    assert {picture.format for picture in pictures} == {'JPEG'}


@pytest.mark.parametrize('kind', ['absolute', 'above', 'link'])
def test_a_picture_outside_of_the_predictions_folder_is_not_shown(tmp_path, kind):
    Image.new('RGB', (40, 50), 'teal').save(tmp_path / 'private.png')
    folder = tmp_path / 'given'
    folder.mkdir()
    (folder / 'link.png').symlink_to('../private.png')
    places = {
        'absolute': str(tmp_path / 'private.png'),
        'above': '../private.png',
        'link': 'link.png',
    }
    report_workdir.write_lines(folder / 'p.jsonl', [FOREIGN[0] | {'image': places[kind]}])
    samples = [rege.Sample.from_row(FOREIGN[0] | {'task': 'emotion'})]
    scores = {'emotion': rege.score(samples, 'emotion')}
    with pytest.raises(UserError, match=f"'{re.escape(places[kind])}' leads out of"):
        run_page.write_scored(folder / 'p.jsonl', scores, tmp_path / 'r.html', dataset='x')


@pytest.mark.parametrize('count', [0, 1, 5, 11, 12, 13, 40])
def test_pick_never_takes_a_face_twice(count):
    ranked = [str(i) for i in range(count)]
    groups = gallery.pick(ranked, 4)
    chosen = [face for group in groups.values() for face in group]
    assert len(set(chosen)) == len(chosen) == min(count, 12)
    assert groups['best'] == ranked[:4]
    assert [int(face) for face in chosen] == sorted(int(face) for face in chosen)
    if count == 40:
        assert groups['worst'] == ranked[36:] and groups['typical'] == ranked[18:22]


def test_best_and_worst_are_ranked_by_what_was_recognised(workdir):
    cards = gallery.cards(run_facts.load(workdir), per_group=1)
    by_group = {card.group: card for card in cards}
    assert by_group['best'].name == 'face2/emotion'  # both answers right
    assert by_group['worst'].name == 'face3/emotion'  # both wrong
    assert [answer.task for answer in by_group['best'].answers] == ['emotion', 'au']
