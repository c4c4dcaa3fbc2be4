"""Checks, shards and kills, on a folder of photos; the owners' layouts are tested apart."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from emola_jax.errors import UserError
from input_pipeline.datasets import build, build_plan, registry
from input_pipeline.datasets import built as builder
from input_pipeline.datasets.folder import Folder
from tests.input_pipeline.datasets import trees


def label(root, rows, header='file,emotion,split,subject,description,landmarks,id'):
    lines = [header, *(','.join(row) for row in rows)]
    return trees.put(root / 'labels.csv', '\n'.join(lines))


def row(name, emotion='anger', split='train', subject='', description='', points='', key=''):
    return (name, emotion, split, subject, description, points, key)


@pytest.fixture
def root(tmp_path):
    """Eleven photos, the last of which is evaluated."""
    raw = tmp_path / 'photos'
    names = [f'{number:02d}.jpg' for number in range(11)]
    for shade, name in enumerate(names):
        trees.picture(raw / name, shade)
    label(raw, [row(name, split='eval' if name == '10.jpg' else 'train') for name in names])
    return raw


def two_sides(root):
    label(root, [row('00.jpg', subject='ann'), row('01.jpg', split='eval', subject='ann')])


def landmark_vector(root, points):
    trees.landmarks(root / 'points.npy', points)
    label(root, [row('00.jpg', points='points.npy')])


BROKEN = {
    'missing file': (
        lambda root: (root / '03.jpg').unlink(),
        "record '03': the picture {root}/03.jpg doesn't exist",
    ),
    'missing landmark file': (
        lambda root: label(root, [row('00.jpg', points='none.npy')]),
        "record '00': the landmark file {root}/none.npy doesn't exist",
    ),
    'unreadable label file': (
        lambda root: trees.put(root / 'labels.csv', b'\xff\xd8\xff\xe0'),
        '{root}/labels.csv: expected UTF-8 text, byte 0 is none',
    ),
    'unreadable row': (
        lambda root: label(root, [row('00.jpg'), ('01.jpg', 'anger')]),
        '{root}/labels.csv, line 3: has 2 cells and the header 7',
    ),
    'label out of range': (
        lambda root: label(root, [row('00.jpg', emotion='7')]),
        "{root}/labels.csv, line 2: the emotion is '7', expected 0..6 or one of happiness, sadness",
    ),
    'subject in two splits': (
        two_sides,
        "subject 'ann' is in the splits eval, train, expected one",
    ),
    'landmark count': (
        lambda root: landmark_vector(root, np.zeros(136, np.float32)),
        "record '00': field landmarks has shape (136,), expected (212,): x and y of 106 points",
    ),
    'landmarks out of range': (
        lambda root: landmark_vector(root, 96 * (trees.POINTS + 1)),
        "record '00': field landmarks reaches 154, expected at most 1.5 (±1 is the border",
    ),
    'landmark scale': (
        lambda root: landmark_vector(root, (trees.POINTS + 1) / 2),
        "record '00': the landmarks in {root}/points.npy lie in 0.20..0.80, expected -1..1 over",
    ),
    'unreadable landmarks': (
        lambda root: (trees.put(root / 'p.npy', 'x'), label(root, [row('00.jpg', points='p.npy')])),
        "record '00': {root}/p.npy: no readable .npy file",
    ),
    'duplicate id': (
        lambda root: label(root, [row('00.jpg', key='a'), row('01.jpg', key='a')]),
        "record 'a': this id occurs 2 times, expected once; of {root}/00.jpg, {root}/01.jpg",
    ),
    'unreadable image': (
        lambda root: trees.put(root / '03.jpg', b'\xff\xd8\xff\xe0 no more'),
        "record '03': field image holds no readable picture",
    ),
    'image mark in text': (
        lambda root: label(root, [row('00.jpg', description='An <image>.')]),
        "record '00': field response contains '<image>', expected words only",
    ),
}


@pytest.mark.parametrize('kind', BROKEN)
def test_each_kind_of_broken_input_is_told_in_a_sentence_and_nothing_is_built(root, kind):
    spoil, sentence = BROKEN[kind]
    spoil(root)
    with pytest.raises(UserError) as error:
        trees.build(Folder, root, 'emotion')
    told = str(error.value)
    assert sentence.format(root=root) in told
    assert 'folder: 1 problem of 1 kind; nothing was built' in told
    assert not list((root.parent / 'built').glob('folder/*'))
    assert not list((root.parent / 'built').glob('*building*'))


def test_an_answer_that_is_empty_is_told(tmp_path):
    """Only a release with texts can lack one."""
    for split, field in (('train', 'conversations'), ('eval', 'gpt4')):
        stem = f'FABAInstruct/{split}'
        trees.picture(tmp_path / 'raw' / stem / 'images/a.jpg')
        trees.landmarks(tmp_path / 'raw' / stem / 'landmarks/a.npy')
        turns = [{'from': 'human', 'value': 'Q'}, {'from': 'gpt', 'value': ' '}]
        entry = {
            'image': f'{stem}/images/a.jpg',
            'landmark': f'{stem}/landmarks/a.npy',
            'label': '4',
            field: turns if split == 'train' else '',
        }
        trees.put(tmp_path / 'raw' / stem / f'{split}_au_anno.json', json.dumps([entry]))
    with pytest.raises(UserError) as error:
        trees.build(registry.find('faba'), tmp_path / 'raw', 'au')
    assert 'empty response (2)' in str(error.value)
    assert 'field response is empty, expected the annotated answer' in str(error.value)


def test_many_problems_of_many_kinds_are_counted_shown_in_part_and_listed_in_full(root):
    rows = [row(f'{number}.jpg') for number in range(20, 40)] + [row('00.jpg', emotion='joy')]
    label(root, rows)
    with pytest.raises(UserError) as error:
        trees.build(Folder, root, 'emotion')
    told = str(error.value)
    assert '21 problems of 2 kinds' in told
    assert 'missing file (20):' in told and '… and 15 more' in told
    assert '24.jpg' in told and '25.jpg' not in told
    listed = json.loads((root.parent / 'built/folder-problems.json').read_text())
    assert [problem['kind'] for problem in listed].count('missing file') == 20
    assert listed[-1]['record'] == '39'


def test_bad_records_can_be_dropped_and_are_counted(root):
    (root / '03.jpg').unlink()
    trees.put(root / '04.jpg', 'no picture')
    told = build.describe(trees.build(Folder, root, 'emotion', drop=True))
    assert told['dropped'] == {'missing file': 1, 'unreadable image': 1}
    assert told['splits']['train']['records'] == 8
    assert told['splits']['train']['emotions'] == {'anger': 8}
    assert told['splits']['eval']['with_landmarks'] == 0


def test_it_is_built_once_and_anew_when_a_file_or_an_option_changed(root):
    first = trees.build(Folder, root, 'emotion')
    before = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert trees.build(Folder, root, 'emotion') == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == before
    assert trees.build(Folder, root, 'mix') != first
    trees.picture(root / '00.jpg', 99, size=(9, 9))
    assert trees.build(Folder, root, 'emotion') != first
    text = (root / 'labels.csv').read_text()
    trees.put(root / 'labels.csv', text.replace('anger', 'fear', 1))
    (made,) = trees.read(trees.build(Folder, root, 'emotion'))['eval']
    assert made.emotion == 3
    assert not list((root.parent / 'built').glob('*building*'))


def test_several_shards_keep_the_order_and_splits_can_be_joined(root, monkeypatch):
    monkeypatch.setattr(build, 'BLOCK', 4)
    built = trees.build(Folder, root, 'emotion')
    assert len(list(built.glob('folder-train.array_record*'))) == 3
    both = builder.load(built, 'train+eval')
    assert [both[i].id for i in range(len(both))] == [f'{n:02d}' for n in range(11)]
    with pytest.raises(UserError, match=r"split 'dev': .* has "):
        builder.load(built, 'train+dev')


def test_as_any_tfds_builder_it_reads_the_manual_folder(root, tmp_path):
    with builder.quiet():
        faces = Folder(data_dir=str(tmp_path / 'tfds'), file_format='array_record')
        faces.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=str(root))
        )
    made = trees.read(Path(faces.data_dir))
    assert len(made['train']) == 10
    assert made['eval'][0].image == (root / '10.jpg').read_bytes()
    assert not list((tmp_path / 'tfds').glob('*building*'))


SCRIPT = """
import sys
from pathlib import Path
from input_pipeline.datasets import build, build_plan
from input_pipeline.datasets.folder import Folder
from input_pipeline.datasets.items import Options
build.BLOCK = build_plan.BLOCK = 4
build.build(Folder, Options(task='emotion'), root=Path(sys.argv[1]), data_dir=Path(sys.argv[2]))
"""


def test_a_killed_build_goes_on_behind_its_last_shard(tmp_path, monkeypatch):
    """SIGKILL in the middle of a real build; the next one links what was written."""
    raw, built = tmp_path / 'photos', tmp_path / 'built'
    names = [f'{number:03d}.jpg' for number in range(400)]
    for name in names:
        trees.picture(raw / name, int(name[:3]) % 256)
    label(raw, [row(name) for name in names])
    process = subprocess.Popen([sys.executable, '-c', SCRIPT, str(raw), str(built)])
    shards = 'folder-building-*/folder-train.array_record-*'
    deadline = time.monotonic() + 120
    while len(list(built.glob(shards))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_ino for path in built.glob(shards)}
    (memory,) = built.glob('folder-building-*/checked.jsonl')
    assert 3 <= len(kept) < 100
    assert len(memory.read_text().splitlines()) == 100

    monkeypatch.setattr(build, 'BLOCK', 4)
    monkeypatch.setattr(build_plan, 'BLOCK', 4)
    checked = []
    monkeypatch.setattr(build_plan.checks, 'one', lambda item, **_: checked.append(item) or [])
    finished = trees.build(Folder, raw, 'emotion')
    assert not checked
    records = builder.load(finished, 'train')
    assert [records[i].id for i in range(400)] == [f'{number:03d}' for number in range(400)]
    assert all(records[i].image == (raw / names[i]).read_bytes() for i in (0, 399))
    assert all((finished / name).stat().st_ino == inode for name, inode in kept.items())
    assert not list(built.glob('*building*')) and not list(built.rglob('incomplete*'))
