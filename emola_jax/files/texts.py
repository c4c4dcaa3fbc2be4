"""Texts that anybody wrote: read in any usual encoding, checked, and quoted in messages."""

from __future__ import annotations

import codecs
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import parse_json, read_bytes

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: 'utf-8-sig',
    codecs.BOM_UTF32_LE: 'utf-32',  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: 'utf-32',
    codecs.BOM_UTF16_LE: 'utf-16',
    codecs.BOM_UTF16_BE: 'utf-16',
}

_OTHER_KINDS = {
    b'PK\x03\x04': 'an Excel workbook or another zip archive; save its sheet as "CSV UTF-8"',
    b'\xd0\xcf\x11\xe0': 'an old Excel workbook; save its sheet as "CSV UTF-8"',
    b'\x1f\x8b': 'compressed by gzip; unpack it first',
    b'BZh': 'compressed by bzip2; unpack it first',
    b'\xfd7zXZ\x00': 'compressed by xz; unpack it first',
    b'(\xb5/\xfd': 'compressed by zstd; unpack it first',
}
_HEAD = 200


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, or whatever its byte order mark says; lines end with a line feed.

    Raises:
      UserError: the file is not there, cannot be read, or is no text.
    """
    encoded = read_bytes(path)
    if kind := next((what for mark, what in _OTHER_KINDS.items() if encoded.startswith(mark)), ''):
        raise UserError(f'{path}: {kind}')
    encoding = next(
        (code for mark, code in _BYTE_ORDER_MARKS.items() if encoded.startswith(mark)), 'utf-8'
    )
    try:
        text = encoded.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: {_no_text(encoded, encoding, error.start)}') from None
    if 4 * text.count('\0', 0, _HEAD) > len(text[:_HEAD]):
        raise UserError(
            f'{path}: expected text, found NUL bytes (UTF-16 without its byte order mark?); save '
            'it as UTF-8'
        )
    return text.replace('\r\n', '\n').replace('\r', '\n')


def _no_text(encoded: bytes, encoding: str, start: int) -> str:
    """What is wrong with bytes that are no text of their encoding."""
    if encoding != 'utf-8':
        return f'expected {encoding.upper()} text, as its first bytes say; byte {start} is none'
    line = encoded.count(b'\n', 0, start) + 1
    fault = f'expected UTF-8 text, byte {start} is none (line {line})'
    is_windows = b'\0' not in encoded and all(byte >= 32 or byte in b'\t\r\n' for byte in encoded)
    hint = (
        f"; in Windows' encoding (cp1252) it would be {_as_cp1252(encoded, start)}: save as UTF-8"
    )
    return fault + hint if is_windows else fault


def _as_cp1252(encoded: bytes, at: int) -> str:
    """The word around a byte, as a program that knows no UTF-8 has written it."""
    before = encoded[max(at - 20, 0) : at].decode('cp1252', 'replace').split()
    after = encoded[at : at + 20].decode('cp1252', 'replace').split()
    return repr(''.join([*before[-1:], *after[:1]]))


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 3


def quoted(value: object) -> str:
    """A value of any type, size and depth as a message quotes it, in one line.

    Names of files are not quoted but written: `names.readable`.
    """
    return _SHORT.repr(value)


def printable(text: str) -> str:
    """A text as it can be stored in UTF-8: of names that are no text, bytes become escapes."""
    return text.encode('utf-8', 'backslashreplace').decode()


def is_text(value: object) -> TypeGuard[str]:
    r"""Whether a value is a text that can be written; JSON's "\ud800" cannot."""
    return isinstance(value, str) and printable(value) == value


class Fields(JsonObject):
    """A JSON object that remembers which of its fields were given twice."""

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        """Keeps the last value of a field, as `json` does."""
        super().__init__(pairs)
        self.repeated: tuple[str, ...] = ()
        if len(self) < len(pairs):
            names = [name for name, _ in pairs]
            self.repeated = tuple(name for name in self if names.count(name) > 1)


def parse_fields(text: str, where: str) -> object:
    """Parses JSON whose objects become `Fields`.

    Raises:
      UserError: as `parse_json`.
    """
    return parse_json(text, where, pairs=Fields)
