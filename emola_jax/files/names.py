"""Names of files as people, JSON and file systems can take them.

A file's name may be no valid text, hold line breaks, be longer than another file system allows, or
differ from its neighbour's only in case. What is printed or stored is readable; what is stored
still leads to the file; and names that are made from names are short, unique and plain.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote_to_bytes

LONGEST_STEM = 120
"""Bytes of a name made here: room for what is put around it, on any file system."""

_HASH = 10  # hexadecimal digits
_URI = 'file://'
# Control characters, line and paragraph separators, what turns the direction of writing, and
# surrogates, which stand for bytes that are no UTF-8.
_UNREADABLE = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_NOT_IN_NAMES = re.compile(r'[\\:*?"<>|]')
_PARENT = re.compile(r'(?<![^/])\.\.(?![^/])')


def readable(name: str | os.PathLike[str]) -> str:
    r"""The name in one line of valid text: bytes that are no UTF-8 as \xff, a line break as \n."""
    return _UNREADABLE.sub(_escaped, os.fspath(name))


def path_text(path: Path) -> str:
    """An absolute path as text for JSON and tables, which `text_path` turns back.

    It is the path itself where that is one line of valid text, and a file URI elsewhere.
    """
    text = str(path)
    return text if readable(text) == text else path.as_uri()


def text_path(text: str) -> Path:
    """The path that `path_text` was given."""
    if text.startswith(_URI):
        return Path(os.fsdecode(unquote_to_bytes(text.removeprefix(_URI))))
    return Path(text)


def file_stem(name: str, key: str, taken: Collection[str]) -> str:
    """The beginning of the name of a file that is made for the file `name`.

    It is the name with its folders, flat; a hash of `key` is added where that was changed or
    shortened, or is taken.

    Args:
      name: of the other file, as it is shown; relative or absolute.
      key: what tells that file apart from all others.
      taken: what `folded` makes of the stems that are in use.

    Returns:
      At most `LONGEST_STEM` bytes of UTF-8, with no character that a file system refuses.
    """
    flat = _PARENT.sub('_', name).strip('/').replace('/', '__')
    plain = _NOT_IN_NAMES.sub('_', _UNREADABLE.sub('_', flat))
    is_clear = plain == flat and plain[:1] not in ('', '.', '-') and '@' not in plain
    if is_clear and len(plain.encode()) <= LONGEST_STEM and folded(plain) not in taken:
        return plain
    tail = plain.encode()[-(LONGEST_STEM - _HASH - 2) :].decode(errors='ignore').lstrip('.-')
    number = 0
    while True:
        digest = hashlib.sha256(f'{number or ""}{key}'.encode(errors='surrogatepass'))
        stem = f'{tail or "_"}-{digest.hexdigest()[:_HASH]}'
        if folded(stem) not in taken:
            return stem
        number += 1


def folded(name: str) -> str:
    """The name as file systems compare it that know no case and one form of each letter."""
    return unicodedata.normalize('NFC', unicodedata.normalize('NFC', name).casefold())


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte, see PEP 383
        return f'\\x{code - 0xDC00:02x}'
    return match[0].encode('unicode_escape').decode('ascii')
