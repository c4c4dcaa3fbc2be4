"""Answers of the released checkpoint, asked as the released evaluation asks it.

That is: another template than in training, pictures cut and not padded, greedily and with
temperature 0.01, top-k 50 and top-p 0.5.
"""

from pathlib import Path

import numpy as np
import pytest

from emola_jax.generation.generate import generate
from emola_jax.generation.sampler import Sampler
from emola_jax.models.lora import merge_lora
from input_pipeline.conversation import VISUAL_TOKEN
from input_pipeline.prompt_batches import bucket, prompt_batch, prompt_length
from tests.models.tiny import run
from tests.parity import golden

CASES = golden.facts('generation')
ENCODER = golden.encoder('llava_v1', pad_to_square=False)
EOS, LONGEST = 2, 64
SURE = 1e-3
"""A greedy choice may differ where the reference's two best logits are nearer than this."""


@pytest.fixture(scope='module')
def merged():
    return merge_lora(golden.MODEL, golden.released_params())


@pytest.fixture(scope='module')
def batch():
    by_image = golden.records('eval')
    records = [by_image[case['task'], Path(case['image']).stem] for case in CASES]
    longest = max(prompt_length(record, ENCODER) for record in records)
    return prompt_batch(records, ENCODER, length=bucket(longest))


def answers(merged, batch, sampler=None):
    model, params = merged
    tokens = generate(model, params, batch, max_new_tokens=LONGEST, eos_id=EOS, sampler=sampler)
    rows = np.asarray(tokens).tolist()
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]


def test_merged_weights(merged):
    layers = merged[1]['llm']['layers']
    for name, layer, block in (('q', 0, 'self_attn.q_proj'), ('down', 2, 'mlp.down_proj')):
        theirs = golden.arrays('generation')[f'merged/model.layers.{layer}.{block}.weight']
        np.testing.assert_allclose(layers[name]['kernel'][layer], theirs.T, rtol=0, atol=1e-7)


def test_prompts(batch):
    assert len(CASES) == 16
    for row, case in enumerate(CASES):
        tokens = batch['tokens'][row][batch['segment_ids'][row] > 0]
        np.testing.assert_array_equal(tokens, golden.widen(case['prompt_ids'], VISUAL_TOKEN))


def test_greedy_answers(merged, batch):
    sure = [case['top2_margin_min'] > SURE for case in CASES]
    assert sum(sure) == 15
    ours = answers(merged, batch)
    for case, certain, ids in zip(CASES, sure, ours, strict=True):
        if certain:
            assert ids == case['greedy_ids']
            assert golden.tokenizer().decode(ids).strip() == case['text']


def test_sampled_answers(merged, batch):
    """At that temperature top-p leaves one candidate, so that even a drawn answer is determined."""
    sampler = Sampler(temperature=0.01, top_k=50, top_p=0.5)
    for case, ids in zip(CASES, answers(merged, batch, sampler), strict=True):
        if case['top2_margin_min'] > SURE:
            assert ids == case['sampled_ids']


@pytest.mark.parametrize('index', [0, 1])
def test_logits_of_every_step(merged, batch, index):
    (row,) = (r for r, c in enumerate(CASES) if (c['task'], c['index']) == ('au', index))
    expected = golden.arrays('generation')[f'au{index}/step_logits']
    written = CASES[row]['greedy_ids'][:-1]
    prompt = batch['tokens'][row][batch['segment_ids'][row] > 0]
    tokens = np.zeros((1, len(prompt) + LONGEST), np.int32)
    used = len(prompt) + len(written)
    tokens[0, :used] = [*prompt, *written]
    model, params = merged
    whole = {
        'tokens': tokens,
        'positions': np.arange(tokens.shape[1], dtype=np.int32)[None],
        'segment_ids': (np.arange(tokens.shape[1]) < used).astype(np.int32)[None],
        'images': batch['images'][row : row + 1],
        'landmarks': batch['landmarks'][row : row + 1],
    }
    logits = np.asarray(run(model, params, whole))[0, len(prompt) - 1 : used]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-4)
