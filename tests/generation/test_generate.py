import dataclasses

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from emola_jax.generation.generate import generate
from emola_jax.generation.sampler import Sampler
from emola_jax.models.config import TINY
from emola_jax.models.emola import Emola, unroll
from emola_jax.models.lora import merge_lora
from tests.models.tiny import conversation, pack, pad_left, random_params

pytestmark = pytest.mark.usefixtures('compiled_quickly')

MODEL = Emola(TINY)
PARAMS = random_params(TINY)
PROMPTS = [conversation(TINY, length, seed=length) for length in (4, 9, 6, 2)]
NO_EOS = -1


def answer(batch, *, model=MODEL, params=PARAMS, eos_id=NO_EOS, length=12, **options):
    tokens = generate(model, params, batch, max_new_tokens=length, eos_id=eos_id, **options)
    return np.asarray(tokens)


def without_a_cache(prompt, length):
    """Greedy words by running the whole model again for every token."""
    start = prompt['tokens'].shape[1]
    row = pack([prompt], length=40)
    run = jax.jit(lambda batch: MODEL.apply({'params': PARAMS}, batch))
    words = []
    for position in range(start, start + length):
        words.append(int(run(row)[0, position - 1].argmax()))
        row['tokens'][0, position] = words[-1]
        row['positions'][0, position] = position
        row['segment_ids'][0, position] = 1
    return words


def test_a_batch_writes_what_each_prompt_writes_alone_without_a_cache():
    expected = [without_a_cache(prompt, 12) for prompt in PROMPTS]
    assert len({tuple(row) for row in expected}) == len(PROMPTS)
    np.testing.assert_array_equal(answer(pad_left(PROMPTS)), expected)


def test_merged_and_unrolled_models_write_the_same():
    model, params = unroll(*merge_lora(MODEL, PARAMS))
    batch = pad_left(PROMPTS)
    np.testing.assert_array_equal(answer(batch, model=model, params=params), answer(batch))


def test_a_row_ends_at_its_eos_and_the_others_go_on():
    batch = pad_left(PROMPTS)
    free = answer(batch)
    eos = int(free[1, 4])
    for pad_id in (None, 7):
        stopped = answer(batch, eos_id=eos, pad_id=pad_id)
        for before, after in zip(free, stopped, strict=True):
            ends = np.flatnonzero(before == eos)
            end = ends[0] + 1 if len(ends) else len(before)
            np.testing.assert_array_equal(after[:end], before[:end])
            np.testing.assert_array_equal(after[end:], eos if pad_id is None else pad_id)
    assert (free[1] == eos).argmax() < 11


@dataclasses.dataclass(frozen=True)
class CountingSampler:
    """Greedy; tells how often it was asked."""

    calls: list = dataclasses.field(default_factory=list, hash=False)

    def __call__(self, logits, rng):
        jax.debug.callback(lambda: self.calls.append(1))
        return logits.argmax(axis=-1).astype('int32')


def test_the_loop_ends_with_the_last_row():
    alone = answer(PROMPTS[0])[0]
    eos = int(alone[2])
    first = int((alone == eos).argmax())
    sampler = CountingSampler()
    long = answer(PROMPTS[0], eos_id=eos, length=100, pad_id=7, sampler=sampler)[0]
    jax.effects_barrier()
    assert len(sampler.calls) == first + 1
    np.testing.assert_array_equal(long[: first + 1], alone[: first + 1])
    np.testing.assert_array_equal(long[first + 1 :], 7)


def test_one_token_needs_no_decoding():
    batch = pad_left(PROMPTS)
    np.testing.assert_array_equal(answer(batch, length=1), answer(batch)[:, :1])


def test_an_empty_row_answers_nothing_and_disturbs_nobody():
    batch = pad_left(PROMPTS)
    padded = {
        name: np.append(leaf, np.zeros_like(leaf[:1]), axis=0) for name, leaf in batch.items()
    }
    out = answer(padded, pad_id=7)
    np.testing.assert_array_equal(out[:-1], answer(batch))
    np.testing.assert_array_equal(out[-1], 7)


@pytest.mark.parametrize('devices', [2, 4])
def test_sharded_over_devices_it_writes_the_same(devices):
    mesh = jax.make_mesh(
        (devices,), ('data',), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices]
    )
    batch = pad_left(PROMPTS)
    sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec('data')))
    params = jax.device_put(PARAMS, NamedSharding(mesh, PartitionSpec()))
    np.testing.assert_array_equal(answer(sharded, params=params), answer(batch))


def test_sampling_depends_on_the_key_and_greedy_does_not():
    batch = pad_left(PROMPTS)
    hot = Sampler(temperature=5.0)
    first, again, other = (answer(batch, sampler=hot, rng=jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
    np.testing.assert_array_equal(answer(batch, rng=jax.random.key(5)), answer(batch))


def test_nearly_zero_temperature_is_greedy():
    batch = pad_left(PROMPTS)
    cold = Sampler(temperature=1e-4, top_k=50, top_p=0.5)
    np.testing.assert_array_equal(answer(batch, sampler=cold), answer(batch))
