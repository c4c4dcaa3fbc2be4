"""The folder of answers: what is gone on with, and what damage is said of it."""

import csv
import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emola_jax.errors import UserError
from emola_jax.experts.finder import make_face
from emola_jax.files import csv_files
from emola_jax.files.whole import read_jsonl
from emola_jax.predict import page
from emola_jax.predict.inputs import Shot
from emola_jax.predict.listing import Input
from emola_jax.predict.model import FaceAnswer
from emola_jax.predict.results import Results
from tests.experts.faces import rendered

SETTINGS = {'run': '/runs/mini', 'step': 4, 'ask': []}
POINTS = rendered()[1][0].reshape(106, 2) * 8 + 16
PIXELS = np.zeros((32, 32, 3), np.uint8)


def answer(text='', emotion='fear'):
    face = make_face(PIXELS, POINTS, 0.9)
    return FaceAnswer(
        *(face.box, face.score, face.points, face.landmarks, face.crop),
        emotions={emotion: 0.75, 'anger': 0.25},
        aus={4: 0.75, 12: 0.5},
        emotion_text=text,
        au_text=text,
    )


def photo(path, content=b'x'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Input.of(path)


def shot(one, seconds=None, fault=''):
    pixels = None if fault else PIXELS
    return one, Shot(str(one.path), one.path, seconds, pixels, fault, (32, 32))


def go_on(folder, *inputs, overwrite=False, **changed):
    return Results.open(folder, SETTINGS | changed, inputs, overwrite=overwrite)


@pytest.fixture
def answered(tmp_path):
    """A folder with three photos: one face, none, two faces."""
    inputs = [photo(tmp_path / f'{n}.jpg') for n in range(3)]
    results = go_on(tmp_path / 'out', *inputs)
    results.add([shot(one) for one in inputs], [[answer('a\u2028b\x85c\r\nd')], [], [answer()] * 2])
    return tmp_path / 'out', inputs


def test_what_is_unchanged_is_kept_and_reads_as_it_was_written(answered):
    folder, inputs = answered
    results = go_on(folder, *inputs)
    assert [row['faces'] for row in results.photos()] == [1, 0, 2]
    assert results.faces()[0]['emotion_text'] == 'a\u2028b\x85c\r\nd'
    results.write_table()
    with (folder / 'predictions.csv').open(newline='', encoding='utf-8') as file:
        table = list(csv.DictReader(file))
    assert [(row['photo'], row['file'], row['emotion_text']) for row in table] == [
        (row['photo'], row['file'], row['emotion_text']) for row in results.faces()
    ]


def test_rows_of_a_replaced_file_and_its_picture_go(answered, tmp_path):
    folder, inputs = answered
    results = go_on(folder, *inputs)
    (row,) = [row for row in results.photos() if row['photo'].endswith('2.jpg')]
    drawn = results.overlay(row)
    drawn.parent.mkdir()
    drawn.write_bytes(b'old')
    now = photo(tmp_path / '2.jpg', b'other')
    results = go_on(folder, *inputs[:2], now)
    assert [Path(row['photo']).name for row in results.photos()] == ['0.jpg', '1.jpg']
    assert len(results.faces()) == 1 and not drawn.exists()
    os.utime(inputs[0].path, ns=(1, 1))
    results = go_on(folder, Input.of(inputs[0].path))
    assert [Path(row['photo']).name for row in results.photos()] == ['1.jpg']


def test_what_could_not_be_read_is_tried_again(answered, tmp_path):
    folder, inputs = answered
    bad = photo(tmp_path / 'bad.jpg')
    go_on(folder, *inputs, bad).add([shot(bad, fault='bad.jpg: torn')], [[]])
    assert len(go_on(folder, *inputs).photos()) == 4
    assert len(go_on(folder, *inputs, bad).photos()) == 3


def test_a_photo_whose_faces_are_not_all_there_is_answered_again(answered):
    folder, inputs = answered
    path = folder / 'predictions.jsonl'
    path.write_bytes(path.read_bytes()[:-20])  # the last line is cut
    results = go_on(folder, *inputs)
    assert [row['faces'] for row in results.photos()] == [1, 0]
    assert len(results.faces()) == 1
    path.unlink()
    assert [row['faces'] for row in go_on(folder, *inputs).photos()] == [0]


def test_faces_that_two_writers_left_twice_are_answered_again(answered):
    folder, inputs = answered
    for name in ('predictions.jsonl', 'photos.jsonl'):
        (folder / name).write_bytes((folder / name).read_bytes() * 2)
    results = go_on(folder, *inputs)
    assert [row['faces'] for row in results.photos()] == [0]
    assert results.faces() == []


def test_names_made_of_names_are_unique_and_stay(tmp_path):
    names = ['a/x.jpg', 'a__x.jpg', 'A/X.JPG', 'b/talk.mp4', '字' * 80 + '.jpg']
    names += [os.fsdecode(b'\xff.jpg'), 'line\nbreak.jpg', '-x.jpg', '[a].jpg', 'me@1.000s']
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        inputs = [photo(Path(name)) for name in names]
        results = go_on(tmp_path / 'out', *inputs)
        stems = [results.stem(one) for one in inputs]
        results.add([shot(one) for one in inputs], [[] for _ in inputs])
        again = go_on(tmp_path / 'out', *inputs[::-1])
        assert [again.stem(one) for one in inputs] == stems
    finally:
        os.chdir(before)
    assert stems[0] == 'a__x.jpg' and stems[3] == 'b__talk.mp4'
    assert len({stem.casefold() for stem in stems}) == len(names)
    for row in again.photos():
        assert again.overlay(row).parent == tmp_path / 'out' / 'overlays'


def test_two_videos_of_one_name_have_a_time_line_each(tmp_path):
    videos = [photo(tmp_path / folder / 'talk.mp4') for folder in 'ab']
    results = go_on(tmp_path / 'out', *videos)
    for video in videos:
        results.add([shot(video, second) for second in (0.0, 0.5)], [[answer()], [answer()]])
    page.write_page(results, title='x', about=[], limit=9)
    assert len(list((tmp_path / 'out' / 'timelines').iterdir())) == 2
    page.write_page(results, title='x', about=[], limit=9)
    assert len(list((tmp_path / 'out' / 'timelines').iterdir())) == 2


def test_a_page_shows_no_picture_that_has_changed(answered, tmp_path):
    folder, inputs = answered
    results = go_on(folder, *inputs)
    for change in (b'other', b'not read'):
        inputs[0].path.write_bytes(change)
        text = page.write_page(results, title='x', about=[], limit=9).read_text()
        assert 'no longer there, or has changed' in text and 'data:image' not in text


@pytest.mark.parametrize('name', ['photos.jsonl', 'predictions.jsonl'])
@pytest.mark.parametrize(
    ('line', 'said'),
    [
        (b'no json', 'not JSON'),
        (b'{"photo": "x.j', 'not JSON'),
        (b'null', 'expected a JSON object'),
        (b'[]', 'expected a JSON object'),
        (b'{}', "field 'photo' is missing"),
        (b'\xff\xfe', 'not UTF-8'),
        (b'{"photo": 7}', "field 'photo' is 7, expected a text"),
        (b'{"photo": "\\ud800"}', "field 'photo' is"),
    ],
)
def test_a_damaged_line_is_named_with_a_way_out(answered, name, line, said):
    folder, inputs = answered
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    (folder / name).write_bytes(b''.join([lines[0], line + b'\n', *lines[1:]]))
    with pytest.raises(UserError) as caught:
        go_on(folder, *inputs)
    message = str(caught.value)
    assert message.startswith(f'{folder / name}, line 2: ') and said in message
    assert message.endswith('give another --out, or replace the answers with --overwrite')
    message.encode()
    assert go_on(folder, *inputs, overwrite=True).photos() == []


@pytest.mark.parametrize(
    'content', [b'', b'{', b'null', b'[]', b'"x"', b'\xff', b'{}', b'{"step":1}']
)
def test_damaged_settings_are_named_with_a_way_out(answered, content):
    folder, inputs = answered
    (folder / 'settings.json').write_bytes(content)
    with pytest.raises(UserError, match=r'--overwrite$') as caught:
        go_on(folder, *inputs)
    assert str(caught.value).startswith(str(folder))
    assert go_on(folder, *inputs, overwrite=True).photos() == []


def test_answers_of_another_version_run_or_setting_are_refused_by_name(answered, tmp_path):
    folder, inputs = answered
    with pytest.raises(UserError, match=r'other settings \(step\); give another --out'):
        go_on(folder, *inputs, step=5)
    old = json.loads((folder / 'settings.json').read_text())
    del old['format']
    (folder / 'settings.json').write_text(json.dumps(old))
    with pytest.raises(UserError, match=r'another version .* --overwrite'):
        go_on(folder, *inputs)


def test_files_that_are_not_ours_are_not_overwritten_unasked(tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'predictions.jsonl').write_text('{"id": 1}\n')
    with pytest.raises(UserError, match=r'no settings\.json'):
        go_on(out)
    (out / 'checkpoints').mkdir()
    with pytest.raises(UserError, match='holds a trained run; give another --out'):
        go_on(out, overwrite=True)
    assert (out / 'predictions.jsonl').read_text() == '{"id": 1}\n'


JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JUNK |= st.lists(JUNK, max_size=2) | st.dictionaries(st.text(max_size=3), JUNK, max_size=2)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_damage_is_answers_or_a_message(answered, data):
    """A field of a row or some bytes are replaced; then all is written from what is read."""
    folder, inputs = answered
    name = data.draw(st.sampled_from(['photos.jsonl', 'predictions.jsonl', 'settings.json']))
    path = folder / name
    whole = path.read_bytes()
    if data.draw(st.booleans()) and name != 'settings.json':
        rows = read_jsonl(path)
        row = data.draw(st.sampled_from(rows))
        field = data.draw(st.sampled_from(sorted(row)))
        row[field] = data.draw(JUNK)
        path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    else:
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(len(whole), start + 9)))
        path.write_bytes(whole[:start] + data.draw(st.binary(max_size=9)) + whole[end:])
    kept = {other: other.read_bytes() for other in folder.glob('*.json*') if other != path}
    try:
        results = go_on(folder, *inputs)
        results.write_table()
        page.write_page(results, title='x', about=[], limit=9)
    except UserError as error:
        assert str(folder) in str(error) and '--overwrite' in str(error)
    finally:
        path.write_bytes(whole)
        for other, content in kept.items():
            other.write_bytes(content)


