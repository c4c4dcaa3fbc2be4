"""Plain LLaVA without the prior, the check behind every write, and what is refused."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from emola_jax.convert import verify
from emola_jax.convert.hf_folder import tensors, with_rows, write_hf_folder
from emola_jax.errors import UserError
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import Emola
from emola_jax.models.lora import merge_lora
from input_pipeline.conversation import TEMPLATES
from tests.convert.hf_tiny import (
    CASES,
    PLAIN,
    TOKENIZER,
    Case,
    lively_params,
    our_logits,
    our_prompts,
    their_logits,
    their_prompts,
    write,
)

TIED = PLAIN.replace(llm=dataclasses.replace(PLAIN.llm, tied_embeddings=True), scan=False)
ROOMY = PLAIN.replace(llm=dataclasses.replace(PLAIN.llm, vocab=TOKENIZER.vocab + 5, kv_heads=2))
PLACEHOLDER = TOKENIZER.vocab


@pytest.fixture(scope='module', params=[PLAIN, TIED, ROOMY], ids=['plain', 'tied', 'roomy'])
def written(request, tmp_path_factory):
    case = Case(request.param)
    return write(tmp_path_factory.mktemp('llava') / 'folder', case, 'llava-hf')


def test_plain_llava_is_ours_without_the_prior(written):
    net, report = LlavaForConditionalGeneration.from_pretrained(
        written.folder, output_loading_info=True, dtype=torch.float32
    )
    assert {name: keys for name, keys in report.items() if keys} == {}
    model, params = verify.without_prior(written.case.model, written.params)
    ours = our_logits(Emola(model), params, our_prompts(Case(model)))
    each, both = their_prompts(LlavaProcessor.from_pretrained(written.folder), False)
    for expected, inputs, batched in zip(ours, each, their_logits(net, both), strict=True):
        (alone,) = their_logits(net, inputs)
        for theirs in (alone, batched):
            np.testing.assert_allclose(theirs[:, : model.llm.vocab], expected, atol=1e-4)
            assert (theirs.argmax(-1) != PLACEHOLDER).all() or model.llm.vocab > PLACEHOLDER


def test_a_row_for_the_placeholder_only_where_there_is_none(written):
    config = json.loads((written.folder / 'config.json').read_text())
    rows = config['text_config']['vocab_size']
    assert config['image_token_index'] == PLACEHOLDER < rows
    assert rows == max(PLACEHOLDER + 1, written.case.model.llm.vocab)


def test_with_rows():
    table = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(with_rows(table, 5, 1), [*table, table[1], table[1]])
    np.testing.assert_array_equal(with_rows(table, 3, 1), table)


@pytest.mark.parametrize(
    ('case', 'kind', 'said'),
    [
        (CASES['tied, merged'].model, 'llava-hf', r'no vision.spatial_merge 2 \(expected 1\)'),
        (PLAIN.replace(projector_rms=0.1), 'llava-hf', 'no projector_rms 0.1'),
        (PLAIN.replace(vision=None), 'hf', 'expected one with model.vision'),
    ],
)
def test_what_a_kind_cannot_express_is_refused_and_nothing_stays(case, kind, said, tmp_path):
    with pytest.raises(UserError, match=said):
        write(tmp_path / 'folder', Case(case), kind)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_written_over(tmp_path):
    with pytest.raises(UserError, match='exists already'):
        write(tmp_path, CASES['plain'])


def test_a_parameter_without_a_place_is_named():
    params = {**lively_params(PLAIN.replace(lora=None)), 'extra': {'bias': np.zeros(3)}}
    with pytest.raises(UserError, match='extra/bias'):
        list(tensors('hf', PLAIN, params, TOKENIZER))


@pytest.fixture(scope='module')
def merged():
    """Case 'all' with LoRA merged: (sizes, parameters)."""
    model, params = merge_lora(Emola(CASES['all'].model), lively_params(CASES['all'].model))
    return model.cfg, params


def check(folder, model: EmolaConfig, params, kind='hf', template='chatml'):
    return verify.largest_difference(
        folder,
        verify.READERS[kind],
        model,
        params,
        TOKENIZER,
        TEMPLATES[template],
        verify.example_sample(),
    )


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_the_check_agrees(merged, dtype, tmp_path):
    model, params = merged
    template = TEMPLATES['chatml']
    folder = tmp_path / 'folder'
    write_hf_folder(folder, 'hf', model, params, TOKENIZER, template, dtype=dtype, card='')
    assert check(folder, model, verify.rounded(params, dtype)) < 1e-4
    if dtype != 'float32':
        assert check(folder, model, params) > 1e-3


def test_the_check_agrees_on_plain_llava(written):
    model, params = merge_lora(Emola(written.case.model), written.params)
    bare = verify.without_prior(model.cfg, params)
    assert check(written.folder, *bare, 'llava-hf', 'vicuna_v1') < 1e-4


@pytest.fixture
def spoilt(merged, tmp_path):
    """A folder whose tensors a test changes: (folder, a function of them)."""
    folder = tmp_path / 'folder'
    template = TEMPLATES['chatml']
    write_hf_folder(folder, 'hf', *merged, TOKENIZER, template, dtype='float32', card='')

    def change(how):
        path = folder / 'model.safetensors'
        weights = load_file(path)
        how(weights)
        path.unlink()  # load_file maps the old file
        save_file(weights, path, metadata={'format': 'pt'})

    return folder, change


@pytest.mark.parametrize(
    'name', ['model.landmark_projector.linear_2.bias', 'model.landmark_mean', 'lm_head.weight']
)
def test_the_check_sees_a_changed_tensor(merged, spoilt, name):
    folder, change = spoilt
    name = {'lm_head.weight': 'model.language_model.embed_tokens.weight'}.get(name, name)
    change(lambda weights: weights.update({name: weights[name] * 1.05}))
    assert check(folder, *merged) > 1e-3


@pytest.mark.parametrize(
    ('how', 'named'),
    [
        (lambda weights: weights.pop('model.landmark_std'), 'missing_keys.*model.landmark_std'),
        (lambda weights: weights.update(extra=np.ones(2)), 'unexpected_keys.*extra'),
    ],
)
def test_the_check_refuses_a_folder_that_is_not_whole(merged, spoilt, how, named):
    folder, change = spoilt
    change(how)
    with pytest.raises(UserError, match=named):
        check(folder, *merged)


def test_the_check_refuses_another_prompt(merged, spoilt):
    folder, _ = spoilt
    shutil.copy(folder / 'chat_template.jinja', folder / 'was')
    text = (folder / 'was').read_text()
    (folder / 'chat_template.jinja').write_text(text.replace('assistant', 'helper'))
    with pytest.raises(UserError, match='reads the prompt as tokens'):
        check(folder, *merged)
