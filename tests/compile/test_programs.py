"""The compiled programs of a small model: what they cost, and what they must not do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import emola
from emola_jax.compile import costs, hlo, programs, settings
from emola_jax.compile.chips import CHIPS
from emola_jax.config import checks
from emola_jax.config.run import RunConfig, differing
from emola_jax.errors import UserError
from emola_jax.experiment import base, state
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import abstract_params
from emola_jax.parallel import sharding

pytestmark = pytest.mark.usefixtures('compiled_quickly')

LAYERS = 5


def small(layers=LAYERS, **train):
    return RunConfig.from_config_dict(small_values(layers, **train))


def small_values(layers=LAYERS, argument='', **train):
    config = emola.get_config(argument)
    config.model.llm.update(
        {'width': 64, 'heads': 8, 'kv_heads': 8, 'head_dim': 8, 'mlp': 128, 'layers': layers}
    )
    config.model.llm.vocab = 256
    config.model.vision.update(
        {'width': 32, 'heads': 8, 'mlp': 64, 'layers': 3, 'image_size': 28, 'patch_size': 14}
    )
    config.model.lora.rank = 4
    config.model.update({'dtype': 'float32', 'param_dtype': 'float32'})
    config.train.update({'batch_size': 8, 'loss_chunk': 16, **train})
    config.data.length = 64
    config.eval.update({'batch_size': 8, 'max_new_tokens': {'emotion': 8, 'au': 8}})
    return config


@functools.cache
def compiled(program, axes=(1, 8, 1), remat='full', unroll=False, layers=LAYERS):
    mesh = sharding.make_mesh(dict(zip(sharding.MESH_AXES, axes, strict=True)))
    values = small_values(layers, unroll=unroll)
    values.eval.unroll = unroll
    values.model.remat = remat
    lowered = programs.lower(RunConfig.from_config_dict(values), mesh, program)
    found, text = programs.report(lowered, CHIPS['v5e'], mesh)
    return found, hlo.parse(text)


@pytest.mark.parametrize(
    ('axes', 'remat'),
    [((1, 8, 1), 'none'), ((1, 8, 1), 'full'), ((1, 8, 1), 'dots'), ((1, 4, 2), 'full')],
)
def test_operations_of_a_step_are_those_counted_by_hand(axes, remat):
    found, _ = compiled('train', axes, remat)
    assert found['flops']['ratio'] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize('axes', [(1, 8, 1), (1, 4, 2)])
def test_operations_of_generation_are_those_counted_by_hand(axes):
    found, _ = compiled('generate', axes)
    assert found['flops']['ratio'] == pytest.approx(1, abs=0.01)
    assert found['token_flops']['ratio'] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize('program', programs.PROGRAMS)
def test_operations_of_unrolled_layers_are_those_counted_by_hand(program):
    found, _ = compiled(program, (1, 4, 2), unroll=True, layers=2)
    assert found['flops']['ratio'] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize('axes', [(1, 8, 1), (1, 4, 2), (2, 2, 2)])
@pytest.mark.parametrize('program', programs.PROGRAMS)
def test_frozen_weights_are_gathered_a_layer_at_a_time(program, axes):
    """All layers of a kernel at once would undo what sharding saves."""
    _, module = compiled(program, axes)
    shapes = base.shapes_on(small().model, sharding.make_mesh({'fsdp': 8}))[0]
    stack = min(
        np.prod(leaf.shape)
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes['llm']['layers'])
        if len(leaf.shape) == 3
    )
    one_layer = max(np.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(shapes['llm']['layers']))
    exchanged = costs.collectives(module, 8)
    gathers = [c for c in exchanged if c.kind == 'all-gather']
    in_layers = [c for c in gathers if c.runs >= LAYERS]
    assert in_layers  # the kernels do come through gathers, inside the loop over layers
    assert max(array.size for c in in_layers for array in c.arrays) <= one_layer
    # In whatever order of axes and by whatever kind: XLA also gathers by summing zeros.
    assert max(a.size for c in exchanged if c.runs < LAYERS for a in c.arrays) < stack
    assert all(a.size < stack for c in exchanged for a in c.arrays if LAYERS in a.dims)


def test_the_frozen_base_gets_no_gradient():
    """Against a step that does make them, which has 2N operations a token and their memory more."""
    found, _ = compiled('train', (8, 1, 1))
    config = small()
    cfg = config.model
    mesh = sharding.make_mesh({'data': 8})
    frozen, _ = base.shapes_on(cfg, mesh)
    kernels = [leaf.size for leaf in jax.tree.leaves(frozen['llm']['layers']) if leaf.ndim == 3]
    with pytest.MonkeyPatch.context() as patch:
        # Everything trains but the embeddings: the same program, with the gradients that it lacks.
        def group(path):
            return 'lora' if path[:2] == ('llm', 'layers') else original(path)

        original = state.group_of
        patch.setattr(state, 'group_of', group)
        lowered = programs.lower(config, mesh, 'train')
        everything, _ = programs.report(lowered, CHIPS['v5e'], mesh)
    tokens = config.train.batch_size * config.data.length
    more = (everything['flops']['compiled'] - found['flops']['compiled']) * mesh.size
    assert more == pytest.approx(2 * sum(kernels) * tokens, rel=0.02)
    hbm, full = found['hbm'], everything['hbm']
    assert full['temporaries'] > hbm['temporaries'] + 0.9 * 4 * sum(kernels)
    assert full['output'] > hbm['output'] + 3 * 4 * sum(kernels)  # weights and two moments


def test_logits_of_all_positions_never_exist():
    values = small_values()
    values.model.llm.vocab = 4096
    values.data.length = 48  # not the model's width, which is the head's other axis
    config = RunConfig.from_config_dict(values)
    mesh = sharding.make_mesh({'data': 8})
    lowered = programs.lower(config, mesh, 'train')
    module = hlo.parse(lowered.lowered.compile().as_text())
    rows, length = config.train.batch_size // 8, config.data.length
    sizes = {
        array.size
        for computation in module.computations.values()
        for instruction in computation.values()
        for array in instruction.arrays
        if array.dims and array.dims[-1] == 4096
    }
    assert rows * config.train.loss_chunk * 4096 in sizes
    assert rows * length * 4096 not in sizes


def test_no_parameter_is_allocated():
    """LLaVA-1.5-7B from shapes: this process would not hold it otherwise."""
    mesh = sharding.make_mesh({'fsdp': 8})
    before = sum(array.nbytes for array in jax.live_arrays())
    frozen, trainable = base.shapes_on(EmolaConfig.from_config_dict(emola.get_config().model), mesh)
    leaves = jax.tree.leaves((frozen, trainable))
    assert sum(leaf.size for leaf in leaves) > 7e9
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
    assert sum(array.nbytes for array in jax.live_arrays()) - before < 1e6


@pytest.mark.parametrize('program', programs.PROGRAMS)
def test_programs_read_no_other_fields_than_a_sweep_compares(program):
    """A config in which everything else is different makes the same program."""
    other = small_values(argument='task=au,dataset=disfa,fold=2')
    read = {*settings.read(small()), 'train.batch_size', 'data.length'}  # a case names the last two
    for name, value in dict(checks.flatten(other.to_dict())).items():
        is_read = any(f'{name}.'.startswith(f'{one}.') for one in read)
        if not is_read and type(value) in CHANGED and name not in ONE_WAY:
            other.update_from_flattened_dict({name: CHANGED[type(value)](value)})
    changed = RunConfig.from_config_dict(other)
    assert settings.differing(small(), changed) == []
    assert len(differing(small(), changed)) > 25
    mesh = sharding.make_mesh({'fsdp': 8})
    one, two = (programs.lower(config, mesh, program) for config in (small(), changed))
    assert one.lowered.as_text() == two.lowered.as_text()


ONE_WAY = ('data.fold', 'mesh.data', 'mesh.fsdp', 'mesh.tensor')
CHANGED = {int: lambda value: value + 1, float: lambda value: value + 0.5, bool: lambda v: not v}


def test_a_quantised_base_is_compiled_as_such():
    values, mesh = small_values(), sharding.make_mesh({'data': 8})
    plain = programs.lower(small(), mesh, 'train')
    values.base.quantize = 'nf4'
    small_base = programs.lower(RunConfig.from_config_dict(values), mesh, 'train')
    frozen, _ = base.shapes_on(small().model, mesh)
    in_float32 = 4 * sum(leaf.size for leaf in jax.tree.leaves(frozen))
    assert plain.arguments - small_base.arguments > 0.7 * in_float32


def test_a_batch_that_the_mesh_cannot_share_is_refused():
    with pytest.raises(UserError, match='batch_size 8 must be a multiple of'):
        programs.lower(small(accumulate=2), sharding.make_mesh({'fsdp': 8}), 'train')


def test_every_frozen_weight_lies_on_fsdp_or_tensor():
    boxed = abstract_params(EmolaConfig.from_config_dict(emola.get_config().model))
    mesh = sharding.make_mesh({'fsdp': 4, 'tensor': 2})
    shardings = sharding.param_shardings(boxed, mesh)
    for path, (leaf, where) in jax.tree_util.tree_leaves_with_path(
        jax.tree.map(lambda a, b: (a, b), sharding.unbox(boxed), shardings),
        is_leaf=lambda x: isinstance(x, tuple),
    ):
        if leaf.size > 1e6:  # what is small lies whole on every device
            assert np.prod(where.shard_shape(leaf.shape)) <= leaf.size / 4, path


def test_lora_factors_lie_where_their_weight_does_and_are_shared_by_all():
    boxed = abstract_params(EmolaConfig.from_config_dict(emola.get_config().model))
    shardings = sharding.param_shardings(boxed, sharding.make_mesh({'fsdp': 4, 'tensor': 2}))
    spread = {'fsdp': 'fsdp', 'tensor': ('tensor', 'fsdp')}
    for name, parts in shardings['llm']['layers'].items():
        if 'lora_a' in parts:
            _, inputs, outputs = parts['kernel'].spec
            assert parts['lora_a'].spec[1] == spread[inputs], name
            assert parts['lora_b'].spec[2] == spread[outputs], name


def test_the_roofline_names_what_bounds_a_step():
    bound = programs.roofline(CHIPS['v5e'], 197e12, 819e9 * 2, 200e9 * 0.5)
    assert bound == pytest.approx(
        {'compute': 1, 'memory': 2, 'network': 0.5, 'seconds': 2, 'bound': 'memory'}
    )
    assert jnp.isfinite(bound['seconds'])
