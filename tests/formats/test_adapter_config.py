"""Fields of adapter_config.json against the real PEFT: what is read computes what PEFT computes."""

import copy
import dataclasses
import json

import numpy as np
import peft
import pytest
import torch
from flax.traverse_util import unflatten_dict

from emola_jax.errors import UserError
from emola_jax.formats import read_adapter
from emola_jax.formats.read_folder import read_folder
from emola_jax.models.emola import Emola
from tests.formats.checkpoints import MODEL, arrays, llava_hf
from tests.models.tiny import conversation, run

TARGETS = r'.*language_model.*\.(q_proj|v_proj|gate_proj)'
PLAIN = {'peft_type': 'LORA', 'r': 2, 'lora_alpha': 4, 'target_modules': ['q_proj']}


def adapt(folder, init=True, **fields):
    """A trained adapter on a saved base, both made by PEFT and transformers; its logits."""
    torch.manual_seed(0)
    base = copy.deepcopy(llava_hf())
    base.save_pretrained(folder / 'base')
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=TARGETS, init_lora_weights=init, **fields
    )
    model = peft.get_peft_model(base, config).eval()
    untrained = folder / 'untrained'
    model.peft_config['default'].init_lora_weights = True  # not to be changed at loading
    model.save_pretrained(untrained)
    model.peft_config['default'].init_lora_weights = init
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if 'lora_' in name:
                parameter += 0.2 * torch.randn_like(parameter)
    return model, untrained


def batch():
    rows = conversation(MODEL, 7, seed=2)
    image = llava_hf().config.image_token_id
    return {**rows, 'tokens': np.where(rows['tokens'] < 0, rows['tokens'], rows['tokens'] % image)}


@torch.no_grad()
def their_logits(model):
    rows = batch()
    vision = MODEL.vision
    pixels = rows['images'][0].astype(np.float32) / 255
    pixels = (pixels - np.float32(vision.image_mean)) / np.float32(vision.image_std)
    ids = np.where(rows['tokens'] < 0, llava_hf().config.image_token_id, rows['tokens'])
    # Without the prior that our sample has: one image position fewer.
    return model(
        input_ids=torch.tensor(ids, dtype=torch.long),
        pixel_values=torch.tensor(pixels.transpose(0, 3, 1, 2)),
    ).logits.numpy()


def our_logits(folder):
    read = read_folder(folder, base=str(folder.parent / 'base'))
    params = unflatten_dict(arrays(read.params))
    return np.asarray(run(Emola(read.model), params, batch()))


HARMLESS = {
    'as it is': {},
    'no init': {'init': False},
    'gaussian': {'init': 'gaussian'},
    'orthogonal': {'init': 'orthogonal'},
    'mica': {'init': 'mica'},
    'layers pattern': {'layers_pattern': None, 'exclude_modules': '.*vision_tower.*'},
}


@pytest.fixture(scope='module')
def without_prior():
    """`conversation` gives as many visual tokens as the model has; LLaVA of PEFT has no prior."""
    patch = pytest.MonkeyPatch()
    plain = MODEL.replace(prior=dataclasses.replace(MODEL.prior, enabled=False))
    patch.setattr('tests.formats.test_adapter_config.MODEL', plain)
    yield
    patch.undo()


@pytest.mark.parametrize('name', HARMLESS)
def test_a_harmless_field_is_read_as_peft_reads_it(name, tmp_path, without_prior):
    model, _ = adapt(tmp_path, **HARMLESS[name])
    model.save_pretrained(tmp_path / 'adapter')
    theirs = their_logits(model)
    np.testing.assert_allclose(our_logits(tmp_path / 'adapter'), theirs, atol=1e-4)
    assert np.abs(theirs - their_logits(llava_hf())).max() > 0.1  # the adapter matters


