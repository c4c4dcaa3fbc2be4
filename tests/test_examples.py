"""Every script of examples/ runs, at toy size, on what it is for."""

import json

import numpy as np
import pytest
from PIL import Image

import emola_jax
from emola_jax.experiment import finished_run
from emola_jax.files import assets
from emola_jax.formats.read_folder import read_folder
from examples import finetune_own_photos, new_dataset, predict, reproduce_paper, score
from input_pipeline.datasets import registry
from tests.fake_finder import Finder
from tests.input_pipeline.fakes import png
from tests.parity import golden
from tests.predict.runs import write_run

pytestmark = pytest.mark.usefixtures('compiled_quickly')

TOY = {
    'base.kind': 'random',
    'mesh.data': -1,
    'mesh.fsdp': 1,
    'model.dtype': 'float32',
    'model.param_dtype': 'float32',
    'model.remat': 'none',
    'model.lora.rank': 4,
    'model.lora.alpha': 8.0,
    **{f'model.llm.{name}': 32 for name in ('width', 'mlp')},
    'model.llm.layers': 2,
    'model.llm.vocab': 264,
    **{f'model.llm.{name}': 4 for name in ('heads', 'kv_heads')},
    'model.llm.head_dim': 8,
    'model.vision.image_size': 28,
    'model.vision.width': 16,
    'model.vision.layers': 2,
    'model.vision.heads': 2,
    'model.vision.mlp': 32,
    'data.length': 2048,  # bytes are tokens
    'data.image_size': 28,
    'train.batch_size': 8,
    'eval.batch_size': 8,
    'eval.control': False,
    **{f'eval.max_new_tokens.{task}': 4 for task in ('emotion', 'au')},
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, 'cache_dir', lambda: tmp_path / 'cache')
    monkeypatch.setattr('emola_jax.experiment.splits.FaceFinder.load', Finder)
    monkeypatch.setattr('emola_jax.experts.registry.load_finder', lambda *_, **__: Finder())


def test_predict(tmp_path, capsys):
    run = write_run(tmp_path / 'run')
    Image.fromarray(np.full((60, 60, 3), 90, np.uint8)).save(tmp_path / 'me.png')
    predict.main(str(tmp_path / 'me.png'), str(run))
    said = capsys.readouterr().out
    assert said.startswith('face 1, ')
    assert 'action units:' in said


def test_score(tmp_path, capsys):
    rows = [
        {'prediction': f'The face shows {word}.', 'reference': 'It shows fear.', 'label': 'fear'}
        for word in ('fear', 'anger')
    ]
    path = tmp_path / 'answers.jsonl'
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    score.main(str(path))
    assert 'strict: REGE ' in capsys.readouterr().out


def test_finetune_own_photos(tmp_path, capsys):
    lines = ['file,emotion,aus,text,split']
    for number in range(10):
        (tmp_path / f'{number}.png').write_bytes(png((90, 60, 50 + number), 28))
        split = 'train' if number < 8 else 'eval'
        lines.append(f'{number}.png,happiness,"6, 12",The cheeks are raised.,{split}')
    (tmp_path / 'labels.csv').write_text('\n'.join(lines))
    finetune_own_photos.main(str(tmp_path), str(tmp_path / 'run'), **TOY)
    said = capsys.readouterr().out
    assert 'emotion: S_re' in said
    assert 'au: S_re' in said
    assert (tmp_path / 'run' / 'report.html').is_file()


def test_new_dataset(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(registry, 'BUILDERS', dict(registry.BUILDERS))
    for split, count in (('train', 8), ('test', 2)):
        for number in range(count):
            path = tmp_path / split / ('happiness', 'fear')[number % 2] / f'{number}.jpg'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((28, 28, 3), 60 + number, np.uint8)).save(path)
    new_dataset.main(str(tmp_path), str(tmp_path / 'run'), **TOY)
    assert 'accuracy ' in capsys.readouterr().out
    assert registry.find('by_folder') is new_dataset.ByFolder
    rows = (tmp_path / 'run' / 'predictions.jsonl').read_text().splitlines()
    assert {json.loads(row)['label'] for row in rows} == {'happiness', 'fear'}
    # The run answers and is converted like that of any data set that comes along.
    (face,) = emola_jax.load(tmp_path / 'run')(np.full((60, 60, 3), 90, np.uint8))
    assert sum(face.emotions.values()) == pytest.approx(1)
    emola_jax.convert(tmp_path / 'run', 'hf', tmp_path / 'hf', verify=False)
    merged = read_folder(tmp_path / 'hf').model
    assert merged.llm == finished_run.read_run(tmp_path / 'run').model.llm


def test_reproduce_paper(tmp_path, capsys):
    runs = {'faba_emotion': reproduce_paper.RUNS['faba_emotion']}
    reproduce_paper.main(str(golden.FOLDER / 'faba'), str(tmp_path / 'paper'), runs, **TOY)
    assert 'faba_emotion, emotion: S_re' in capsys.readouterr().out
    assert len(reproduce_paper.RUNS) == 10
