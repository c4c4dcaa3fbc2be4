"""The one reader of pictures, and pictures as square uint8 arrays.

Every command reads pictures here, so that training, landmarks and prediction see the same: turned
as the EXIF orientation says, on white where transparent, greys of more than 8 bits scaled to 8, the
first frame of an animation. Limits hold before anything is decoded or allocated.
"""

from __future__ import annotations

import dataclasses
import io
import math
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from emola_jax.errors import UserError
from emola_jax.files import media

CLIP_MEAN_COLOUR = (122, 116, 104)
"""CLIP's mean colour in 0..255: what the released training code pads to a square with."""

FORMATS = ('AVIF', 'BMP', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')
"""What is decoded, as Pillow names it. Not among them: EPS, which runs a program."""

LARGEST_FILE = 1 << 30
"""Bytes of a picture's file."""
LONGEST_SIDE = 32_768
"""Pixels of a picture's longer side."""
MOST_ELONGATED = 64
"""How many times a picture's longer side may be the shorter one."""
MOST_PIXELS = 256_000_000
"""Of a picture; phones take 200 million."""
LARGEST_DECODE = 768 << 20
"""Bytes that decoding a picture may take."""
MOST_SCANNED = 5_000_000_000
"""Pixels of a progressive JPEG times its scans: each scan goes through the whole picture."""
LARGEST_PHOTO = 4096**2
"""Pixels in all: larger pictures are shrunk to it as they are read. No face needs more."""
LONGEST_SQUARE = 8192
"""Pixels a side of a padded square; a longer picture is shrunk first."""

Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""

_DECODER_BYTES = {'AVIF': 10, 'JPEG2000': 16, 'TIFF': 4, 'WEBP': 10}
"""Of a pixel, beside the picture itself, while it is decoded: planes, frames, whole strips."""

_ORIENTATION = 0x0112  # EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = 5  # from here on width and height change places

# Pillow warns of what is within the limits above, and of damaged EXIF, which is ignored.
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)
warnings.filterwarnings('ignore', category=UserWarning, module=r'PIL\.')


class Unreadable(UserError):
    """No readable picture.

    Attributes:
      reason: why not, without the name of the file or record.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f'{what} ({reason})')
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as a person sees it.

    Attributes:
      image: RGB, upright, of `LARGEST_PHOTO` pixels at most.
      size: width and height of the whole picture, upright.
      orientation: 1..8, as EXIF counts; what it was turned by.
      altered: whether the file, shown by another program, may look otherwise.
    """

    image: Image.Image
    size: tuple[int, int]
    orientation: int
    altered: bool


def read_file(path: Path) -> Picture:
    """Reads a picture's file.

    Raises:
      UserError: it cannot be read, or is no picture that is read; names the file.
    """
    what = f'{path}: no readable picture'
    unread = media.why_unread(path.suffix)
    if path.suffix.lower() in media.RAW:
        raise Unreadable(what, unread)
    try:
        if not path.is_file():
            reason = 'not a file' if path.exists() else 'no such file'
            raise UserError(f'{path}: cannot be read ({reason})')
        if path.stat().st_size > LARGEST_FILE:
            raise Unreadable(what, f'a file of more than {LARGEST_FILE >> 20} MiB')
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from None
    try:
        return _read(content, what)
    except Unreadable as error:  # a JPEG that is called .heic was read
        raise Unreadable(what, unread or error.reason) from None


def decode(image: bytes, *, name: str) -> Image.Image:
    """The picture of a record: RGB, upright, of `LARGEST_PHOTO` pixels at most.

    Args:
      image: the encoded picture.
      name: of the record, for messages.

    Raises:
      Unreadable: the bytes are no picture, a damaged one, or one beyond the limits.
    """
    return read(image, name=name).image


def read(image: bytes, *, name: str) -> Picture:
    """As `decode`, with the size and the orientation.

    Raises:
      Unreadable: the bytes are no picture, a damaged one, or one beyond the limits.
    """
    return _read(image, f"record '{name}': field image holds no readable picture")