def test_a_spreadsheet_runs_no_text_of_the_table_and_all_can_be_had_back(tmp_path):
    one = photo(tmp_path / '=1+1.jpg')
    results = go_on(tmp_path / 'out', one)
    face = dataclasses.replace(answer('@SUM(A1)'), answers={'=what?': '-2+3', '"ok"': "'=x"})
    results.add([(one, Shot('=1+1.jpg', one.path, None, PIXELS, '', (32, 32)))], [[face]])
    results.write_table()
    path = tmp_path / 'out' / 'predictions.csv'
    with path.open(newline='', encoding='utf-8') as file:
        header, cells = csv.reader(file)
    for found in (*header, *cells):
        assert found[:1] not in ('=', '@', '+') and not found.startswith('-2+')
    (row,) = csv_files.read(path)
    assert (row['photo'], row['emotion_text']) == ('=1+1.jpg', '@SUM(A1)')
    assert (row['=what?'], row['"ok"']) == ('-2+3', "'=x")
    assert dict(zip(header, cells, strict=True))["'=what?"] == "'-2+3"


def test_a_command_that_failed_before_its_first_answer_leaves_nothing_to_protect(answered):
    folder, inputs = answered
    for name in ('predictions.jsonl', 'photos.jsonl'):
        (folder / name).write_bytes(b'')
    assert go_on(folder, *inputs, step=5).photos() == []
    assert json.loads((folder / 'settings.json').read_text())['step'] == 5
