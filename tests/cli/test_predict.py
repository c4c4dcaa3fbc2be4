"""The command on a tiny run of random weights, with a finder that sees faces anywhere."""

import csv
import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emola_jax import predict
from emola_jax.cli import checkpoint_flags
from emola_jax.cli import predict as command
from emola_jax.errors import UserError
from emola_jax.experiment.trained import identity
from emola_jax.experts.finder import make_face
from emola_jax.facs import EMOTIONS
from emola_jax.files.locks import one_writer
from emola_jax.files.names import text_path
from emola_jax.files.whole import read_jsonl
from emola_jax.predict import calibration, timeline
from tests.experts.faces import rendered
from tests.predict.photos import write_photos, write_video

POINTS = rendered()[1][0].reshape(106, 2)


@dataclasses.dataclass(frozen=True)
class Finder:
    """Sees one face in the middle of whatever is not of one colour."""

    def find(self, photos):
        return [[self._face(photo)] if photo.std((0, 1)).max() > 9 else [] for photo in photos]

    def _face(self, photo):
        height, width = photo.shape[:2]
        side = min(width, height)
        return make_face(photo, POINTS * side / 4 + [width / 2, height / 2], 0.9)


@pytest.fixture(autouse=True)
def _finder(monkeypatch):
    monkeypatch.setattr(checkpoint_flags, 'load_finder', lambda *_, **__: Finder())
    monkeypatch.setattr(command.hosts, 'start', lambda _: None)


@pytest.fixture(scope='module')
def model(run):
    return predict.load(run, finder=Finder())


def answer(*arguments):
    return command.main([str(argument) for argument in arguments])


def test_every_photo_of_a_folder_has_its_line(run, tmp_path, capsys):
    shown = write_photos(tmp_path / 'photos')
    write_video(tmp_path / 'photos' / 'clip.mp4')
    out = tmp_path / 'out'
    status = answer(tmp_path / 'photos', 'nowhere', f'--checkpoint={run}', f'--out={out}')
    assert status == 0
    photos = {row['photo'].rsplit('/', 1)[1]: row for row in read_jsonl(out / 'photos.jsonl')}
    assert {name for name, row in photos.items() if row['status'] == 'unreadable'} == {
        'truncated.jpg',
        'text.jpg',
    }
    assert {name for name, row in photos.items() if row['status'] == 'answered'} >= set(shown)
    assert {photos[name]['status'] for name in ('one.png', 'noface.png')} == {'no face'}
    faces = read_jsonl(out / 'predictions.jsonl')
    assert len(faces) == sum(row['faces'] for row in photos.values())
    with (out / 'predictions.csv').open() as file:
        table = list(csv.DictReader(file))
    assert [row['photo'] for row in table] == [row['photo'] for row in faces]
    assert len(table[0]['landmarks'].split()) == 212
    said = capsys.readouterr()
    assert 'nowhere: no such file or folder' in said.out
    assert said.out.count('text.jpg') == 1
    page = (out / 'predictions.html').read_text()
    assert 'truncated.jpg' in page
    assert '<script' not in page
    assert 'src="http' not in page
    pictures = list((out / 'overlays').glob('*.jpg'))
    assert len(pictures) == sum(row['status'] != 'unreadable' for row in photos.values())


def test_places_are_those_of_the_photo_itself(run, tmp_path):
    write_photos(tmp_path)
    answer(tmp_path / 'wide.jpg', f'--checkpoint={run}', f'--out={tmp_path / "out"}', '--no-text')
    (face,) = read_jsonl(tmp_path / 'out' / 'predictions.jsonl')
    assert np.mean(face['landmarks'], axis=0) == pytest.approx((6000, 300), abs=60)


def test_a_stopped_command_goes_on_and_answers_nothing_twice(run, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for number in range(5):
        noise = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f'{number}.png')
    out = tmp_path / 'out'
    arguments = (tmp_path, f'--checkpoint={run}', f'--out={out}', '--no-text', '--no-overlays')
    monkeypatch.setattr(command, '_PHOTOS', 2)
    whole, calls = command._answer_group, []

    def stops(model, group, arguments):
        calls.append(len(group))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(model, group, arguments)

    monkeypatch.setattr(command, '_answer_group', stops)
    assert answer(*arguments) == 130
    assert 'goes on' in capsys.readouterr().out
    assert len(read_jsonl(out / 'predictions.jsonl')) == 2
    assert answer(*arguments) == 0
    assert calls == [2, 2, 2, 1]
    names = [row['photo'] for row in read_jsonl(out / 'predictions.jsonl')]
    assert len(names) == len(set(names)) == 5
    with pytest.raises(UserError, match='other settings'):
        answer(*arguments, '--min-score=0.9')
    assert answer(*arguments, '--min-score=0.9', '--overwrite') == 0