def crop(picture: Picture, box: Box) -> Image.Image:
    """Cuts out what an owner's box marks, upright.

    Owners' boxes count the pixels as they are stored, before the picture is turned.

    Raises:
      UserError: the box reaches beyond the picture, or is empty.
    """
    width, height = picture.size[::-1] if picture.orientation >= _LYING else picture.size
    left, top, wide, high = box
    inside = left >= 0 <= top and left + wide <= width and top + high <= height
    if not inside or wide < 1 or high < 1:
        raise UserError(
            f"the face's box reaches to {left + wide}, {top + high}, beyond the picture of "
            f'{width} x {height} pixels, or is empty (it begins at {left}, {top})'
        )
    left, top, wide, high = _upright_box(box, (width, height), picture.orientation)
    scale = picture.image.width / picture.size[0]
    edges = [round(scale * edge) for edge in (left, top, left + wide, top + high)]
    edges[2:] = max(edges[2], edges[0] + 1), max(edges[3], edges[1] + 1)
    return picture.image.crop((edges[0], edges[1], edges[2], edges[3]))


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A picture of any mode as a person sees it: turned as its EXIF says, on white, 8 bits.

    Greys of 16 or 32 bits are scaled by their own range, which PIL would cut off.

    Raises:
      OSError: the picture is truncated; Pillow's readers raise many other kinds.
    """
    picture.load()
    upright = _rgb(picture, picture.size)
    turn = _TURNS.get(_orientation(picture))
    return upright if turn is None else upright.transpose(turn)


def pad_to_square(
    picture: Image.Image, colour: tuple[int, int, int] = CLIP_MEAN_COLOUR
) -> Image.Image:
    """Centres the picture on a square of its longer side, as the released training code does.

    A picture that is longer than `LONGEST_SQUARE` is shrunk to it first.
    """
    if max(picture.size) > LONGEST_SQUARE:
        scale = LONGEST_SQUARE / max(picture.size)
        width, height = (max(1, round(scale * side)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    width, height = picture.size
    if width == height:
        return picture
    side = max(width, height)
    square = Image.new('RGB', (side, side), colour)
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def square_pixels(
    image: bytes, *, size: int, name: str, pad: bool = True
) -> UInt8[np.ndarray, 'size size 3']:
    """Decodes and resizes (bicubic, CLIP's filter) to a square of `size` pixels a side.

    Args:
      image: the encoded picture.
      size: pixels a side.
      name: of the record, for messages.
      pad: whether to pad to a square first. False cuts the square out of the resized picture's
        middle, as CLIP's own preprocessing does and the released evaluation with it.

    Raises:
      Unreadable: the bytes are no picture, a damaged one, or one beyond the limits.
    """
    picture = decode(image, name=name)
    if pad:
        picture = pad_to_square(picture)
    width, height = picture.size
    shorter = min(width, height)
    resized = (size * width // shorter, size * height // shorter)
    if picture.size != resized:
        picture = picture.resize(resized, Image.Resampling.BICUBIC)
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    return np.asarray(picture, np.uint8)[top : top + size, left : left + size]


def _read(content: bytes, what: str) -> Picture:
    try:
        return _decoded(content)
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        raise Unreadable(what, _foreign(content) or _reason(error)) from None


class _Beyond(Exception):
    """A picture beyond the limits."""


def _decoded(content: bytes) -> Picture:
    picture = _opened(content)
    size = picture.size
    _check_size(picture, content)
    scale = min(1.0, math.sqrt(LARGEST_PHOTO / math.prod(size)))
    wanted = (math.ceil(scale * size[0]), math.ceil(scale * size[1]))
    # Pillow turns TIFF itself as it loads, and says 1 from then on; its size is upright before.
    turned = _orientation(picture) if picture.format == 'TIFF' else 1
    picture.draft('', wanted)  # a JPEG decodes to a half, a quarter or an eighth for less
    picture.load()
    left = _orientation(picture)
    image = _rgb(picture, wanted)
    if left in _TURNS:
        image = image.transpose(_TURNS[left])
        size = size[::-1] if left >= _LYING else size
    orientation = left if left in _TURNS else turned
    shrunk = image.width * image.height < math.prod(size)
    altered = shrunk or orientation in _TURNS or _is_deep(picture) or picture.has_transparency_data
    return Picture(image, size, orientation, altered)


def _opened(content: bytes) -> Image.Image:
    if content.startswith(b'\xff\xd8\xff'):
        # Image.open refuses 179 million pixels of any kind, and phones take 200 as JPEG.
        return JpegImageFile(io.BytesIO(content))
    return Image.open(io.BytesIO(content), formats=FORMATS)


def _check_size(picture: Image.Image, content: bytes) -> None:
    shorter, longer = sorted(picture.size)
    pixels = math.prod(picture.size)
    shape = f'{picture.width} x {picture.height} pixels'
    if longer > LONGEST_SIDE:
        raise _Beyond(f'{shape}; a side of at most {LONGEST_SIDE} is read')
    if longer > MOST_ELONGATED * shorter:
        raise _Beyond(f'{shape}; the sides may be 1 to {MOST_ELONGATED} at most')
    if pixels > MOST_PIXELS:
        raise _Beyond(f'{shape}; at most {MOST_PIXELS // 10**6} million are read')
    if picture.format == 'JPEG':
        needed = _jpeg_bytes(picture)
        scans = content.count(b'\xff\xda') if picture.info.get('progressive') else 1
        if scans * pixels > MOST_SCANNED:
            raise _Beyond(f'{shape} in {scans} scans, which would take minutes')
    else:
        copied = _is_deep(picture) or picture.has_transparency_data
        held = 12 if copied else 4 if picture.mode == 'RGB' else 8
        needed = pixels * (held + _DECODER_BYTES.get(picture.format or '', 1))
    if needed > LARGEST_DECODE:
        raise _Beyond(
            f'{shape} of {picture.format} take {needed >> 20} MiB to decode, at most '
            f'{LARGEST_DECODE >> 20} are used; save it smaller, or as JPEG'
        )


def _jpeg_bytes(picture: Image.Image) -> int:
    """Bytes to decode a JPEG: shrunk as it is read, but a progressive one is held in whole."""
    pixels = math.prod(picture.size)
    part = max((n for n in (1, 2, 4, 8) if pixels >= n * n * LARGEST_PHOTO), default=1)
    held = (4 if picture.mode == 'RGB' else 8) * pixels // part**2
    layers = getattr(picture, 'layer', ())
    if not picture.info.get('progressive') or not layers:
        return held
    most = max(across * down for _, across, down, *_ in layers) or 1
    share = sum(across * down for _, across, down, *_ in layers) / most
    return held + int(2 * share * pixels)


def _rgb(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A loaded picture in RGB and of this size (or smaller than it already is), not turned."""
    if _is_deep(picture):
        picture = _eight_bits(picture)
    if picture.has_transparency_data:
        above = _shrunk(picture.convert('RGBA'), size)
        return Image.alpha_composite(Image.new('RGBA', above.size, 'white'), above).convert('RGB')
    return _shrunk(picture if picture.mode == 'RGB' else picture.convert('RGB'), size)


def _shrunk(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    smaller = (min(size[0], picture.width), min(size[1], picture.height))
    # `resize` copies where nothing changes: what comes out is a plain image, without its file.
    return picture.resize(smaller, Image.Resampling.BOX)


def _is_deep(picture: Image.Image) -> bool:
    return picture.mode.startswith(('I', 'F'))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A grey of 16 or 32 bits, or of fractions, scaled by its own range; NaN is black."""
    values = np.array(picture, np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        known = values[finite] if finite.any() else np.zeros(1, np.float32)
        low, high = float(known.min()), float(known.max())
        np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    low, high = float(values.min()), float(values.max())
    values -= low
    values *= 255 / max(high - low, 1e-6)
    return Image.fromarray(np.rint(values, out=values).astype(np.uint8))


def _orientation(picture: Image.Image) -> int:
    """1..8 as EXIF counts; 1 where the field says anything else, or cannot be read."""
    try:
        value = picture.getexif().get(_ORIENTATION)
    except Exception:  # of a damaged EXIF; the picture itself may be whole
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _upright_box(box: Box, size: tuple[int, int], orientation: int) -> Box:
    """Where a box of the stored picture of this size is in the upright one."""
    left, top, width, height = box
    if orientation in (2, 3, 7, 8):
        left = size[0] - left - width
    if orientation in (3, 4, 6, 7):
        top = size[1] - top - height
    return (top, left, height, width) if orientation >= _LYING else (left, top, width, height)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return 'of no known format'
    if isinstance(error, Image.DecompressionBombError):
        return 'more pixels than are read of its kind; save it smaller, or as JPEG'
    return ' '.join(str(error).split())[:200] or f'damaged: {type(error).__name__}'


def _foreign(content: bytes) -> str:
    """What the bytes are instead, if that is known."""
    if not content:
        return 'empty'
    if content.startswith(b'version https://git-lfs'):
        return 'a Git LFS pointer, the file itself was not downloaded: git lfs pull'
    brand = content[8:12] if content[4:8] == b'ftyp' else b''
    if brand[:3] in (b'hei', b'hev', b'mif', b'msf') and b'avi' not in content[:64]:
        return media.why_unread('.heic')
    suffix = next((of for magic, of in _FOREIGN.items() if content.startswith(magic)), '')
    return media.why_unread(suffix)


_FOREIGN = {
    b'%!PS': '.eps',
    b'\xc5\xd0\xd3\xc6': '.eps',
    b'8BPS': '.psd',
    b'<svg': '.svg',
    b'\x00\x00\x01\x00': '.ico',
    b'\xff\x0a': '.jxl',
    b'\x00\x00\x00\x0cJXL ': '.jxl',
    b'v/1\x01': '.exr',
    b'#?RADIANCE': '.hdr',
    b'qoif': '.qoi',
    b'gimp xcf': '.xcf',
}
"""First bytes -> suffix, of kinds that are not read."""
