"""Runs that start from, and evaluations of, a checkpoint of other people."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from configs import emola, tiny
from emola_jax import workflow
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import checkpoint, finished_run, init_from, prepare, state, trained
from emola_jax.files.whole import read_jsonl
from tests.formats.checkpoints import CLIP, released_copy
from tests.parity import golden
from tests.parity.test_generation import CASES, SURE

pytestmark = pytest.mark.usefixtures('compiled_quickly')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('released')
    released_copy(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('EMOLA_CACHE', str(folder / 'cache'))
        yield folder


def config(root, name=golden.RELEASED_NAME, **fields):
    values = emola.get_config('mix')
    values.init_from = str(root / name)
    values.base.update({'llava': str(root / 'llava-v1.5-tiny-mha'), 'clip': str(CLIP)})
    values.model.update({'dtype': 'float32', 'param_dtype': 'float32', 'remat': 'none'})
    values.model.lora.update({'rank': 8, 'alpha': 16.0, 'dropout': 0.0})
    values.data.update({'root': str(golden.FOLDER / 'faba'), 'length': 512})
    values.train.update({'batch_size': 16, 'checkpoint_every': 1})
    values.train.optimiser.warmup_ratio = 0.0
    values.mesh.update({'data': -1, 'fsdp': 1})
    values.eval.update({'batch_size': 16, 'control': False})
    values.eval.max_new_tokens.update({'emotion': 64, 'au': 64})
    values.update_from_flattened_dict(fields)
    return RunConfig.from_config_dict(values)


def test_the_released_checkpoint_is_evaluated_by_its_folder(root, tmp_path):
    asked = config(root, **{'data.template': 'llava_v1', 'data.pad_to_square': False})
    whole = init_from.resolved(asked, whole=True)
    assert whole.model == golden.CFG
    workflow.evaluate(whole, tmp_path)
    rows = read_jsonl(tmp_path / 'predictions.jsonl')
    texts = {
        (row['task'], row['id'].rsplit('/', 1)[-1].split('.')[0]): row['prediction'].strip()
        for row in rows
    }
    sure = [case for case in CASES if case['top2_margin_min'] > SURE]
    assert len(sure) == 15
    for case in sure:
        assert texts[case['task'], Path(case['image']).stem] == case['text']
    assert (tmp_path / 'report.html').is_file()
    with pytest.raises(UserError, match=r'holds the evaluation of .*; give another --workdir'):
        workflow.is_finished(whole, tmp_path)


def test_two_steps_from_the_released_checkpoint(root, tmp_path):
    asked = init_from.resolved(config(root))
    made = prepare.prepare(asked, tmp_path)
    start = {path: np.asarray(leaf) for path, leaf in flatten_dict(made.trainable).items()}
    released = flatten_dict(golden.released())
    assert start.keys() == released.keys()
    for path, leaf in released.items():
        np.testing.assert_array_equal(start[path], leaf, err_msg='/'.join(path))
    workflow.train(asked, tmp_path)
    read, _, after = checkpoint.read_trainable(tmp_path)
    assert read.name == '2'
    changed = [not np.array_equal(flatten_dict(after)[path], start[path]) for path in start]
    assert all(changed)
    # From now on it is a run like any other, on the base alone.
    found = finished_run.read_run(tmp_path)
    assert found.model == golden.CFG
    assert trained.look(tmp_path).is_run


def test_what_a_checkpoint_lacks_starts_new(root, capsys):
    plain = init_from.resolved(config(root, 'llava-v1.5-tiny-mha'))
    assert plain.model.lora.rank == 8
    assert plain.model.prior.enabled
    assert plain.base.llava == str(root / 'llava-v1.5-tiny-mha')
    alone = init_from.resolved(config(root, 'llava-v1.5-tiny-mha'), whole=True)
    assert alone.model.lora is None
    assert not alone.model.prior.enabled
    assert alone.model.llm == golden.CFG.llm
    capsys.readouterr()
    started = init_from.started(plain, _nothing())
    assert 'new: lora, prior_projector' in capsys.readouterr().out
    found = {state.group_of(path) for path in flatten_dict(started.params)}
    assert found == {'visual_projector'}


def _nothing():
    return prepare.Base({}, '', '')


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'model.lora.rank': 128}, r'model\.lora\.rank is 128, but it has 8.*convert --to=hf'),
        ({'model.lora.alpha': 8.0}, r'model\.lora\.alpha is 8\.0, but it has 16\.0'),
        ({'model.lora': None}, 'has an adapter, but model.lora is None'),
        ({'model.prior.enabled': False}, 'reads landmarks, but model.prior.enabled is False'),
    ],
)
def test_what_does_not_go_together_is_said(root, fields, message):
    with pytest.raises(UserError, match=message):
        init_from.resolved(config(root, **fields))


def test_another_template_is_said(root, capsys):
    init_from.resolved(config(root, **{'data.template': 'llava_v1'}))
    assert 'trained with the template vicuna_v1, and is now used with llava_v1' in (
        capsys.readouterr().out
    )


def test_a_checkpoint_with_a_part_missing_is_refused(root, tmp_path):
    broken = tmp_path / 'broken'
    shutil.copytree(root / golden.RELEASED_NAME, broken)
    (broken / 'landmark_feature_projector.bin').unlink()
    (broken / 'non_lora_trainables.bin').unlink()
    with pytest.raises(UserError, match='holds no landmark projector'):
        init_from.resolved(config(root, str(broken)))


def test_a_base_of_other_sizes_is_refused(root, tmp_path):
    other = tmp_path / 'other'
    shutil.copytree(root / 'llava-v1.5-tiny-mha', other)
    path = other / 'config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'num_hidden_layers': 2}))
    asked = init_from.resolved(config(root, **{'base.llava': str(other)}))
    with pytest.raises(UserError, match='has layers 2, but the config says'):
        prepare.prepare(asked, tmp_path / 'run')


def test_a_run_starts_from_another_run(tmp_path):
    """On the same base; and not on another one."""
    one = RunConfig.from_config_dict(tiny.get_config())
    old = Path(golden.FOLDER / 'old_run')
    asked = init_from.resolved(dataclasses.replace(one, init_from=str(old)))
    assert asked.model.replace(lora=None) == one.model.replace(lora=None)
    found = init_from.started(asked, prepare.bases.random_base(asked.model, asked.seed))
    _, _, before = checkpoint.read_trainable(old)
    for path, leaf in flatten_dict(before).items():
        np.testing.assert_array_equal(flatten_dict(found.params)[path].whole(), leaf)
    other = dataclasses.replace(asked, seed=1)
    with pytest.raises(UserError, match=r'was trained on base weights .*, but the config gives'):
        init_from.started(other, prepare.bases.random_base(other.model, 1))


def test_answers_know_the_base_below_a_foreign_checkpoint(root, tmp_path):
    """Else those on two bases would stand in one folder of results."""
    other = tmp_path / 'other'
    shutil.copytree(root / 'llava-v1.5-tiny-mha', other)
    folder, own = root / golden.RELEASED_NAME, str(root / 'llava-v1.5-tiny-mha')
    first = trained.look(folder)
    assert trained.look(folder, trained.Asked(base=own)).identity == first.identity
    assert trained.look(folder, trained.Asked(base=str(other))).identity == first.identity
    weights = other / 'pytorch_model.bin'
    weights.write_bytes(weights.read_bytes() + b' ')
    changed = trained.look(folder, trained.Asked(base=str(other))).identity
    assert changed['base'] != first.identity['base']
    assert changed['checkpoint'] == first.identity['checkpoint']
