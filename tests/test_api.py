"""`import emola_jax`: checkpoints of every kind answer, the released one as its authors' code."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import emola_jax
from emola_jax.errors import UserError
from emola_jax.weights import hub
from tests.fake_finder import Finder
from tests.formats.checkpoints import CLIP, released_copy
from tests.parity import golden
from tests.parity.test_generation import CASES, LONGEST, SURE

pytestmark = pytest.mark.usefixtures('compiled_quickly')

AS_RELEASED = {'template': 'llava_v1', 'pad_to_square': False, 'max_new_tokens': LONGEST}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The released checkpoint on its base, and it once more as an adapter of PEFT and merged."""
    root = tmp_path_factory.mktemp('released')
    released = released_copy(root)
    for to in ('peft', 'hf'):
        emola_jax.convert(released, to, root / to, verify=False)
    return root


@pytest.fixture(autouse=True)
def without_weights_of_the_finder(monkeypatch):
    monkeypatch.setattr('emola_jax.experts.registry.load_finder', lambda *_, **__: Finder())


@pytest.mark.parametrize('name', [golden.RELEASED_NAME, 'peft', 'hf'])
def test_a_checkpoint_of_any_kind_answers_as_the_released_code_does(name, folder):
    clip = {'clip': str(CLIP)} if name == 'peft' else {}
    emola = emola_jax.load(folder / name, **AS_RELEASED, **clip)
    by_image = golden.records('eval')
    records = [by_image[case['task'], Path(case['image']).stem] for case in CASES]
    pictures = [Image.open(golden.FOLDER / 'faba' / case['image']) for case in CASES]
    found = emola.generate(
        pictures,
        [record.instruction for record in records],
        [record.landmarks for record in records],
    )
    sure = [case['top2_margin_min'] > SURE for case in CASES]
    assert sum(sure) == 15
    for text, case, certain in zip(found, CASES, sure, strict=True):
        assert text == case['text'] or not certain


def test_plain_llava_is_the_baseline_without_prior_and_adapter(folder):
    base = folder / 'llava-v1.5-tiny-mha'
    emola = emola_jax.load(base, clip=str(CLIP), max_new_tokens=4)
    assert emola.predictor.model.cfg.priors == ()
    assert 'face_prior' not in emola.predictor.params
    picture = np.full((60, 60, 3), 90, np.uint8)
    (text,) = emola.generate([picture], ['What is it?'])
    (face,) = emola(picture)
    assert isinstance(text, str) and len(face.emotions) == 7


def test_one_photo_gives_faces_and_a_list_of_photos_lists_of_faces(folder, tmp_path):
    emola = emola_jax.load(folder / 'hf', max_new_tokens=4)
    path = tmp_path / 'me.png'
    Image.new('RGB', (64, 48), (90, 60, 50)).save(path)
    one, many = emola(path, texts=False), emola([path, str(path)], texts=False)
    assert [len(one), len(many)] == [1, 2]
    assert many[0][0].emotions == one[0].emotions == many[1][0].emotions
    assert sum(one[0].emotions.values()) == pytest.approx(1)
    with pytest.raises(UserError, match=r'none\.jpg'):
        emola(tmp_path / 'none.jpg')


def test_other_counts_of_questions_are_refused(folder):
    emola = emola_jax.load(folder / 'hf', max_new_tokens=4)
    with pytest.raises(ValueError, match='1 pictures, 2 questions and no landmarks'):
        emola.generate([np.zeros((8, 8, 3), np.uint8)], ['Who?', 'What?'])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'template': 'vicuna'}, 'template=vicuna: expected one of'),
        ({'dataset': 'fer'}, "data set 'fer': expected one of"),
        ({'base': 'nowhere/at/all'}, 'its base model is missing .*name it with --base'),
        ({'clip': '/nowhere'}, 'the vision tower is missing .*name it with --clip'),
    ],
)
def test_what_cannot_be_is_one_sentence(folder, changes, message):
    with pytest.raises(UserError, match=message):
        emola_jax.load(folder / golden.RELEASED_NAME, **changes)


def test_a_folder_that_holds_nothing_is_named(tmp_path):
    with pytest.raises(UserError, match=r'holds no trained run .*, no adapter .* and no model'):
        emola_jax.load(tmp_path)
    with pytest.raises(UserError, match=r'mimi: no such folder; expected that of a run or'):
        emola_jax.load(tmp_path / 'mimi')


def test_an_id_of_the_hub_is_fetched_in_its_revision(folder, monkeypatch):
    asked = []

    def fetched(name, **settings):
        asked.append((name, settings['revision']))
        return str(folder / 'hf')

    monkeypatch.setattr('huggingface_hub.snapshot_download', fetched)
    emola = emola_jax.load('lab/emola@v2', max_new_tokens=4)
    assert asked and set(asked) == {('lab/emola', 'v2')}
    assert emola.trained.folder == folder / 'hf'
    assert hub.local_folder('hub:lab/emola') == folder / 'hf'


def test_the_package_itself_imports_nothing_heavy():
    """Nor do the names that it lists; the first use of one does."""
    heavy = ('jax', 'flax', 'numpy', 'ml_collections', 'emola_jax.api')
    code = (
        'import sys, emola_jax; names = dir(emola_jax); '
        f'print([name for name in {heavy} if name in sys.modules]); '
        'print(sorted(set(emola_jax.__all__) - set(names)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.split('\n')[:2] == ['[]', '[]']


def test_every_name_that_is_offered_is_there():
    for name in emola_jax.__all__:
        assert getattr(emola_jax, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = emola_jax.trian
