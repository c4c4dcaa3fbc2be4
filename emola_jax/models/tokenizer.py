"""One tokenizer type for every language model: text to ids and back."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tokenizers
from gguf import GGUFReader
from tokenizers import decoders, models, pre_tokenizers

from emola_jax.errors import UserError
from emola_jax.models.tokenizer_files import panics, read_tokenizer
from emola_jax.weights.gguf_file import open_gguf, read_field

# Values of tokenizer.ggml.token_type (llama.cpp's llama_token_type).
_CONTROL, _USER_DEFINED = 3, 4


def _check_vocabulary(path: Path, tokens: object, kinds: object, merges: object) -> None:
    """Raises UserError unless these are lists that a byte-level BPE can be made of."""
    if (
        not isinstance(tokens, list)
        or not isinstance(kinds, list)
        or not isinstance(merges, list)
        or not all(isinstance(text, str) for text in (*tokens, *merges))
    ):
        raise UserError(f'{path}: tokens and merges of its tokenizer are no lists of texts.')
    if len(set(tokens)) < len(tokens) or len(kinds) != len(tokens):
        raise UserError(
            f'{path}: its tokenizer has {len(tokens)} tokens ({len(set(tokens))} different ones) '
            f'and {len(kinds)} types; expected as many of each.'
        )
    known = set(tokens)
    for merge in merges:
        first, _, second = merge.partition(' ')
        if not {first, second, first + second} <= known:
            raise UserError(f'{path}: its tokenizer merges {merge!r:.60}, no two of its tokens.')


_BYTE = re.compile(r'<0x[0-9A-F]{2}>')
"""A SentencePiece model's token for one byte that no other token covers."""


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back.

    Attributes:
        backend: does the work.
        vocab: number of ids.
        bos_id: stands before a prompt; None where the model was trained without.
        eos_id: ends an answer.
        pad_id: fills rows.
    """

    backend: tokenizers.Tokenizer
    vocab: int
    bos_id: int | None
    eos_id: int
    pad_id: int

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without BOS or EOS; special tokens written out in it become their ids."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Characters (start, end) of the text that each id of `encode` stands for."""
        return self.backend.encode(text, add_special_tokens=False).offsets

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; special tokens are left out."""
        if self.backend.token_to_id('<0x00>') is None:
            return self.backend.decode(list(ids), skip_special_tokens=True)
        special = {
            i for i, token in self.backend.get_added_tokens_decoder().items() if token.special
        }
        tokens = (self.backend.id_to_token(i) for i in ids if i not in special)
        return self.backend.decoder.decode(_join_bytes(tokens))

    @classmethod
    def from_gguf(cls, path: Path, reader: GGUFReader | None = None) -> Tokenizer:
        """Builds the byte-level BPE of SmolLM2 from a GGUF file's metadata.

        Args:
            path: of the file.
            reader: of the same file, if it is open: to open one takes seconds.

        Raises:
            UserError: another kind of tokenizer.
        """
        opened = reader or open_gguf(path)

        def field(name: str, default: object = None) -> Any:
            return read_field(opened, path, f'tokenizer.ggml.{name}', default)

        kind = (field('model'), field('pre'))
        if kind != ('gpt2', 'smollm'):
            raise UserError(f'{path}: tokenizer is {kind}, expected (gpt2, smollm).')
        tokens, kinds, merges = field('tokens'), field('token_type'), field('merges')
        _check_vocabulary(path, tokens, kinds, merges)
        with panics(f'{path}: holds no byte-level BPE'):
            backend = tokenizers.Tokenizer(
                models.BPE(
                    vocab={token: index for index, token in enumerate(tokens)},
                    merges=[tuple(merge.split(' ', 1)) for merge in merges],
                )
            )
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        special = [t for t, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
        backend.add_special_tokens(special)
        backend.add_tokens(
            [t for t, kind in zip(tokens, kinds, strict=True) if kind == _USER_DEFINED]
        )
        eos_id = field('eos_token_id')
        found = cls(
            backend=backend,
            vocab=len(tokens),
            bos_id=field('bos_token_id') if field('add_bos_token', False) else None,
            eos_id=eos_id,
            pad_id=field('padding_token_id', eos_id),
        )
        for name in ('bos_id', 'eos_id', 'pad_id'):
            index = getattr(found, name)
            if index is not None and (type(index) is not int or not 0 <= index < len(tokens)):
                raise UserError(f'{path}: {name} is {index!r:.40}, no id of its vocabulary.')
        return found

    @classmethod
    def byte_level(cls, extra: Iterable[str] = ()) -> Tokenizer:
        """One id a byte, after <pad> 0, <s> 1, </s> 2 and the `extra` special tokens. For tests."""
        special = ['<pad>', '<s>', '</s>', *extra]
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocab = {token: index for index, token in enumerate([*special, *alphabet])}
        backend = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.add_special_tokens(special)
        return cls(backend, vocab=len(vocab), bos_id=1, eos_id=2, pad_id=0)

    @classmethod
    def from_pretrained(cls, folder: Path) -> Tokenizer:
        """Loads the tokenizer.json or tokenizer.model of a folder, whatever else is in it.

        Padding is the unknown token where the folder names none, as the reference does.

        Raises:
            UserError: the folder holds no tokenizer, a damaged one, one that differs from the
                SentencePiece model that is there too, or one without EOS.
        """
        found = read_tokenizer(Path(folder))
        special = found.special
        pad_id = special.get('pad_token', special.get('unk_token'))
        if 'eos_token' not in special or pad_id is None:
            raise UserError(f'{folder}: the tokenizer names no eos token, or no pad or unk token.')
        return cls(
            backend=found.backend,
            vocab=found.backend.get_vocab_size(),
            bos_id=special.get('bos_token'),
            eos_id=special['eos_token'],
            pad_id=pad_id,
        )


def _join_bytes(tokens: Iterable[str | None]) -> list[str]:
    """Every run of byte tokens as the one piece of text that SentencePiece makes of it.

    None, the token of an id beyond the vocabulary, is left out.

    In a run that is no whole UTF-8 `tokenizers` loses all characters (a LLaMA's line breaks are
    byte tokens), SentencePiece only the bytes at fault.
    """
    known = (token for token in tokens if token is not None)
    joined: list[str] = []
    for are_bytes, run in itertools.groupby(known, lambda token: bool(_BYTE.fullmatch(token))):
        pieces = list(run)
        if are_bytes:
            pieces = [_utf8(bytes(int(piece[3:5], 16) for piece in pieces))]
        joined += pieces
    return joined


def _utf8(data: bytes) -> str:
    """Decodes; each byte that is part of no character becomes one U+FFFD."""
    text = ''
    while data:
        try:
            return text + data.decode()
        except UnicodeDecodeError as error:
            text += data[: error.start].decode() + '\ufffd' * (error.end - error.start)
            data = data[error.end :]
    return text
