"""Tokenizers of whole folders against SentencePiece, and folders that contradict themselves."""

import json
import random
import shutil

import pytest
import sentencepiece
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from emola_jax.errors import UserError
from emola_jax.models.tokenizer import Tokenizer
from tests.formats.checkpoints import TOKENIZER
from tests.formats.whole_folders import ADDED, change_json, llava_hf, original
from tests.models.test_tokenizer import strings

LAYOUTS = {
    'original': original,
    'original, legacy': lambda folder: original(folder, legacy=True),
    'original, legacy null': lambda folder: original(folder, legacy=None),
    'llava-hf of transformers 4': llava_hf,
    'llava-hf of transformers 5': lambda folder: llava_hf(folder, prepends=False),
    'llava-hf, fast class': lambda folder: llava_hf(folder, tokenizer_class='LlamaTokenizerFast'),
    'llava-hf and tokenizer.model': lambda folder: llava_hf(folder, model=True),
    'both, transformers 5': lambda folder: llava_hf(folder, model=True, prepends=False),
}


@pytest.fixture(scope='module')
def pieces():
    return sentencepiece.SentencePieceProcessor(model_file=str(TOKENIZER / 'tokenizer.model'))


def texts():
    """The other tokenizers' strings, random characters, and line starts."""
    rng = random.Random(1)
    characters = 'aA1 \n\t.,é顔🙂\u2581AU?:'
    drawn = [''.join(rng.choices(characters, k=rng.randint(0, 12))) for _ in range(200)]
    return [text for text in [*strings(), *drawn, '\nWhat AUs', '\n a'] if '</' not in text]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_whole_folder_tokenises_as_sentencepiece_does(layout, tmp_path, pieces):
    tokenizer = Tokenizer.from_pretrained(LAYOUTS[layout](tmp_path / 'llava'))
    for text in texts():
        ids = pieces.encode(text)
        assert tokenizer.encode(text) == ids, repr(text)
        assert tokenizer.decode(ids) == pieces.decode(ids), repr(text)
    assert (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    is_hf = 'original' not in layout
    assert (tokenizer.vocab, tokenizer.pad_id) == ((514, 513) if is_hf else (512, 0))
    if is_hf:
        assert tokenizer.encode('a<image>') == [*pieces.encode('a'), ADDED['<image>']]


@pytest.mark.parametrize('model_type', ['llava', 'emollava', 'llama', 'qwen2', 'bert', 'nonsense'])
def test_what_the_config_says_of_the_model_changes_no_id(model_type, tmp_path, pieces):
    folder = original(tmp_path / 'llava')
    change_json(folder / 'config.json', model_type=model_type)
    assert Tokenizer.from_pretrained(folder).encode('\nWhat AUs') == pieces.encode('\nWhat AUs')
    (folder / 'config.json').write_text('{')
    assert Tokenizer.from_pretrained(folder).encode('\nWhat AUs') == pieces.encode('\nWhat AUs')


def test_the_bare_model_file_names_its_own_special_tokens(tmp_path):
    shutil.copy(TOKENIZER / 'tokenizer.model', tmp_path)
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    assert (tokenizer.vocab, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (512, 1, 2, 0)


@pytest.mark.parametrize('where', ['added_tokens.json', 'tokenizer_config.json'])
def test_added_tokens_come_behind_the_pieces(where, tmp_path, pieces):
    folder = original(tmp_path / 'llava')
    if where == 'added_tokens.json':
        (folder / where).write_text(json.dumps(ADDED))
    else:
        entries = {str(index): {'content': name, 'special': True} for name, index in ADDED.items()}
        change_json(folder / where, added_tokens_decoder=entries)
    tokenizer = Tokenizer.from_pretrained(folder)
    assert tokenizer.vocab == 514
    assert tokenizer.encode('a<pad>') == [*pieces.encode('a'), 513]
    assert tokenizer.encode('<image>') == [512]
    change_json(folder / 'special_tokens_map.json', pad_token={'content': '<pad>'})
    assert Tokenizer.from_pretrained(folder).pad_id == 513


def test_a_pad_token_that_the_vocabulary_lacks_is_the_unknown_one(tmp_path):
    folder = original(tmp_path / 'llava', pad_token='<pad>')
    assert Tokenizer.from_pretrained(folder).pad_id == 0


def test_a_byte_level_tokenizer_keeps_its_own_words(tmp_path):
    """SmolLM2's kind: tokenizer.json alone, no prefix, in a folder that says llama."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ['<|end|>', *alphabet, 'an']
    vocab = {token: index for index, token in enumerate(words)}
    backend = Backend(models.BPE(vocab=vocab, merges=[('a', 'n')]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token='<|end|>', pad_token='<|end|>'
    )
    fast.save_pretrained(tmp_path)
    (tmp_path / 'config.json').write_text('{"model_type": "llama"}')
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    for text in texts():
        assert tokenizer.encode(text) == fast.encode(text, add_special_tokens=False), repr(text)
    assert tokenizer.encode('an') == [vocab['an']]
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (None, 0, 0)


def other_merges(folder):
    state = json.loads((folder / 'tokenizer.json').read_text())
    state['model']['merges'].reverse()
    (folder / 'tokenizer.json').write_text(json.dumps(state))


def other_pieces(folder):
    state = json.loads((folder / 'tokenizer.json').read_text())
    vocab = state['model']['vocab']
    vocab['e'], vocab['t'] = vocab['t'], vocab['e']
    (folder / 'tokenizer.json').write_text(json.dumps(state))


def no_prefix(folder):
    change_json(folder / 'tokenizer.json', normalizer={'type': 'Lowercase'}, pre_tokenizer=None)


def spoil(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def truncate(folder):
    path = folder / 'tokenizer.model'
    path.write_bytes(path.read_bytes()[:3000])


POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 499723\n'
FAULTS = {
    'other merges': (other_merges, r'tokenizer.json and .*tokenizer.model differ: .* has the ids'),
    'other pieces': (other_pieces, r"differ: id \d+ is '.' and '.'; keep the one trained with"),
    'no prefix': (no_prefix, r'differ: '),
    'a cut model': (truncate, r'tokenizer.model: not a readable SentencePiece model'),
    'an empty model': (spoil('tokenizer.model', b''), r'tokenizer.model: .*SentencePiece model'),
    'another model': (
        spoil('tokenizer.model', b'IQ== 0\nIg== 1\n'),
        r'tokenizer.model: not a readable SentencePiece model',
    ),
    'a pointer': (spoil('tokenizer.model', POINTER), r'tokenizer.model: a Git LFS pointer'),
    'a pointer of json': (spoil('tokenizer.json', POINTER), r'tokenizer.json: a Git LFS pointer'),
    'a list': (spoil('tokenizer.json', b'[]'), r'tokenizer.json: expected a JSON object'),
    'null fields': (
        lambda folder: change_json(folder / 'tokenizer.json', model=None),
        r'tokenizer.json: not a readable tokenizer',
    ),
    'half a json': (spoil('tokenizer.json', b'{"model": '), r'tokenizer.json: not JSON'),
    'a list of a config': (spoil('tokenizer_config.json', b'[]'), r'expected a JSON object'),
    'a number as token': (
        lambda folder: change_json(folder / 'tokenizer_config.json', eos_token=2),
        r"tokenizer_config.json: 'eos_token' is 2, expected a token",
    ),
    'an unknown eos': (
        lambda folder: change_json(folder / 'tokenizer_config.json', eos_token='<|end|>'),
        r"the eos_token '<\|end\|>' is not in the vocabulary",
    ),
    'a gap': (
        spoil('added_tokens.json', b'{"<nose>": 600}'),
        r"the added token '<nose>' has the id 600, but the vocabulary makes it 514",
    ),
    'an id that is none': (
        spoil('added_tokens.json', b'{"<nose>": null}'),
        r"added_tokens.json: '<nose>' has the id None",
    ),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_damaged_or_contradictory_tokenizer_is_one_sentence(fault, tmp_path):
    change, said = FAULTS[fault]
    folder = llava_hf(tmp_path / 'llava', model=True)
    change(folder)
    with pytest.raises(UserError, match=said) as caught:
        Tokenizer.from_pretrained(folder)
    assert '\n' not in str(caught.value)
