"""The command on a tiny run of random weights, with a finder that sees faces anywhere."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from emola_jax import predict
from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.files import read_jsonl
from emola_jax.landmarks.finder import make_face
from emola_jax.predict import __main__ as command
from emola_jax.predict import calibration, timeline
from emola_jax.predict.load import identity
from tests.landmarks.faces import rendered
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
    monkeypatch.setattr(command.FaceFinder, 'load', lambda **_: Finder())
    monkeypatch.setattr(command.runtime, 'start', lambda _: None)


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
