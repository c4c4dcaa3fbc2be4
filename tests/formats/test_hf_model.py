"""A model of ours against the folder it becomes, run by transformers in float32."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors import safe_open

from emola_jax.generation.generate import generate
from emola_jax.models.emola import Emola
from tests.formats.hf_tiny import (
    CASES,
    TOKENIZER,
    landmarks,
    our_logits,
    our_prompts,
    pictures,
    their_logits,
    their_prompts,
    write,
)

pytestmark = pytest.mark.usefixtures('compiled_quickly')

NEW_TOKENS = 24


@pytest.fixture(scope='module', params=CASES)
def written(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp('hf') / 'folder', CASES[request.param])


@pytest.fixture(scope='module')
def net(written):
    net = written.load()[0]
    # Ours may write the placeholder's id, where the vocabulary has room for it.
    assert net.generation_config.suppress_tokens == [net.config.image_token_id]
    net.generation_config.suppress_tokens = None
    return net


@pytest.fixture(scope='module')
def full(tmp_path_factory):
    """The case with every option."""
    return write(tmp_path_factory.mktemp('hf') / 'folder', CASES['all'])


@pytest.fixture(scope='module')
def full_net(full):
    return full.load()[0]


def has_prior(written):
    return written.case.model.prior.enabled


def test_every_tensor_finds_its_place(written):
    _, report = written.load()
    assert {name: keys for name, keys in report.items() if keys} == {}


def test_prompts_and_logits_are_ours(written, net):
    batch = our_prompts(written.case)
    each, both = their_prompts(written.processor(), has_prior(written))
    ids = both['input_ids'].numpy()
    mine = np.where(ids == net.config.image_token_id, -1, ids)
    np.testing.assert_array_equal(both['attention_mask'], batch['segment_ids'])
    np.testing.assert_array_equal(np.where(batch['segment_ids'], mine, 0), batch['tokens'])
    ours = our_logits(written.model, written.params, batch)
    for expected, inputs, batched in zip(ours, each, their_logits(net, both), strict=True):
        (alone,) = their_logits(net, inputs)
        np.testing.assert_allclose(alone, expected, atol=1e-4)
        np.testing.assert_allclose(batched, expected, atol=1e-4)


def test_greedy_answers_are_ours(written, net):
    batch = our_prompts(written.case)
    ours = generate(
        written.model, written.params, batch, max_new_tokens=NEW_TOKENS, eos_id=TOKENIZER.eos_id
    )
    processor = written.processor()
    each, both = their_prompts(processor, has_prior(written))
    answers = net.generate(**both, max_new_tokens=NEW_TOKENS)[:, both['input_ids'].shape[1] :]
    for row, (inputs, expected, answer) in enumerate(zip(each, ours, answers, strict=True)):
        alone = net.generate(**inputs, max_new_tokens=NEW_TOKENS)[0, inputs['input_ids'].shape[1] :]
        text = TOKENIZER.decode(np.asarray(expected))
        assert len(set(np.asarray(expected))) > 3, 'an answer that shows nothing'
        assert processor.decode(alone, skip_special_tokens=True) == text, row
        assert processor.decode(answer, skip_special_tokens=True) == text, row


def test_the_prior_stands_right_behind_the_patches(full, full_net):
    (inputs, _), _ = their_prompts(full.processor())
    (before,) = their_logits(full_net, inputs)
    inputs['landmarks'] = -inputs['landmarks']
    (after,) = their_logits(full_net, inputs)
    placeholders = inputs['input_ids'][0] == full_net.config.image_token_id
    patches = full.case.model.vision.tokens
    prior = int(placeholders.nonzero()[0]) + patches
    assert int(placeholders.sum()) == patches + 1
    np.testing.assert_array_equal(before[:prior], after[:prior])
    assert np.abs(before[prior] - after[prior]).max() > 0.1
    assert np.abs(before[-1] - after[-1]).max() > 1e-3


def test_landmarks_are_never_left_out_silently(full, full_net):
    (inputs, _), both = their_prompts(full.processor())
    points = both.pop('landmarks')
    for call in (full_net, full_net.generate):
        with pytest.raises(ValueError, match=r'landmarks are missing; expected shape \(2, 212\)'):
            call(**both)
        with pytest.raises(ValueError, match=r'landmarks have shape \(1, 212\), expected \(2, 2'):
            call(**both, landmarks=points[:1])
    del inputs['pixel_values']
    with pytest.raises(ValueError, match='pixel_values are missing'):
        full_net.generate(**inputs)


def test_placeholders_are_counted(full, full_net):
    (inputs, _), _ = their_prompts(full.processor())
    shorter = {name: inputs[name] for name in ('pixel_values', 'landmarks')}
    ids = inputs['input_ids'][0]
    first = int((ids == full_net.config.image_token_id).nonzero()[0])
    shorter['input_ids'] = torch.cat([ids[:first], ids[first + 1 :]])[None]
    with pytest.raises(ValueError, match='4 image placeholders, expected 5'):
        full_net(**shorter)


def test_two_images_in_one_prompt_take_their_own_landmarks(full, full_net):
    processor = full.processor()
    both = processor(images=pictures(), text='<image>a<image>b', landmarks=landmarks())
    one = processor(images=pictures()[:1], text='<image>a', landmarks=landmarks()[0])
    (whole,), (start,) = their_logits(full_net, both), their_logits(full_net, one)
    np.testing.assert_allclose(whole[: len(start)], start, atol=1e-5)
    swapped = processor(images=pictures(), text='<image>a<image>b', landmarks=landmarks()[[1, 0]])
    (other,) = their_logits(full_net, swapped)
    assert np.abs(other[: len(start)] - start).max() > 1e-2


def test_a_loss_is_the_mean_over_labels(full, full_net):
    (inputs, _), _ = their_prompts(full.processor())
    labels = inputs['input_ids'].clone()
    labels[:, :-3] = -100
    with torch.inference_mode():
        loss = full_net(**inputs, labels=labels).loss
    (logits,) = their_logits(full_net, inputs)
    chances = torch.log_softmax(torch.tensor(logits[-4:-1]), -1)
    expected = -chances[range(3), labels[0, -3:]].mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_half_precision_keeps_the_landmarks_statistics(tmp_path):
    written = write(tmp_path / 'folder', CASES['all'], dtype='bfloat16')
    net, report = written.load(dtype='auto')
    assert not report['missing_keys'] and not report['unexpected_keys']
    assert net.lm_head.weight.dtype == torch.bfloat16
    np.testing.assert_array_equal(net.model.landmark_mean, written.params['face_prior']['mean'])
    np.testing.assert_array_equal(net.model.landmark_std, written.params['face_prior']['std'])
    _, both = their_prompts(written.processor())
    batch = our_prompts(written.case)
    half = Emola(written.case.model.replace(dtype='bfloat16', param_dtype='bfloat16'))
    exact, ours = (
        np.concatenate(our_logits(model, written.params, batch)) for model in (written.model, half)
    )
    rough = np.concatenate(their_logits(net, both))
    assert np.linalg.norm(rough - exact) < 2 * np.linalg.norm(ours - exact)


def names(folder):
    with safe_open(folder / 'model.safetensors', 'np') as file:
        return sorted(file.keys())


def test_what_transformers_saves_has_our_names(full, full_net, tmp_path):
    full_net.save_pretrained(tmp_path / 'again')
    full.processor().save_pretrained(tmp_path / 'again')
    assert names(tmp_path / 'again') == names(full.folder)
    again = dataclasses.replace(full, folder=tmp_path / 'again')
    (inputs, _), _ = their_prompts(again.processor())
    (expected,), (found,) = (their_logits(n, inputs) for n in (full_net, again.load()[0]))
    np.testing.assert_array_equal(found, expected)
