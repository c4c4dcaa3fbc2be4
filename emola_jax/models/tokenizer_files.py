"""The files of a language model's tokenizer, read for what they are.

What config.json says of the model is never asked: transformers 5 picks another tokenizer by it
(that of "llava" lacks SentencePiece's leading space).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import tokenizers
from tokenizers import normalizers, pre_tokenizers

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import read_json
from emola_jax.models.sentencepiece_model import SentencePiece, check_same, prefix_steps

MODEL, JSON = 'tokenizer.model', 'tokenizer.json'
CONFIG, SPECIAL, ADDED = 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'

FILES = (MODEL, JSON, CONFIG, SPECIAL, ADDED, 'vocab.json', 'merges.txt')
"""All that belongs to a tokenizer; the first two hold one, either is enough."""

_ROLES = ('bos_token', 'eos_token', 'pad_token', 'unk_token')
_LLAMA = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
"""What a tokenizer calls its special tokens where its files name none, if it has such."""

_FLAGS = ('lstrip', 'rstrip', 'single_word', 'normalized', 'special')


@dataclasses.dataclass(frozen=True)
class TokenizerFiles:
    """A folder's tokenizer.

    Attributes:
      backend: does the work.
      special: 'bos_token', 'eos_token', 'pad_token' and 'unk_token' -> id, where there is one.
    """

    backend: tokenizers.Tokenizer
    special: Mapping[str, int]


@contextlib.contextmanager
def panics(what: str) -> Iterator[None]:
    """Turns whatever the `tokenizers` package raises into a UserError that begins so.

    Its panics (in Rust) are no `Exception`.
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != 'PanicException':
            raise
        raise UserError(f'{what} ({" ".join(str(error).split())[:200]})') from None


def is_there(folder: Path) -> bool:
    """Whether a folder holds a tokenizer."""
    return any((folder / name).is_file() for name in (MODEL, JSON))


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """Reads a tokenizer: tokenizer.json where there is one, else tokenizer.model.

    Where there is a tokenizer.model, the result is checked against SentencePiece.

    Raises:
      UserError: there is none, a file is damaged, or they contradict each other.
    """
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder; expected one with a tokenizer')
    if not is_there(folder):
        raise UserError(f'{folder}: holds no tokenizer; expected {MODEL} or {JSON}')
    config = _optional(folder / CONFIG)
    original = SentencePiece(folder / MODEL) if (folder / MODEL).is_file() else None
    if (folder / JSON).is_file():
        backend = _of_json(folder / JSON)
    else:
        assert original is not None
        # The tokenizer of the released code (transformers 4.31) takes no value for true.
        backend = original.backend(prefix_everywhere=config.get('legacy') is not False)
    with panics(f'{folder}: not a readable tokenizer'):
        _add_tokens(backend, folder, config)
        names = _special_names(folder, config, original)
        special = _ids(backend, folder, names)
        backend.add_special_tokens(sorted({names[role] for role in special}))
        if original is not None:
            there = JSON if (folder / JSON).is_file() else MODEL
            check_same(backend, folder / there, original)
        backend.decode(backend.encode('a b\n').ids)  # some faults show when it is used
    return TokenizerFiles(backend, special)


def _special_names(
    folder: Path, config: JsonObject, original: SentencePiece | None
) -> dict[str, str]:
    """The special tokens: by tokenizer_config.json, special_tokens_map.json, tokenizer.model."""
    names = {} if original is None else original.special()
    if original is None and not any((folder / name).is_file() for name in (CONFIG, SPECIAL)):
        names = dict(_LLAMA)
    for path, values in (
        (folder / SPECIAL, _optional(folder / SPECIAL)),
        (folder / CONFIG, config),
    ):
        for role in _ROLES:
            if values.get(role) is not None:
                names[role] = _content(path, role, values[role])
    return names


def _ids(backend: tokenizers.Tokenizer, folder: Path, names: Mapping[str, str]) -> dict[str, int]:
    """Role -> id; a pad or unknown token that the vocabulary lacks is left out."""
    ids = {role: backend.token_to_id(name) for role, name in names.items()}
    for role in ('bos_token', 'eos_token'):
        if role in names and ids[role] is None and names[role] != _LLAMA[role]:
            raise UserError(f'{folder}: the {role} {names[role]!r} is not in the vocabulary')
    return {role: index for role, index in ids.items() if index is not None}


def _optional(path: Path) -> JsonObject:
    return read_json(path) if path.is_file() else {}


def _of_json(path: Path) -> tokenizers.Tokenizer:
    read_json(path)  # with its own sentences for what is no JSON object
    with panics(f'{path}: not a readable tokenizer'):
        backend = tokenizers.Tokenizer.from_file(str(path))
    backend.no_padding()
    backend.no_truncation()
    words = backend.pre_tokenizer
    prefixes = isinstance(words, pre_tokenizers.Metaspace) and words.prepend_scheme != 'never'
    if prefixes and backend.normalizer is None:
        backend.normalizer = normalizers.Sequence(prefix_steps())
    return backend


def _add_tokens(backend: tokenizers.Tokenizer, folder: Path, config: JsonObject) -> None:
    """Adds what tokenizer_config.json and added_tokens.json name beyond the vocabulary.

    Raises:
      UserError: an entry is none, or its id is another one.
    """
    known = {str(token) for token in backend.get_added_tokens_decoder().values()}
    tokens = {
        index: token
        for index, token in _named(folder, config)
        if str(token) not in known or backend.token_to_id(str(token)) != index
    }
    for index, token in sorted(tokens.items()):
        expected = backend.token_to_id(str(token))
        if expected is None:
            expected = backend.get_vocab_size()
        if expected != index:
            raise UserError(
                f'{folder}: the added token {str(token)!r} has the id {index}, but the vocabulary '
                f'makes it {expected}'
            )
        backend.add_tokens([token])


def _named(folder: Path, config: JsonObject) -> list[tuple[int, tokenizers.AddedToken]]:
    found = []
    listed = config.get('added_tokens_decoder') or {}
    if not isinstance(listed, dict):
        raise UserError(f"{folder / CONFIG}: 'added_tokens_decoder' is {listed!r}, not an object")
    for index, entry in listed.items():
        content = _content(folder / CONFIG, f'added_tokens_decoder.{index}', entry)
        flags = {name: bool(entry[name]) for name in _FLAGS if name in entry}
        if not index.isdecimal():
            raise UserError(f"{folder / CONFIG}: 'added_tokens_decoder' holds the id {index!r}")
        found.append((int(index), tokenizers.AddedToken(content, **flags)))
    there = {index for index, _ in found}
    for content, number in _optional(folder / ADDED).items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise UserError(f'{folder / ADDED}: {content!r} has the id {number!r}, not a number')
        if number not in there:
            found.append((number, tokenizers.AddedToken(content, normalized=False)))
    return found


def _content(path: Path, field: str, value: object) -> str:
    """A token's text: as such, or in an object with its flags."""
    text = value.get('content') if isinstance(value, dict) else value
    if not isinstance(text, str) or not text:
        raise UserError(f"{path}: '{field}' is {value!r}, expected a token")
    return text