def crop(path, seed=0):
    """A photo in which the finder sees a face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed)).save(path, 'PNG')
    return path


def test_the_same_name_elsewhere_and_a_replaced_file_are_answered(run, tmp_path, monkeypatch):
    arguments = ('me.png', f'--checkpoint={run}', f'--out={tmp_path / "out"}', '--no-text')
    for number, folder in enumerate('AB'):
        crop(tmp_path / folder / 'me.png', number)
        monkeypatch.chdir(tmp_path / folder)
        assert answer(*arguments) == 0
    photos = read_jsonl(tmp_path / 'out' / 'photos.jsonl')
    assert [row['photo'] for row in photos] == ['me.png', 'me.png']
    assert [row['file'] for row in photos] == [f'{tmp_path}/{x}/me.png' for x in 'AB']
    assert len(list((tmp_path / 'out' / 'overlays').iterdir())) == 2
    Image.new('RGB', (30, 20)).save(tmp_path / 'B' / 'me.png')
    assert answer(*arguments) == 0
    photos = read_jsonl(tmp_path / 'out' / 'photos.jsonl')
    assert [(row['file'][-8], row['faces']) for row in photos] == [('A', 1), ('B', 0)]
    with (tmp_path / 'out' / 'predictions.csv').open(encoding='utf-8') as file:
        assert [row['file'] for row in csv.DictReader(file)] == [f'{tmp_path}/A/me.png']


def test_a_second_command_in_one_folder_is_refused(run, tmp_path):
    crop(tmp_path / 'me.png')
    out = tmp_path / 'out'
    arguments = (tmp_path / 'me.png', f'--checkpoint={run}', f'--out={out}', '--no-text')
    with one_writer(out, 'answers photos'), pytest.raises(UserError, match='in use by process'):
        answer(*arguments)
    assert answer(*arguments) == 0
    assert len(read_jsonl(out / 'predictions.jsonl')) == 1


ODD = [b'caf\xe9.png', '字'.encode() * 80 + b'.png', b'-x.png', b'[a].png', b'a\nb.png', b'X.PNG']
ODD += [
    b'x.png',
    b'a__x.png',
    b'a/x.png',
    b'<b>&amp;".png',
    b'd' * 200 + b'/' + b'e' * 200 + b'.png',
]


def test_odd_names_are_answered_and_readable_everywhere(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(ODD):
        crop(Path('p') / os.fsdecode(name), number)
    (tmp_path / 'p' / os.fsdecode(b'bad\xff.png')).write_bytes(b'no picture')
    arguments = ('p', 'x' * 300, f'--checkpoint={run}', '--out=out', '--no-text')
    for _ in range(2):
        assert answer(*arguments) == 0
        said = capsys.readouterr()
        assert f'{"x" * 300}: no such file or folder' in said.out
        assert r'bad\xff.png: ' in said.out
        (said.out + said.err).encode()
    photos = read_jsonl(tmp_path / 'out' / 'photos.jsonl')
    assert sorted(row['faces'] for row in photos) == [0, *[1] * len(ODD)]
    assert {text_path(row['file']).name for row in photos} >= {
        os.fsdecode(n).rsplit('/')[-1] for n in ODD
    }
    assert len(list((tmp_path / 'out' / 'overlays').iterdir())) == len(ODD)
    page = (tmp_path / 'out' / 'predictions.html').read_text(encoding='utf-8')
    assert r'p/caf\xe9.png' in page and 'p/&lt;b&gt;&amp;amp;' in page


def test_a_file_that_looks_like_an_option_or_a_glob_is_a_file(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('-x.png', '[a].png', 'a.png'):
        crop(Path(name))
    assert answer('-x.png', '[a].png', f'--checkpoint={run}', '--out=out', '--no-text') == 0
    photos = read_jsonl(tmp_path / 'out' / 'photos.jsonl')
    assert [row['photo'] for row in photos] == ['-x.png', '[a].png']


@pytest.mark.parametrize('question', ['', ' ', os.fsdecode(b'\xff?'), 'a\0b'])
def test_a_question_that_is_no_text_is_refused(run, tmp_path, question, capsys):
    with pytest.raises(SystemExit):
        answer(tmp_path, f'--checkpoint={run}', f'--ask={question}')
    assert 'expected a question, in UTF-8' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('config.json', b'{'),
        ('config.json', b'null'),
        ('config.json', b'{"config": null}'),
        ('config.json', b'{"config": {"model": 7}}'),
        ('checkpoints/0/metadata/metadata', b'null'),
        ('checkpoints/0/metadata/metadata', b'{"config": 3, "base": {}}'),
        ('checkpoints/0/state/manifest.ocdbt', b''),
        ('calibration.json', b'[]'),
        ('calibration.json', b'{"identity": null}'),
        ('calibration.json', b'{"identity": {"step": 0}, "temperature": "x"}'),
    ],
)
def test_a_damaged_run_is_one_sentence(run, tmp_path, name, content):
    copy = tmp_path / 'run'
    shutil.copytree(run, copy)
    (copy / name).write_bytes(content)
    crop(tmp_path / 'me.png')
    with pytest.raises(UserError) as caught:
        answer(tmp_path / 'me.png', f'--checkpoint={copy}', f'--out={tmp_path / "out"}')
    assert str(copy) in str(caught.value) and '\n' not in str(caught.value)


def test_another_run_in_the_same_place_is_another_run(run, tmp_path):
    crop(tmp_path / 'me.png')
    for folder in 'ab':
        shutil.copytree(run, tmp_path / folder)
    assert identity(tmp_path / 'a') == identity(tmp_path / 'b') == identity(run)
    out = f'--out={tmp_path / "out"}'
    assert answer(tmp_path / 'me.png', f'--checkpoint={tmp_path / "a"}', out, '--no-text') == 0
    with pytest.raises(UserError, match=r'other settings \(run\)'):
        answer(tmp_path / 'me.png', f'--checkpoint={tmp_path / "b"}', out, '--no-text')
    (data,) = (tmp_path / 'a/checkpoints/0/state/d').iterdir()
    data.rename(data.with_name('0' * 32))  # as another training would call it
    with pytest.raises(UserError, match=r'other settings \(checkpoint\)'):
        answer(tmp_path / 'me.png', f'--checkpoint={tmp_path / "a"}', out, '--no-text')


def test_places_that_cannot_be_are_one_sentence(run, tmp_path):
    photo = crop(tmp_path / 'me.png')
    for out in (photo, photo / 'out'):
        with pytest.raises(UserError, match=r'me\.png: is a file; a folder was expected'):
            answer(photo, f'--checkpoint={run}', f'--out={out}')
    with pytest.raises(UserError, match='is a file; expected the folder of a run'):
        answer(photo, f'--checkpoint={photo}', f'--out={tmp_path / "out"}')
    with pytest.raises(UserError, match='holds a trained run; give another --out'):
        answer(photo, f'--checkpoint={run}', f'--out={run}', '--overwrite')


def test_an_empty_folder_and_a_wrong_run_are_one_sentence(run, tmp_path):
    with pytest.raises(UserError, match='without photos'):
        answer(tmp_path, f'--checkpoint={run}', f'--out={tmp_path / "out"}')
    write_photos(tmp_path / 'photos')
    with pytest.raises(UserError, match='holds no trained run'):
        answer(tmp_path / 'photos', f'--checkpoint={tmp_path}', f'--out={tmp_path / "out"}')


def test_nothing_readable_is_a_failure(run, tmp_path):
    (tmp_path / 'text.jpg').write_text('no picture')
    status = answer(tmp_path / 'text.jpg', f'--checkpoint={run}', f'--out={tmp_path / "out"}')
    assert status == 1


def test_free_questions_have_answers_and_no_labels(model):
    ((face,),) = model([noise()], questions=['Is it a smile?'])
    assert list(face.answers) == ['Is it a smile?']
    assert face.emotions == face.aus == {}


def test_a_face_has_the_same_answer_alone_and_among_others(model):
    photos = [noise(seed) for seed in range(11)]
    together = model([photos[0], np.zeros((8, 8, 3), np.uint8), *photos[1:]])
    assert [len(faces) for faces in together] == [1, 0] + [1] * 10
    ((alone,),) = model([Image.fromarray(photos[4])])
    (among,) = together[5]
    assert alone.emotion_text == among.emotion_text
    assert alone.aus == pytest.approx(among.aus, abs=1e-4)
    assert list(alone.emotions) == list(EMOTIONS)
    assert sum(alone.emotions.values()) == pytest.approx(1, abs=1e-6)


def test_the_calibration_beside_the_run_is_used(run, model, tmp_path):
    copy = tmp_path / 'run'
    shutil.copytree(run, copy)
    (copy / 'SHA256SUMS').unlink(missing_ok=True)  # of a test that calibrated the run
    made = calibration.Calibration(2.0, 0.5, 0.3, {'split': 'validation'})
    calibration.save(copy, made, identity(copy))
    calibrated = predict.load(copy, finder=Finder())
    assert calibrated.calibration == made
    ((before,),), ((after,),) = model([noise()], texts=False), calibrated([noise()], texts=False)
    for au, p in before.aus.items():
        odds = 0.5 * np.log(p / (1 - p)) + 0.3
        assert after.aus[au] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-3)


def test_faces_of_a_video_keep_their_line():
    def row(left, second):
        return {'box': [left, 0, left + 10, 10], 'seconds': second, 'aus': {}, 'emotions': {}}

    frames = [[row(0, 0), row(50, 0)], [row(52, 1), row(2, 1)], [row(4, 2)], []]
    found = timeline.tracks(frames)
    assert [[r['box'][0] for r in track] for track in found] == [[0, 2, 4], [50, 52]]


def noise(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
