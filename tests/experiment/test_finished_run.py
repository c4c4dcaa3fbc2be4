"""A run of ours as a source of conversions: what was trained, on the base that it names."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict

from emola_jax.cli.convert import main
from emola_jax.config.run import RunConfig
from emola_jax.errors import UserError
from emola_jax.experiment import base as bases
from emola_jax.experiment import finished_run
from emola_jax.experiment import prepare as experiments
from emola_jax.experiment import state as train_state
from emola_jax.experiment.checkpoint import Checkpoints
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.registry import FORMATS
from emola_jax.formats.source import merged
from emola_jax.formats.write import Options
from emola_jax.models.config import EmolaConfig, LlamaConfig, LoraConfig, VisionConfig
from emola_jax.models.emola import Emola
from emola_jax.models.lora import merge_lora
from emola_jax.parallel import sharding
from emola_jax.training import loop
from emola_jax.training.optimiser import OptimiserConfig, make_optimiser
from emola_jax.weights import lazy
from tests.formats.checkpoints import CLIP, assert_same, released_copy
from tests.tiny_experiment import MODEL, tiny_experiment

pytestmark = pytest.mark.usefixtures('compiled_quickly')

GOLDEN_MODEL = EmolaConfig(
    vision=VisionConfig(image_size=56, patch_size=14, width=32, layers=4, heads=4, mlp=128),
    llm=LlamaConfig(vocab=512, width=64, layers=3, heads=4, kv_heads=4, head_dim=16, mlp=172),
    lora=LoraConfig(rank=2, alpha=3.0, dropout=0.1, targets=('q', 'down')),
)


def make_run(workdir, model=MODEL, *, template='vicuna_v1', mesh=None, **base):
    """A workdir with one checkpoint, in which no trainable is zero.

    Returns:
      (frozen, trainable).
    """
    made = tiny_experiment(workdir, mesh=mesh)
    values = made.config.to_dict()
    values |= {'model': model.to_dict(), 'base': base or {'kind': 'random'}}
    del values['model']['quantize']
    values['data']['template'] = template
    config = RunConfig.of_run(values, 'made')
    loaded = bases.load(config, model, None, bases.load_tokenizer(config.base))
    frozen, trainable = bases.place(model, loaded, made.mesh, seed=0)
    rng = np.random.default_rng(0)
    trainable = jax.tree.map(
        lambda leaf: jax.device_put(leaf + rng.normal(0, 0.1, leaf.shape), leaf.sharding), trainable
    )
    made = dataclasses.replace(made, config=config, base=loaded, trainable=trainable)
    checkpoints = Checkpoints(workdir, keep=1, metadata=experiments.metadata(made))
    checkpoints.save(loop.new_state(made, make_optimiser(OptimiserConfig(), 4)), 'no plan')
    checkpoints.close()
    return frozen, trainable


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('run')
    return workdir, *make_run(workdir)


def test_a_run_is_read_whole_with_nothing_retyped(run):
    workdir, frozen, trainable = run
    assert finished_run.is_run(workdir)
    read = finished_run.read_run(workdir)
    assert read.model == MODEL
    assert read.template == 'vicuna_v1'
    params = train_state.merge(frozen, trainable)
    assert_same(read.params, {p: lazy_of(leaf) for p, leaf in flatten_dict(params).items()})
    whole = merged(read)
    _, expected = merge_lora(Emola(MODEL), params)
    for path, leaf in flatten_dict(expected).items():
        np.testing.assert_allclose(whole.params[path].whole(), leaf, atol=1e-6)


def lazy_of(leaf):
    return lazy.of_array(np.asarray(leaf))


def test_a_run_on_a_quantised_base_is_read_on_the_original_weights(tmp_path):
    frozen, trainable = make_run(tmp_path, kind='random', quantize='nf4')
    params = train_state.merge(frozen, trainable)
    read = finished_run.read_run(tmp_path)
    assert read.model == MODEL
    assert_same(read.params, {p: lazy_of(leaf) for p, leaf in flatten_dict(params).items()})


def test_what_was_trained_is_read_without_its_base(run):
    workdir, _, trainable = run
    read = finished_run.read_run(workdir, with_base=False)
    assert_same(read.params, {p: lazy_of(leaf) for p, leaf in flatten_dict(trainable).items()})


@pytest.mark.parametrize('to', ['emola', 'peft'])
def test_a_run_on_llava_becomes_an_adapter_that_comes_back(tmp_path, to, capsys):
    released_copy(tmp_path)
    llava = tmp_path / 'llava-v1.5-tiny-mha'
    _, trainable = make_run(
        tmp_path / 'run', GOLDEN_MODEL, kind='llava', llava=str(llava), clip=str(CLIP)
    )
    out = tmp_path / 'out'
    main([str(tmp_path / 'run'), f'--to={to}', f'--out={out}'])
    said = capsys.readouterr().out
    reader = 'by PEFT, and by' if to == 'peft' else "by this project's own reader"
    assert re.search(rf'^verified: logits differ by at most \d.* \({reader}', said, re.M)
    assert (out / 'tokenizer.model').is_file()
    adapter = json.loads((out / 'adapter_config.json').read_text())
    assert (adapter['r'], adapter['lora_alpha'], adapter['lora_dropout']) == (2, 3, 0.1)
    assert adapter['base_model_name_or_path'] == str(llava)
    read = read_folder(out, clip=str(CLIP), base=str(llava))
    assert read.model == GOLDEN_MODEL
    kept = {p: value for p, value in read.params.items() if train_state.group_of(p)}
    assert_same(kept, {p: lazy_of(leaf) for p, leaf in flatten_dict(trainable).items()})
    # A moved base is the same base; one of other weights isn't.
    moved = tmp_path / 'moved'
    shutil.copytree(llava, moved)
    assert (
        finished_run.read_run(tmp_path / 'run', base=str(moved)).params.keys() == read.params.keys()
    )
    state = torch.load(moved / 'pytorch_model.bin', weights_only=True)
    state['model.norm.weight'] += 1
    torch.save(state, moved / 'pytorch_model.bin')
    with pytest.raises(UserError, match='was trained on base weights'):
        finished_run.read_run(tmp_path / 'run', base=str(moved))


@pytest.mark.parametrize('to', ['emola', 'peft'])
def test_an_adapter_that_was_written_wrong_is_not_verified(tmp_path, to):
    released_copy(tmp_path)
    llava = str(tmp_path / 'llava-v1.5-tiny-mha')
    make_run(tmp_path / 'run', GOLDEN_MODEL, kind='llava', llava=llava, clip=str(CLIP))
    source, folder = finished_run.read_run(tmp_path / 'run'), tmp_path / 'out'
    folder.mkdir()
    path = ('visual_projector', 'fc_2', 'bias')
    wrong = {**source.params, path: lazy_of(source.params[path].whole() + 1)}
    FORMATS[to].write(dataclasses.replace(source, params=wrong), folder, Options())
    with pytest.raises(UserError, match='its logits differ from ours by'):
        FORMATS[to].verify(source, folder)


def test_a_run_that_a_format_cannot_express_is_refused(tmp_path):
    make_run(tmp_path / 'run', template='chatml')
    with pytest.raises(UserError, match=r"--to=emola cannot.*template 'chatml'; use --to=hf"):
        main([str(tmp_path / 'run'), '--to=emola', f'--out={tmp_path / "out"}'])
    assert not (tmp_path / 'out').exists()


def test_a_damaged_run_is_named(run, tmp_path):
    workdir = tmp_path / 'run'
    shutil.copytree(run[0], workdir)
    for path in (workdir / 'checkpoints' / '0' / 'state').rglob('*'):
        if path.is_file() and path.parent.name == 'd':
            path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r'checkpoints/0: is damaged'):
        finished_run.read_run(workdir)
    shutil.rmtree(workdir / 'checkpoints' / '0')
    with pytest.raises(UserError, match='holds no complete checkpoint'):
        finished_run.read_run(workdir)


def test_a_run_of_a_sharded_mesh_is_read_as_well(tmp_path):
    mesh = sharding.make_mesh({'data': 2, 'fsdp': 2, 'tensor': 2})
    _, trainable = make_run(tmp_path, mesh=mesh)
    read = finished_run.read_run(tmp_path, with_base=False)
    assert_same(read.params, {p: lazy_of(leaf) for p, leaf in flatten_dict(trainable).items()})
