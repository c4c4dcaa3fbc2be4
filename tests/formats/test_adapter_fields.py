"""Fields of adapter_config.json and stored weights that are not what they seem."""

import json

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.numpy import load_file, save_file

from emola_jax.cli.convert import main
from emola_jax.errors import UserError
from emola_jax.formats.read_adapter import read_lora_config
from emola_jax.formats.read_folder import read_folder
from tests.formats.checkpoints import llava_hf

RESAVE = 'path_initial_model_for_weight_conversion'
TARGETS = r'.*language_model.*\.(q_proj|v_proj|gate_proj)'


def config(folder, **fields):
    values = {'peft_type': 'LORA', 'r': 2, 'lora_alpha': 4, 'target_modules': ['q_proj']}
    (folder / 'adapter_config.json').write_text(json.dumps(values | fields))
    return folder


def of_peft(folder, **fields):
    """Base and adapter as PEFT writes them after `init_lora_weights`; returns PEFT's own sizes."""
    base = llava_hf()
    base.save_pretrained(folder / 'base')
    own = type(base).from_pretrained(folder / 'base')
    torch.manual_seed(1)
    model = get_peft_model(
        own, LoraConfig(r=2, lora_alpha=4, target_modules=TARGETS, bias='none', **fields)
    )
    model.save_pretrained(folder / 'adapter')
    return folder / 'adapter'


@pytest.mark.parametrize('kind', ['pissa', 'pissa_niter_4', 'olora'])
def test_an_adapter_of_a_base_with_a_part_taken_out_is_refused_by_name(kind, tmp_path):
    adapter = of_peft(tmp_path, init_lora_weights=kind)
    with pytest.raises(UserError, match=rf"init_lora_weights is '{kind}'.*{RESAVE}"):
        read_folder(adapter, base=str(tmp_path / 'base'))


@pytest.mark.parametrize('kind', [True, False, 'gaussian', 'orthogonal'])
def test_other_beginnings_are_read_as_peft_stores_them(kind, tmp_path):
    adapter = of_peft(tmp_path, init_lora_weights=kind)
    read = read_folder(adapter, base=str(tmp_path / 'base'))
    assert set(read.model.lora.targets) == {'q', 'v', 'gate'}


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('init_lora_weights', 'corda'),
        ('init_lora_weights', 'loftq'),
        ('init_lora_weights', 'lora_ga'),
        ('init_lora_weights', 1),
        ('use_rslora', True),
        ('use_dora', True),
        ('use_dora', 1),
        ('use_qalora', True),
        ('use_bdlora', {'nblocks': 2}),
        ('alora_invocation_tokens', [1, 2]),
        ('layer_replication', [[0, 2], [1, 2]]),
        ('kasa_config', {'beta': 1}),
        ('monteclora_config', {'n': 1}),
        ('velora_config', {'n': 1}),
        ('arrow_config', {'top_k': 1}),
        ('megatron_config', {'n': 1}),
        ('a_field_of_tomorrow', True),
        ('r', None),
        ('r', '8'),
        ('r', 0),
        ('lora_alpha', None),
        ('lora_dropout', 'x'),
    ],
)
def test_a_field_that_changes_what_is_computed_is_refused_by_name(field, value, tmp_path):
    with pytest.raises(UserError, match=rf'adapter_config.json: .*\n  {field} is '):
        read_lora_config(config(tmp_path, **{field: value}), [])


def test_every_default_of_the_installed_peft_is_accepted(tmp_path):
    defaults = LoraConfig(r=2, lora_alpha=4, target_modules=['q_proj']).to_dict()
    plain = {name: sorted(v) if isinstance(v, set) else v for name, v in defaults.items()}
    read = read_lora_config(config(tmp_path, **plain), [])
    assert (read.rank, read.alpha, read.targets) == (2, 4.0, ('q',))


def test_integer_weights_are_no_numbers(tmp_path):
    llava_hf().save_pretrained(tmp_path / 'base')
    path = tmp_path / 'base' / 'model.safetensors'
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith('layers.1.mlp.up_proj.weight'))
    tensors[name] = tensors[name].astype(np.int8)
    save_file(tensors, path, {'format': 'pt'})
    with pytest.raises(UserError, match=r'up_proj.weight: holds int8 numbers, as quantised'):
        read_folder(tmp_path / 'base')


QUANTISED = {
    'bitsandbytes': {'quant_method': 'bitsandbytes', 'load_in_4bit': True},
    'bitsandbytes, older': {'load_in_8bit': True},
    'gptq': {'quant_method': 'gptq', 'bits': 4},
    'awq': {'quant_method': 'awq'},
    'fp8': {'quant_method': 'fp8'},
    'compressed-tensors': {'quant_method': 'compressed-tensors'},
    'hqq': {'quant_method': 'hqq'},
}


@pytest.mark.parametrize('method', QUANTISED)
@pytest.mark.parametrize('inside', [True, False], ids=['text_config', 'config'])
def test_a_quantised_model_is_one_line(method, inside, tmp_path):
    base = tmp_path / 'base'
    llava_hf().save_pretrained(base)
    values = json.loads((base / 'config.json').read_text())
    (values['text_config'] if inside else values)['quantization_config'] = QUANTISED[method]
    (base / 'config.json').write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        main([str(base), '--to=llava-hf', f'--out={tmp_path / "out"}'])
    name = method.split(',')[0]
    assert str(caught.value) == f'{base}: quantised by {name}; give the unquantised weights'


def test_tensors_of_a_quantiser_are_one_line_whatever_the_config_says(tmp_path):
    llava_hf().save_pretrained(tmp_path / 'base')
    path = tmp_path / 'base' / 'model.safetensors'
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith('up_proj.weight'))
    save_file({**tensors, f'{name}.absmax': np.ones(3, 'f4')}, path, {'format': 'pt'})
    with pytest.raises(UserError, match='holds quantised weights; give the unquantised ones'):
        read_folder(tmp_path / 'base')