@pytest.mark.parametrize('init', ['pissa', 'pissa_niter_4', 'olora'])
def test_an_adapter_on_a_changed_base_is_refused_until_peft_has_converted_it(
    init, tmp_path, without_prior
):
    model, untrained = adapt(tmp_path, init)
    model.save_pretrained(tmp_path / 'adapter')
    with pytest.raises(UserError, match=rf"init_lora_weights is '{init}', .* on a base with a"):
        our_logits(tmp_path / 'adapter')
    theirs = their_logits(model)
    model.save_pretrained(
        tmp_path / 'plain', path_initial_model_for_weight_conversion=str(untrained)
    )
    np.testing.assert_allclose(our_logits(tmp_path / 'plain'), theirs, atol=1e-3)


REFUSED = {
    'init_lora_weights': ['PiSSA', 'corda', 'loftq', 'lora_ga', 'OLORA', 'something', 3, [1]],
    'corda_config': [{'corda_method': 'ipm'}],
    'loftq_config': [{'loftq_bits': 4}],
    'lora_ga_config': [{'direction': 'ArBr'}],
    'alora_invocation_tokens': [[1, 2]],
    'use_qalora': [True],
    'layer_replication': [[[0, 1], [0, 2]]],
    'use_bdlora': [{'nblocks': 2}, True],
    'kasa_config': [{'beta': 1e-4}],
    'monteclora_config': [{'num_samples': 2}],
    'arrow_config': [{'top_k': 2}],
    'velora_config': [{'num_groups': 4}],  # it saves tensors of its own
    'megatron_config': [{'x': 1}],
    'use_dora': [True, 1, 'yes'],
    'use_rslora': [True],
    'lora_bias': [True],
    'bias': ['all', 'lora_only'],
    'fan_in_fan_out': [True],
    'modules_to_save': [['lm_head']],
    'layers_to_transform': [[0], 0],
    'rank_pattern': [{'q_proj': 4}],
    'alpha_pattern': [{'q_proj': 4}],
    'target_parameters': [['x']],
    'trainable_token_indices': [[1]],
    'peft_type': ['ADALORA', 'LOHA', None],
    'a_field_of_next_year': [True, 1, 'on', {'x': 0}],
    'r': [None, 0, -1, '8', 2.5, True],
    'lora_alpha': [None, '16', True],
    'lora_dropout': ['0.1', 1.5, True],
    'target_modules': [3, {'q_proj': 1}, ['nose_proj'], [None]],
}
CASES = [(field, value) for field, values in REFUSED.items() for value in values]


def read(folder, **fields):
    (folder / 'adapter_config.json').write_text(json.dumps({**PLAIN, **fields}))
    return read_adapter.read_lora_config(folder, ['x.q_proj.lora_A.weight'])


@pytest.mark.parametrize(('field', 'value'), CASES)
def test_whatever_else_would_change_the_adapter_is_refused_by_name(field, value, tmp_path):
    with pytest.raises(UserError, match=rf'adapter_config.json: .*\n  {field} ') as caught:
        read(tmp_path, **{field: value})
    assert str(caught.value).count('\n') == 1


def test_every_field_of_the_installed_peft_is_known_with_its_default(tmp_path):
    defaults = peft.LoraConfig(r=2, lora_alpha=4, target_modules=['q_proj']).to_dict()
    plain = json.loads(json.dumps(defaults, default=lambda value: getattr(value, 'value', None)))
    assert len(plain) > 30
    assert read(tmp_path, **plain).rank == 2
    assert read(tmp_path, a_field_of_next_year=False, another=None, third=[]).rank == 2


def test_a_missing_field_is_named(tmp_path):
    (tmp_path / 'adapter_config.json').write_text('{"peft_type": "LORA"}')
    with pytest.raises(UserError, match=r"'r' is missing\n.*'lora_alpha' is missing"):
        read_adapter.read_lora_config(tmp_path, [])


def test_a_base_that_is_no_text_is_named(tmp_path):
    (tmp_path / 'adapter_config.json').write_text('{"base_model_name_or_path": 3}')
    with pytest.raises(UserError, match="'base_model_name_or_path' is 3, expected a text"):
        read_adapter.base_name(tmp_path)
