"""The reading of compiled programs, against XLA's own counts, closed forms and texts of a TPU's."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from emola_jax.compile import costs, hlo
from emola_jax.parallel import sharding

X = jax.ShapeDtypeStruct((8, 16), jnp.float32)
W = jax.ShapeDtypeStruct((16, 16), jnp.float32)
PRODUCT = 2 * 8 * 16 * 16


def compiled(function, *arguments):
    return jax.jit(function).lower(*arguments).compile()


def module(function, *arguments):
    return hlo.parse(compiled(function, *arguments).as_text())


def repeated(count, function):
    return lambda x, w: jax.lax.fori_loop(0, count, lambda _, y: function(y, w), x)


@pytest.mark.parametrize(
    'function',
    [
        lambda x, w: x @ w,
        lambda x, w: jnp.tanh(x @ w) @ w.T,
        lambda x, w: jnp.einsum('abi,aij->abj', x.reshape(2, 4, 16), jnp.stack([w, w])),
    ],
)
def test_without_loops_it_counts_what_xla_counts(function):
    program = compiled(function, X, W)
    counted = costs.flops(hlo.parse(program.as_text()))
    assert counted and counted <= program.cost_analysis()['flops'] <= counted * 1.05


def test_a_body_counts_as_often_as_it_runs():
    once = repeated(7, lambda x, w: jnp.tanh(x @ w))
    assert costs.flops(module(once, X, W)) == 7 * PRODUCT
    nested = repeated(5, once)
    assert costs.flops(module(nested, X, W)) == 35 * PRODUCT
    assert costs.flops_of_round(module(nested, X, W), 5) == 7 * PRODUCT
    assert costs.flops_of_round(module(nested, X, W), 6) == 0
    assert compiled(nested, X, W).cost_analysis()['flops'] < 2 * PRODUCT  # why this exists


def test_a_loop_that_depends_on_data_runs_as_often_as_assumed():
    def loop(x, w, count):
        return jax.lax.fori_loop(0, count, lambda _, y: jnp.tanh(y @ w), x)

    program = module(loop, X, W, jax.ShapeDtypeStruct((), jnp.int32))
    assert costs.flops(program) == PRODUCT
    assert costs.flops(program, dynamic_trips=3) == 3 * PRODUCT
    assert costs.flops_of_round(program, 3) == PRODUCT


def test_a_slice_of_a_stack_counts_as_what_it_takes():
    stack = jax.ShapeDtypeStruct((64, 256, 256), jnp.float32)
    x = jax.ShapeDtypeStruct((256, 256), jnp.float32)

    def scanned(x, stack):
        return jax.lax.scan(lambda y, w: (jnp.tanh(y @ w), None), x, stack)[0]

    layer = 256 * 256 * 4
    moved = costs.hbm_bytes(module(scanned, x, stack))
    # A layer: its weight, the product's input and output, and as much again for slicing and tanh.
    assert 64 * 3 * layer <= moved <= 64 * 9 * layer


def test_collectives_are_counted_with_their_groups_and_bytes():
    mesh = sharding.make_mesh({'data': 2, 'fsdp': 4})
    here, whole = (NamedSharding(mesh, spec) for spec in (PartitionSpec('fsdp'), PartitionSpec()))
    gather = jax.jit(lambda x: x * 2, in_shardings=here, out_shardings=whole)
    text = gather.lower(jax.ShapeDtypeStruct((16, 4), jnp.float32)).compile().as_text()
    (found,) = costs.collectives(hlo.parse(text), 8)
    assert (found.kind, found.chips, found.runs) == ('all-gather', 4, 1)
    assert found.sent == 3 * (16 * 4 * 4 // 4)
    batch = NamedSharding(mesh, PartitionSpec(('data', 'fsdp')))
    total = jax.jit(lambda x: x.sum(0), in_shardings=batch, out_shardings=whole)
    text = total.lower(jax.ShapeDtypeStruct((16, 4), jnp.float32)).compile().as_text()
    (found,) = costs.collectives(hlo.parse(text), 8)
    assert (found.kind, found.chips) == ('all-reduce', 8)
    assert found.sent == 2 * 7 / 8 * (4 * 4)


# In the manner of a TPU's program: no trip counts, memory spaces, named groups, and one gather that
# two kernels carry on with in turn.
TPU = """
HloModule jit_f, is_scheduled=true

%kernel.1 (p.1: bf16[4,8]) -> bf16[4,32] {
  %p.1 = bf16[4,8]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %gather.1 = bf16[4,32]{1,0} all-gather(%p.1), channel_id=7, \
replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_0'}, dimensions={1}
}

%kernel.2 (p.2: bf16[4,8]) -> bf16[4,32] {
  %p.2 = bf16[4,8]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %gather.2 = bf16[4,32]{1,0} all-gather(%p.2), channel_id=7, \
replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_0'}, dimensions={1}
}

