import json
import re

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emola_jax.formats.write import write_pytorch, write_safetensors
from emola_jax.weights import lazy, read_files

TENSORS = {
    'wide': np.arange(12, dtype=np.float32).reshape(3, 4),
    'half': np.arange(5, dtype=np.float16),
    'brain': np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16),
    'scalar': np.float32(3),
    'turned': np.arange(6, dtype=np.float32).reshape(2, 3).T,
    'empty': np.zeros((0, 4), np.float32),
}


def lazies():
    return {name: lazy.of_array(array) for name, array in TENSORS.items()}


def check(read):
    assert read.keys() == TENSORS.keys()
    for name, tensor in read.items():
        np.testing.assert_array_equal(tensor.float().numpy(), TENSORS[name].astype(np.float32))
    assert read['brain'].dtype == torch.bfloat16
    assert read['half'].dtype == torch.float16


def test_torch_reads_one_file(tmp_path):
    seen = []
    (path,) = write_safetensors(tmp_path, lazies(), progress=seen.append)
    assert [p.name for p in tmp_path.iterdir()] == ['model.safetensors']
    check(load_file(path))
    assert sum(seen) == sum(np.asarray(array).nbytes for array in TENSORS.values())


def test_torch_reads_shards_and_the_index_is_right(tmp_path):
    files = write_safetensors(tmp_path, lazies(), max_shard_size=48)
    assert len(files) == 3
    index = json.loads((tmp_path / 'model.safetensors.index.json').read_text())
    read = {}
    for path in files:
        shard = load_file(path)
        assert all(index['weight_map'][name] == path.name for name in shard)
        assert sum(t.nbytes for t in shard.values()) <= 48
        read |= shard
    check(read)
    opened = read_files.open_folder(tmp_path)
    assert not opened.faults
    for name, tensor in opened.tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        np.testing.assert_array_equal(tensor.whole(), TENSORS[name])


def test_a_tensor_above_the_limit_has_a_shard_of_its_own(tmp_path):
    files = write_safetensors(tmp_path, lazies(), max_shard_size=1)
    assert len(files) == len(TENSORS)
    check({name: tensor for path in files for name, tensor in load_file(path).items()})


def test_torch_reads_its_own_format_and_so_do_we(tmp_path):
    path = tmp_path / 'pytorch_model.bin'
    write_pytorch(path, lazies(), lambda size: None)
    check(torch.load(path, weights_only=True))
    opened = read_files.open_folder(tmp_path)
    assert not opened.faults
    for name, tensor in opened.tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        np.testing.assert_array_equal(tensor.whole(), TENSORS[name])


@pytest.mark.parametrize(
    ('change', 'fault'),
    [
        (lambda f: (f / 'model-00002-of-00003.safetensors').unlink(), '00002-of-00003.*: missing'),
        (
            lambda f: (f / 'model-00001-of-00003.safetensors').write_bytes(b'1234567890'),
            '00001-of-00003.*not a readable safetensors file',
        ),
        (
            lambda f: (f / 'model.safetensors.index.json').write_text('{"weight_map": {'),
            'index.json: not JSON',
        ),
        (
            lambda f: (f / 'model.safetensors.index.json').write_text('{}'),
            "expected the field 'weight_map'",
        ),
    ],
)
def test_a_folder_that_is_not_whole_is_a_fault_that_names_the_file(tmp_path, change, fault):
    write_safetensors(tmp_path, lazies(), max_shard_size=48)
    change(tmp_path)
    (found,) = read_files.open_folder(tmp_path).faults
    assert re.search(fault, found)


def test_a_tensor_that_only_the_index_knows_is_a_fault(tmp_path):
    write_safetensors(tmp_path, lazies(), max_shard_size=48)
    path = tmp_path / 'model.safetensors.index.json'
    index = json.loads(path.read_text())
    index['weight_map']['nose'] = 'model-00001-of-00003.safetensors'
    path.write_text(json.dumps(index))
    (found,) = read_files.open_folder(tmp_path).faults
    assert found.endswith(
        'model-00001-of-00003.safetensors: nose is missing, which the index says is here'
    )


def test_files_that_the_index_does_not_list_are_not_read(tmp_path):
    write_safetensors(tmp_path, lazies(), max_shard_size=48)
    write_safetensors(tmp_path, {'other': lazy.of_array(np.ones(2))}, stem='model-old')
    assert read_files.open_folder(tmp_path).tensors.keys() == TENSORS.keys()


def test_a_pickle_that_would_run_code_is_not_run(tmp_path):
    marker = tmp_path / 'ran'

    class Code:
        def __reduce__(self):
            return (marker.write_text, ('x',))

    torch.save({'a': torch.ones(1), 'b': Code()}, tmp_path / 'pytorch_model.bin')
    (found,) = read_files.open_folder(tmp_path).faults
    assert 'holds code' in found
    assert not marker.exists()


def test_files_of_before_pytorch_1_6_are_read(tmp_path):
    state = {'a': torch.arange(3.0)}
    path = tmp_path / 'pytorch_model.bin'
    torch.save(state, path, _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(read_files.open_folder(tmp_path).tensors['a'].whole(), [0, 1, 2])
    path.write_bytes(path.read_bytes()[:-4])
    assert 'not a readable PyTorch checkpoint' in read_files.open_folder(tmp_path).faults[0]
