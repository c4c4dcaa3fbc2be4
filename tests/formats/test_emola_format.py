"""The released code's own checkpoint and ours, to and fro, without losing a bit."""

import json

import numpy as np
import pytest
import torch

from emola_jax.cli.convert import main
from emola_jax.errors import UserError
from emola_jax.formats import write_hf
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.registry import FORMATS
from emola_jax.formats.source import merged, trained
from emola_jax.formats.write import Options
from emola_jax.formats.write_emola import check, write
from emola_jax.models.config import PriorConfig, VisionConfig
from emola_jax.models.emola import param_shapes
from tests.formats.checkpoints import (
    CLIP,
    MODEL,
    RELEASED,
    assert_same,
    released_copy,
    source,
    variant,
    write_clip_config,
)

pytestmark = pytest.mark.usefixtures('compiled_quickly')

FILES = ('adapter_model.bin', 'non_lora_trainables.bin', 'landmark_feature_projector.bin')


def assert_same_checkpoint(ours, theirs):
    for name in FILES:
        one, two = (torch.load(folder / name, weights_only=True) for folder in (ours, theirs))
        assert one.keys() == two.keys()
        for tensor in one:
            assert one[tensor].dtype == two[tensor].dtype
            assert torch.equal(one[tensor], two[tensor]), tensor


@pytest.mark.parametrize('through', ['emola', 'peft'])
def test_the_released_checkpoint_comes_back_tensor_for_tensor(tmp_path, capsys, through):
    folder, out = released_copy(tmp_path), tmp_path / 'out'
    if through == 'peft':
        main([str(folder), '--to=peft', f'--out={tmp_path / "peft"}'])
        folder = tmp_path / 'peft'
    main([str(folder), '--to=emola', f'--out={out}'])
    assert 'adapter_model' in capsys.readouterr().out
    assert_same_checkpoint(out, RELEASED)
    written, recorded = (json.loads((f / 'config.json').read_text()) for f in (out, RELEASED))
    assert written.pop('conversation_template') == 'vicuna_v1'
    moved = {'mm_vision_tower': str(CLIP), '_name_or_path': written['_name_or_path']}
    assert written == {**recorded, **moved}
    name = 'adapter_config.json'
    written, recorded = (json.loads((f / name).read_text()) for f in (out, RELEASED))
    assert set(written.pop('target_modules')) == set(recorded.pop('target_modules'))
    recorded['base_model_name_or_path'] = str(tmp_path / 'llava-v1.5-tiny-mha')
    assert written == recorded
    assert (out / 'tokenizer.model').is_file()


@pytest.mark.parametrize('kv_heads', [4, 2], ids=['MHA', 'GQA'])
@pytest.mark.parametrize('scan', [True, False], ids=['scanned', 'unscanned'])
@pytest.mark.parametrize('tied', [True, False], ids=['tied', 'untied'])
def test_ours_comes_back_tensor_for_tensor(tmp_path, kv_heads, scan, tied):
    ours = source(variant(kv_heads=kv_heads, scan=scan, tied=tied))
    write(ours, tmp_path, Options())
    clip = write_clip_config(tmp_path / 'clip')
    read = read_folder(tmp_path, clip=str(clip), with_base=False)
    assert read.model == ours.model.replace(scan=True)
    lora, projectors = trained(ours)
    assert_same(read.params, lora | projectors)


def test_on_its_base_the_released_checkpoint_is_whole_and_merges(tmp_path):
    read = read_folder(released_copy(tmp_path))
    base = torch.load(tmp_path / 'llava-v1.5-tiny-mha' / 'pytorch_model.bin', weights_only=True)
    adapter = torch.load(RELEASED / 'adapter_model.bin', weights_only=True)
    whole = merged(read)
    assert whole.model.lora is None
    name = 'model.layers.2.mlp.down_proj'
    w, a, b = (
        tensor.double().numpy()
        for tensor in (
            base[f'{name}.weight'],
            adapter[f'base_model.model.{name}.lora_A.weight'],
            adapter[f'base_model.model.{name}.lora_B.weight'],
        )
    )
    down = whole.params['llm', 'layers', 'down', 'kernel']
    np.testing.assert_allclose(down.whole()[2], (w + 16 / 8 * b @ a).T, atol=1e-6)
    piece = down.piece([slice(2, 3), slice(5, 9), slice(0, 7)])
    np.testing.assert_allclose(piece, down.whole()[2:3, 5:9, :7], atol=1e-7)
    assert not any(path[-1].startswith('lora') for path in whole.params)


def test_types_are_as_stored_or_as_asked_for(tmp_path):
    write(source(), tmp_path, Options(dtype='bfloat16'))
    for name in FILES:
        kinds = {t.dtype for t in torch.load(tmp_path / name, weights_only=True).values()}
        assert kinds == {torch.bfloat16}
    clip = write_clip_config(tmp_path / 'clip')
    read = read_folder(tmp_path, clip=str(clip), with_base=False)
    write(read, tmp_path, Options())
    kinds = {t.dtype for t in torch.load(tmp_path / FILES[0], weights_only=True).values()}
    assert kinds == {torch.bfloat16}


@pytest.mark.parametrize(
    ('model', 'template', 'why'),
    [
        (MODEL.replace(vision=None), 'vicuna_v1', 'has no vision tower'),
        (MODEL.replace(lora=None), 'vicuna_v1', 'has no LoRA adapter'),
        (MODEL.replace(projector_rms=0.1), 'vicuna_v1', 'rescales its visual tokens'),
        (
            MODEL.replace(vision=VisionConfig(**{**vars(MODEL.vision), 'spatial_merge': 2})),
            'vicuna_v1',
            'merges 2 x 2 patches',
        ),
        (MODEL.replace(prior=PriorConfig(standardize=True)), 'vicuna_v1', 'standardizes'),
        (MODEL.replace(prior=PriorConfig(enabled=False)), 'vicuna_v1', 'has no prior token'),
        (MODEL, 'chatml', "the template 'chatml'"),
    ],
)
def test_what_the_released_code_cannot_express_is_refused(model, template, why):
    with pytest.raises(UserError, match=f'--to=emola cannot.*{why}.*use --to=hf'):
        check(source(model, template=template))


COMPUTED = ('computed', PriorConfig(source='image'))


@pytest.mark.parametrize('to', ['emola', 'peft', 'hf'])
@pytest.mark.parametrize(
    ('model', 'why'),
    [
        (MODEL.replace(prior=PriorConfig(place='before')), 'has a prior token before the patches'),
        (MODEL.replace(prior=PriorConfig(source='image')), 'computes landmarks from the image'),
        (
            MODEL.replace(more_priors=(COMPUTED,)),
            r'has further priors \(computed\) and computes landmarks',
        ),
    ],
)
def test_priors_that_a_format_has_no_place_for_are_refused(to, model, why):
    with pytest.raises(
        UserError, match=f'--to={to} cannot.*{why}.*--to=llava-hf leaves the priors'
    ):
        FORMATS[to].check(source(model, template='vicuna_v1'))


def test_plain_llava_leaves_every_prior_and_its_expert_out():
    whole = source(MODEL.replace(more_priors=(COMPUTED,)))
    assert {'face_prior', 'more_priors', 'landmark_expert'} < {path[0] for path in whole.params}
    plain = write_hf.without_prior(whole)
    assert {path[0] for path in plain.params} == {'llm', 'vision', 'visual_projector'}
    assert plain.params.keys() == param_shapes(plain.model).keys()