%body (b: (s32[], bf16[4,8])) -> (s32[], bf16[4,8]) {
  %b = (s32[]{:T(128)}, /*index=1*/bf16[4,8]{1,0}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%b), index=0
  %x = bf16[4,8]{1,0} get-tuple-element(%b), index=1
  %two = s32[]{:T(128)} constant(2)
  %next = s32[]{:T(128)} add(%i, %two)
  %f.1 = bf16[4,32]{1,0:T(8,128)(2,1)S(1)} fusion(%x), kind=kCustom, calls=%kernel.1
  %f.2 = bf16[4,32]{1,0:T(8,128)(2,1)} fusion(%x), kind=kCustom, calls=%kernel.2
  %w = bf16[32,8]{1,0} constant({...})
  %y = bf16[4,8]{1,0} convolution(%f.2, %w), dim_labels=bf_io->bf
  ROOT %out = (s32[]{:T(128)}, bf16[4,8]{1,0}) tuple(%next, %y)
}

%cond (c: (s32[], bf16[4,8])) -> pred[] {
  %c = (s32[]{:T(128)}, bf16[4,8]{1,0}) parameter(0)
  %j = s32[]{:T(128)} get-tuple-element(%c), index=0
  %end = s32[]{:T(128)} constant(7)
  ROOT %less = pred[]{:T(512)} compare(%j, %end), direction=LT
}

ENTRY %main (a: bf16[4,8]) -> bf16[4,8] {
  %a = bf16[4,8]{1,0} parameter(0)
  %one = s32[]{:T(128)} constant(1)
  %start = (s32[]{:T(128)}, bf16[4,8]{1,0}) tuple(%one, %a)
  %loop = (s32[]{:T(128)}, bf16[4,8]{1,0}) while(%start), condition=%cond, body=%body
  ROOT %r = bf16[4,8]{1,0} get-tuple-element(%loop), index=1
}
"""


def test_the_program_of_a_tpu_is_read():
    program = hlo.parse(TPU)
    assert program.runs()['body'] == 3  # 1, 3, 5
    assert costs.flops(program) == 3 * 2 * 4 * 32 * 8
    (gather,) = costs.collectives(program, 8)
    assert (gather.chips, gather.runs, gather.sent) == (4, 3, 3 * 4 * 8 * 2)
    # f.1 reads x and writes near the cores; f.2 reads x and writes; the product reads both.
    x, wide = 4 * 8 * 2, 4 * 32 * 2
    assert costs.hbm_bytes(program) == 3 * (2 * x + 3 * wide + 32 * 8 * 2 + x - wide)


def test_a_slice_inside_of_a_kernel_in_a_kernel_counts_as_what_it_takes():
    text = """
HloModule m

%inner (s: bf16[32,64,16], i: s32[]) -> bf16[64,16] {
  %s = bf16[32,64,16]{2,1,0} parameter(0)
  %i = s32[] parameter(1)
  %zero = s32[] constant(0)
  %cut = bf16[1,64,16]{2,1,0} dynamic-slice(%s, %i, %zero, %zero), dynamic_slice_sizes={1,64,16}
  ROOT %w = bf16[64,16]{1,0} bitcast(%cut)
}

%outer (x: bf16[8,64], t: bf16[32,64,16], j: s32[]) -> bf16[8,16] {
  %x = bf16[8,64]{1,0} parameter(0)
  %t = bf16[32,64,16]{2,1,0} parameter(1)
  %j = s32[] parameter(2)
  %k = bf16[64,16]{1,0} fusion(%t, %j), kind=kLoop, calls=%inner
  ROOT %y = bf16[8,16]{1,0} convolution(%x, %k), dim_labels=bf_io->bf
}

ENTRY %main (a: bf16[8,64], b: bf16[32,64,16], n: s32[]) -> bf16[8,16] {
  %a = bf16[8,64]{1,0} parameter(0)
  %b = bf16[32,64,16]{2,1,0} parameter(1)
  %n = s32[] parameter(2)
  ROOT %f = bf16[8,16]{1,0} fusion(%a, %b, %n), kind=kOutput, calls=%outer
}
"""
    assert costs.hbm_bytes(hlo.parse(text)) == 2 * (8 * 64 + 64 * 16 + 8 * 16)


def test_padding_of_a_convolution_is_no_work():
    text = """
HloModule m

ENTRY %main (a: f32[1,8,4], k: f32[3,4,2]) -> f32[1,8,2] {
  %a = f32[1,8,4]{2,1,0} parameter(0)
  %k = f32[3,4,2]{2,1,0} parameter(1)
  ROOT %y = f32[1,8,2]{2,1,0} convolution(%a, %k), window={size=3 pad=1_1}, dim_labels=b0f_0io->b0f
}
"""
    assert costs.flops(hlo.parse(text)) == 2 * (3 * 8 - 2) * 4 * 2
