"""Merged folders whole: plain LLaVA, the way back, the check behind a write, what is refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from emola_jax.errors import UserError
from emola_jax.files.whole import atomic_folder
from emola_jax.formats import source, verify, write_hf
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.registry import FORMATS
from emola_jax.models.emola import Emola
from emola_jax.weights import lazy
from tests.formats.hf_tiny import (
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
from tests.formats.hf_tiny import source as source_of
from tests.made_scores import made

pytestmark = pytest.mark.usefixtures('compiled_quickly')

TIED = PLAIN.replace(llm=dataclasses.replace(PLAIN.llm, tied_embeddings=True), scan=False)
ROOMY = PLAIN.replace(llm=dataclasses.replace(PLAIN.llm, vocab=TOKENIZER.vocab + 5, kv_heads=2))
PLACEHOLDER = TOKENIZER.vocab


@pytest.fixture(scope='module', params=[PLAIN, TIED, ROOMY], ids=['plain', 'tied', 'roomy'])
def plain_llava(request, tmp_path_factory):
    case = Case(request.param)
    return write(tmp_path_factory.mktemp('llava') / 'folder', case, 'llava-hf')


def test_plain_llava_is_ours_without_the_prior(plain_llava):
    net, report = LlavaForConditionalGeneration.from_pretrained(
        plain_llava.folder, output_loading_info=True, dtype=torch.float32
    )
    assert {name: keys for name, keys in report.items() if keys} == {}
    bare = write_hf.without_prior(source_of(plain_llava.case, plain_llava.params)).model
    params = {name: part for name, part in plain_llava.params.items() if name != 'face_prior'}
    ours = our_logits(Emola(bare), params, our_prompts(Case(bare)))
    each, both = their_prompts(LlavaProcessor.from_pretrained(plain_llava.folder), False)
    for expected, inputs, batched in zip(ours, each, their_logits(net, both), strict=True):
        (alone,) = their_logits(net, inputs)
        for theirs in (alone, batched):
            np.testing.assert_allclose(theirs[:, : bare.llm.vocab], expected, atol=1e-4)
            assert (theirs.argmax(-1) != PLACEHOLDER).all() or bare.llm.vocab > PLACEHOLDER


def test_a_row_for_the_placeholder_only_where_there_is_none(plain_llava):
    config = json.loads((plain_llava.folder / 'config.json').read_text())
    rows = config['text_config']['vocab_size']
    assert config['image_token_index'] == PLACEHOLDER < rows
    assert rows == max(PLACEHOLDER + 1, plain_llava.case.model.llm.vocab)


def test_with_rows():
    table = np.arange(6.0).reshape(3, 2)
    longer = write_hf.with_rows(lazy.of_array(table), 5, 1)
    assert longer.shape == (5, 2)
    np.testing.assert_array_equal(longer.whole(), [*table, table[1], table[1]])
    np.testing.assert_array_equal(longer.piece([slice(2, 4), slice(1, 2)]), [[5.0], [3.0]])
    np.testing.assert_array_equal(write_hf.with_rows(lazy.of_array(table), 3, 1).whole(), table)


@pytest.mark.parametrize(
    ('model', 'kind', 'said'),
    [
        (CASES['tied, merged'].model, 'llava-hf', r'no vision.spatial_merge 2 \(expected 1\)'),
        (PLAIN.replace(projector_rms=0.1), 'llava-hf', 'no projector_rms 0.1'),
        (PLAIN.replace(vision=None), 'hf', 'expected one with model.vision'),
    ],
)
def test_what_a_format_cannot_express_is_refused(model, kind, said):
    with pytest.raises(UserError, match=said):
        FORMATS[kind].check(source_of(Case(model), {}))


def test_without_a_tokenizer_there_is_no_folder():
    found = dataclasses.replace(source_of(CASES['plain'], {}), load_tokenizer=None)
    with pytest.raises(UserError, match='holds no tokenizer, which --to=hf needs'):
        FORMATS['hf'].check(found)


@pytest.mark.parametrize('name', CASES)
def test_the_way_there_and_back_changes_no_bit(name, tmp_path):
    written = write(tmp_path / 'folder', CASES[name])
    merged = source.merged(source_of(written.case, written.params))
    back = read_folder(written.folder)
    assert back.template == written.case.template
    tower = dataclasses.replace(merged.model.vision, layers=2, feature_layer=-1)
    prior = dataclasses.replace(merged.model.prior, hidden=back.model.prior.hidden)
    assert back.model == merged.model.replace(vision=tower, prior=prior, scan=True)
    theirs = {path: tensor.whole() for path, tensor in back.params.items()}
    for path, tensor in merged.params.items():
        found = theirs[path] if path in theirs else theirs[*path[:2], *path[3:]][int(path[2])]
        np.testing.assert_array_equal(found, tensor.whole(), err_msg=str(path))
    with atomic_folder(tmp_path / 'again') as again:
        FORMATS['hf'].write(back, again, write_hf.Options())
    files = {path.name for path in written.folder.iterdir()}
    assert {path.name for path in (tmp_path / 'again').iterdir()} == files
    for name in files - {'README.md', 'model.safetensors'}:
        found, expected = (
            (folder / name).read_bytes() for folder in (tmp_path / 'again', written.folder)
        )
        assert found == expected, name
    weights = load_file(tmp_path / 'again' / 'model.safetensors')
    expected = load_file(written.folder / 'model.safetensors')
    assert weights.keys() == expected.keys()
    assert all(weights[name].tobytes() == expected[name].tobytes() for name in weights)


@pytest.fixture(scope='module')
def full():
    case = CASES['all']
    return source_of(case, lively_params(case.model))


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / 'folder', CASES['all']).folder


@pytest.mark.parametrize('dtype', [None, 'bfloat16', 'float16'])
def test_the_check_agrees(full, dtype, tmp_path):
    folder = write(tmp_path / 'folder', CASES['all'], dtype=dtype).folder
    assert FORMATS['hf'].verify(full, folder) < 1e-4


def test_the_check_agrees_on_plain_llava(plain_llava):
    found = source_of(plain_llava.case, plain_llava.params)
    assert FORMATS['llava-hf'].verify(found, plain_llava.folder) < 1e-4


def spoil(folder, how):
    path = folder / 'model.safetensors'
    weights = load_file(path)
    how(weights)
    path.unlink()  # load_file maps the old file
    save_file(weights, path, metadata={'format': 'pt'})


@pytest.mark.parametrize(
    'name',
    [
        'model.landmark_projector.linear_2.bias',
        'model.landmark_mean',
        'model.vision_tower.vision_model.encoder.layers.1.mlp.fc2.bias',
        'model.language_model.layers.1.self_attn.k_proj.weight',
    ],
)
def test_the_check_sees_a_changed_tensor(full, folder, name):
    spoil(folder, lambda weights: weights.update({name: 1.5 * weights[name]}))
    with pytest.raises(UserError, match='its logits differ from ours by'):
        FORMATS['hf'].verify(full, folder)


@pytest.mark.parametrize(
    ('how', 'named'),
    [
        (lambda weights: weights.pop('model.landmark_std'), 'missing_keys.*model.landmark_std'),
        (lambda weights: weights.update(extra=np.ones(2)), 'unexpected_keys.*extra'),
    ],
)
def test_the_check_refuses_a_folder_that_is_not_whole(full, folder, how, named):
    spoil(folder, how)
    with pytest.raises(UserError, match=named):
        FORMATS['hf'].verify(full, folder)


def test_the_check_refuses_another_prompt(folder):
    path = folder / 'chat_template.jinja'
    path.write_text(path.read_text().replace('assistant', 'helper'))
    found = verify.read_transformers(folder, verify.example_sample(), PLACEHOLDER)
    mine = dataclasses.replace(found, tokens=found.tokens[:-1])
    with pytest.raises(UserError, match='reads the prompt as tokens'):
        verify.difference(folder, mine, found)


def test_the_card_tells_of_the_run(tmp_path):
    about = {
        'base': {'description': 'a small base'},
        'config': {
            'seed': 7,
            'model': {'lora': None},
            'base': {'kind': 'random'},
            'data': {'dataset': 'synthetic_faces'},
            'train': {'steps': 33, 'batch_size': 2},
            'eval': {
                'max_new_tokens': {'emotion': 20, 'au': 30},
                'sampler': {'temperature': 0.5, 'top_k': 9},
            },
        },
    }
    scores = {'au': made(61.0, 20.0, 81.0).to_json()}
    run = tmp_path / 'run'
    run.mkdir()
    (run / 'config.json').write_text(json.dumps(about))
    (run / 'scores.json').write_text(json.dumps(scores))
    case = CASES['plain']
    found = dataclasses.replace(source_of(case, lively_params(case.model)), folder=run)
    with atomic_folder(tmp_path / 'folder') as folder:
        FORMATS['hf'].write(found, folder, write_hf.Options())
    card = (tmp_path / 'folder' / 'README.md').read_text()
    for part in ('a small base', '33 steps', '| au | strict | 61.0 |', '**rendered**'):
        assert part in card
    generation = json.loads((tmp_path / 'folder' / 'generation_config.json').read_text())
    assert (generation['max_new_tokens'], generation['temperature']) == (30, 0.5)


def test_a_card_names_no_folder_of_this_machine(tmp_path):
    base = tmp_path / 'my-llava'
    base.mkdir()
    case = CASES['plain']
    found = dataclasses.replace(source_of(case, lively_params(case.model)), base=str(base))
    with atomic_folder(tmp_path / 'folder') as folder:
        FORMATS['hf'].write(found, folder, write_hf.Options())
    card = (tmp_path / 'folder' / 'README.md').read_text()
    assert '- base: my-llava\n' in card and str(tmp_path) not in card


def test_llamas_own_tokenizer_file_travels_along(tmp_path):
    from tests.models.test_tokenizer import GOLDEN

    case = CASES['plain']
    found = dataclasses.replace(source_of(case, lively_params(case.model)), tokenizer=GOLDEN)
    with atomic_folder(tmp_path / 'folder') as folder:
        FORMATS['hf'].write(found, folder, write_hf.Options())
    copied = (tmp_path / 'folder' / 'tokenizer.model').read_bytes()
    assert copied == (GOLDEN / 'tokenizer.model').read_bytes()
