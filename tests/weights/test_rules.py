import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from emola_jax.formats import gguf, layouts
from emola_jax.models.config import TINY, LlamaConfig
from emola_jax.models.layers import unstack_layers
from emola_jax.weights import lazy, rules
from tests.models.tiny import random_params

GGUF_RULES = gguf.llama_rules(LlamaConfig(heads=2, kv_heads=1))
EVERY_RULE = [*GGUF_RULES, *(rule for layout in layouts.LAYOUTS for rule in layout.rules)]


def ours_of(rule, array):
    return rule.to_ours(lazy.of_array(array)).whole()


def theirs_of(rule, array):
    return rule.to_theirs(lazy.of_array(array)).whole()


@pytest.mark.parametrize('rule', dict.fromkeys(EVERY_RULE), ids=lambda rule: rule.theirs)
def test_every_rule_is_undone_by_its_inverse_whole_and_in_pieces(rule):
    rank = {'copy': 1, 'transpose': 2, 'patch': 4}[rule.op]
    shape = (8, 3, 4, 5)[:rank]
    theirs = np.arange(np.prod(shape)).reshape(shape)
    ours = ours_of(rule, theirs)
    np.testing.assert_array_equal(theirs_of(rule, ours), theirs)
    assert rules.their_shape(rules.Place(rule, rule.ours, None), ours.shape) == shape
    index = tuple(slice(1, size - 1) for size in ours.shape)
    piece = rule.to_ours(lazy.of_array(theirs)).piece(index)
    np.testing.assert_array_equal(piece, ours[index])
    index = tuple(slice(1, size - 1) for size in shape)
    piece = rule.to_theirs(lazy.of_array(ours)).piece(index)
    np.testing.assert_array_equal(piece, theirs[index])


@pytest.mark.parametrize('layout', layouts.LAYOUTS, ids=lambda layout: layout.name)
def test_no_two_rules_of_a_layout_share_a_name_or_a_path(layout):
    table = layout.rules
    assert len({rule.theirs for rule in table}) == len({rule.ours for rule in table}) == len(table)


@pytest.mark.parametrize(
    'table', [layouts.LLAMA.rules, layouts.LLAVA_HF.rules, GGUF_RULES], ids=['hf', 'llava', 'gguf']
)
def test_an_adapters_rules_do_to_a_and_b_what_the_kernels_rule_does_to_their_product(table):
    rng = np.random.default_rng(0)
    kernels = {rule.ours: rule for rule in table}
    adapters = rules.of_lora(table)
    assert len(adapters) == 2 * sum(path[-1] == 'kernel' for path in kernels) >= 14
    for of_a, of_b in zip(adapters[::2], adapters[1::2], strict=True):
        kernel = kernels[*of_a.ours[:-1], 'kernel']
        a, b = rng.normal(size=(2, 6)), rng.normal(size=(8, 2))
        np.testing.assert_allclose(ours_of(of_a, a) @ ours_of(of_b, b), ours_of(kernel, b @ a))
        assert of_a.theirs == kernel.theirs.replace('.weight', '.lora_A.weight')
        assert of_b.theirs == kernel.theirs.replace('.weight', '.lora_B.weight')
        assert (of_a.ours[-1], of_b.ours[-1]) == ('lora_a', 'lora_b')


@pytest.mark.parametrize('scan', [True, False], ids=['scanned', 'unscanned'])
@pytest.mark.parametrize('tied', [True, False], ids=['tied', 'untied'])
def test_ours_to_theirs_to_ours_keeps_every_bit(scan, tied):
    config = TINY.replace(lora=None, llm=LlamaConfig(**{**vars(TINY.llm), 'tied_embeddings': tied}))
    params = random_params(config)
    if not scan:
        params['llm']['layers'] = unstack_layers(params['llm']['layers'])
    ours = {path: lazy.of_array(leaf) for path, leaf in flatten_dict(params).items()}
    for layout in (layouts.LLAVA, layouts.EMOLA_HF):
        theirs = rules.to_theirs(layout.rules, ours)
        assert (f'{layout.head}.weight' in theirs) != tied
        assert len([name for name in theirs if 'self_attn.k_proj.weight' in name]) == 2 + 2
        read, faults = rules.to_ours(layout.rules, theirs, ours)
        assert not faults
        assert read.keys() == ours.keys()
        for path, leaf in ours.items():
            np.testing.assert_array_equal(read[path].whole(), leaf.whole())


def test_whatever_does_not_fit_is_listed_at_once():
    config = TINY.replace(lora=None, vision=None)
    ours = {path: lazy.of_array(leaf) for path, leaf in flatten_dict(random_params(config)).items()}
    theirs = rules.to_theirs(layouts.LLAVA.rules, ours)
    theirs['nose'] = lazy.of_array(np.zeros(3))
    theirs['model.buffer'] = lazy.of_array(np.zeros(3))
    del theirs['model.layers.1.mlp.up_proj.weight']
    theirs['lm_head.weight'] = lazy.transpose(theirs['lm_head.weight'], (1, 0))
    read, faults = rules.to_ours(layouts.LLAVA.rules, theirs, ours, [r'model\.buf.*'])
    assert faults == [
        'lm_head.weight: has shape (32, 300), expected (300, 32)',
        'model.layers.1.mlp.up_proj.weight: missing',
        'nose: the model has no place for it',
    ]
    assert ours.keys() - read.keys() == {('llm', 'head'), ('llm', 'layers', 'up', 'kernel')}


@pytest.mark.parametrize('layout', layouts.LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_is_known_by_its_names(layout):
    names = [rule.name(0) for rule in layout.rules]
    if layout.vision and layout.body == 'model.':
        names = [name for name in names if not name.startswith(layout.vision)]  # without its CLIP
    assert layouts.detect(names) is layout
    if layout.body is not None:
        adapter = [rule.name(3) for rule in layout.lora_rules]
        assert layouts.detect_adapter(adapter).lora_rules == layout.lora_rules


def test_names_of_no_layout_are_not_guessed_at():
    assert layouts.detect(['transformer.h.0.attn.weight']) is None
    assert layouts.detect_adapter(['base_model.model.transformer.h.0.attn.lora_A.weight']) is None


@pytest.mark.parametrize(
    'name',
    [
        'base_model.model.model.mm_projector.0.weight',
        'base_model.model.mm_projector.0.weight',
        'model.model.mm_projector.0.weight',
        'model.mm_projector.0.weight',
        'mm_projector.0.weight',
    ],
)
def test_wrappers_in_front_of_a_trainables_name_do_not_matter(name):
    assert layouts.plain_trainable_name(name) == 'model.mm_projector.0.weight'


def test_the_adapters_own_name_does_not_matter():
    name = 'base_model.model.model.layers.0.mlp.up_proj.lora_A'
    assert layouts.plain_adapter_name(f'{name}.default.weight') == f'{name}.weight'
    assert layouts.plain_adapter_name(f'{name}.weight') == f'{name}.weight'


def test_a_placed_tensor_is_read_once_a_piece():
    mesh = jax.make_mesh((2, 4), ('data', 'fsdp'))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, 'fsdp'))
    array = np.arange(48, dtype=np.float32).reshape(6, 8)
    asked = []

    def read(index):
        asked.append(index)
        return array[index]

    placed = lazy.place(lazy.Lazy(array.shape, array.dtype, read), np.float16, sharding)
    assert placed.dtype == np.float16
    np.testing.assert_array_equal(placed, array)
    assert len(asked) == 4  # of eight devices, two hold the same piece
    assert {(rows.stop, columns.stop - columns.start) for rows, columns in asked} == {(6, 2)}
