"""A sharded checkpoint goes straight into a sharding, and nobody reads more than its own pieces."""

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from emola_jax.formats import layouts
from emola_jax.formats.write import write_safetensors
from emola_jax.models.emola import abstract_params
from emola_jax.parallel import sharding
from emola_jax.weights import lazy, read_files, rules
from tests.formats.checkpoints import MODEL, source, variant


class Spy:
    """Counts the numbers that are read of a tensor."""

    def __init__(self, tensors):
        self.read = dict.fromkeys(tensors, 0)
        self.tensors = {name: self._watched(name, tensor) for name, tensor in tensors.items()}

    def _watched(self, name, tensor):
        def read(index):
            piece = tensor.read(index)
            self.read[name] += piece.size
            return piece

        return lazy.Lazy(tensor.shape, tensor.dtype, read, tensor.origin)


def test_two_shards_onto_eight_devices_read_slices_only(tmp_path):
    model = variant(lora=None)
    ours = source(model)
    theirs = rules.to_theirs(layouts.EMOLA_HF.rules, ours.params)
    half = sum(tensor.nbytes for tensor in theirs.values()) * 2 // 3
    assert len(write_safetensors(tmp_path, theirs, max_shard_size=half)) == 2
    spy = Spy(read_files.open_folder(tmp_path).tensors)
    read, faults = rules.to_ours(layouts.EMOLA_HF.rules, spy.tensors, ours.params)
    assert not faults
    assert not any(spy.read.values())

    mesh = sharding.make_mesh({'data': 1, 'fsdp': 4, 'tensor': 2})
    boxed = abstract_params(model)
    shardings = flatten_dict(sharding.param_shardings(boxed, mesh))
    for path, value in read.items():
        placed = lazy.place(value, np.float32, shardings[path])
        np.testing.assert_array_equal(placed, ours.params[path].whole())
    for name, tensor in spy.tensors.items():
        assert spy.read[name] == np.prod(tensor.shape, dtype=int), name

    # One of four hosts, which has two of the devices, reads a quarter of a matrix.
    kernel = ('llm', 'layers', 'gate', 'kernel')
    spy.read = dict.fromkeys(spy.read, 0)
    indices = shardings[kernel].devices_indices_map(read[kernel].shape)
    of_host = {tuple((s.start, s.stop) for s in indices[d]) for d in jax.devices()[:2]}
    for spans in of_host:
        read[kernel].piece([slice(*span) for span in spans])
    gate = 'model.language_model.layers.1.mlp.gate_proj.weight'
    assert spy.read[gate] == MODEL.llm.width * MODEL.llm.mlp // 4
    assert sum(spy.read.values()) == MODEL.llm.layers * spy.read[gate]
