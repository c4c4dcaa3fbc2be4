"""Kinds of files by their suffix: the one table that every scan of a folder and command reads.

Pictures are what `images` decodes, videos what FFmpeg inside OpenCV does. Kinds that people bring
and that are not read are listed too, so that no file is left out without a word.
"""

from __future__ import annotations

import collections
import enum
from pathlib import Path


class Kind(enum.Enum):
    """What a file is, by its name."""

    PICTURE = 'picture'
    VIDEO = 'video'
    UNREAD = 'unread'  # a picture or video of a kind that is not read
    OTHER = 'other'
    HIDDEN = 'hidden'  # what operating systems leave in folders: .DS_Store, ._photo.jpg, Thumbs.db


def _suffixes(names: str) -> frozenset[str]:
    return frozenset(f'.{name}' for name in names.split())


PICTURES = _suffixes("""
    apng avif bmp dib gif j2c j2k jfif jif jp2 jpc jpe jpeg jpf jpg jpx mpo pbm pfm pgm png pnm ppm
    tif tiff webp
""")
"""Suffixes of pictures that are read."""

VIDEOS = _suffixes("""
    3g2 3gp asf avi divx f4v flv ivf m1v m2t m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts
    mxf ogm ogv qt ts vob webm wmv y4m
""")
"""Suffixes of videos that are read."""

RAW = _suffixes("""
    3fr arw cr2 cr3 dng erf iiq kdc mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f
""")
"""Suffixes of cameras' raw data; many open as TIFF and then show a small preview."""

_OTHER_PICTURES = _suffixes("""
    emf eps exr hdr icns ico jxl jxr pcx psb psd qoi sgi svg tga wdp wmf xcf
""")
UNREAD_VIDEOS = _suffixes('braw r3d rm rmvb swf wtv')
UNREAD = {
    **dict.fromkeys(('.heic', '.heif', '.hif'), 'HEIC'),
    **dict.fromkeys(RAW, "a camera's raw data"),
    **{suffix: suffix[1:].upper() for suffix in _OTHER_PICTURES | UNREAD_VIDEOS},
}
"""Suffix -> what people call it, of pictures and videos that are not read."""

_LITTER = frozenset({'desktop.ini', 'ehthumbs.db', 'thumbs.db', 'icon\r'})
_LITTER_FOLDERS = frozenset({'__macosx', '@eadir'})


def kind(path: Path) -> Kind:
    """What the file is by its name alone; its folders are not looked at."""
    if is_hidden(path.name):
        return Kind.HIDDEN
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return Kind.PICTURE
    if suffix in VIDEOS:
        return Kind.VIDEO
    return Kind.UNREAD if suffix in UNREAD else Kind.OTHER


def is_hidden(name: str) -> bool:
    """Whether a file's or folder's name is one that systems leave behind, or begins with a dot."""
    lowered = name.lower()
    return name.startswith('.') or lowered in _LITTER or lowered in _LITTER_FOLDERS


def why_unread(suffix: str) -> str:
    """What is said of a file of a kind that is known and not read; '' for any other suffix.

    Args:
      suffix: with its dot, in any case.
    """
    name = UNREAD.get(suffix.lower())
    if name is None:
        return ''
    what, into = ('video', 'MP4') if suffix.lower() in UNREAD_VIDEOS else ('picture', 'JPEG')
    return f'a {what} of a kind that is not read ({name}); convert it to {into}'


def left_out_line(left_out: collections.Counter[str]) -> str:
    """A line that says how many files were left out and of which kinds; '' if none was.

    For example: 'left out 5 files: 2 .heic (a picture of a kind that is not read (HEIC); convert it
    to JPEG), 2 .txt, 1 .mp4 (a video)'.
    """
    total = left_out.total()
    if not total:
        return ''
    # Pictures and videos first: these are what a person misses.
    order = sorted(left_out.items(), key=lambda entry: (not _remark(entry[0]), -entry[1], entry[0]))
    parts = [
        f'{number} {suffix or "without a suffix"}{_remark(suffix)}' for suffix, number in order
    ]
    return f'left out {total} file{"s" * (total != 1)}: {", ".join(parts)}'


def _remark(suffix: str) -> str:
    if suffix in PICTURES:
        return ' (a picture)'
    if suffix in VIDEOS:
        return ' (a video)'
    return f' ({reason})' if (reason := why_unread(suffix)) else ''
