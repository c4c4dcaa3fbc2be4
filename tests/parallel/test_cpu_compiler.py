import jax
import jax.numpy as jnp

from emola_jax.parallel import cpu_compiler


def test_options_that_this_xla_does_not_have_are_left_out():
    known = {'xla_cpu_prefer_vector_width': 512}
    assert cpu_compiler.known({**known, 'xla_cpu_no_such_option': True}) == known


def test_a_barrier_is_still_there_in_the_compiled_program():
    def function(x):
        return jax.lax.optimization_barrier(jnp.cos(x)) * 2

    x = jnp.arange(8.0)
    options = cpu_compiler.known(cpu_compiler.KEEPS_BARRIERS)
    kept = jax.jit(function, compiler_options=options).lower(x).compile()
    assert 'opt-barrier' in kept.as_text()
    assert 'opt-barrier' not in jax.jit(function).lower(x).compile().as_text()
    assert (kept(x) == jax.jit(function)(x)).all()
