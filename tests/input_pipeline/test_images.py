import io
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from emola_jax.errors import UserError
from input_pipeline import images
from input_pipeline.images import CLIP_MEAN_COLOUR, square_pixels
from tests.input_pipeline.fakes import png

STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""What a camera stores of a scene, by the orientation it writes."""

FORMATS = ['JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF']


def scene(width=48, height=32):
    """Every quarter another colour, so that each turn looks different."""
    pixels = np.zeros((height, width, 3), np.uint8)
    middle, centre = height // 2, width // 2
    pixels[:middle, :centre] = 220, 40, 40
    pixels[:middle, centre:] = 40, 200, 60
    pixels[middle:, :centre] = 50, 60, 210
    pixels[middle:, centre:] = 230, 220, 90
    return pixels


def encoded(picture, kind='PNG', **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(np.ascontiguousarray(picture))
    file = io.BytesIO()
    lossless = {'JPEG': {'quality': 95}, 'AVIF': {'quality': 95}, 'WEBP': {'lossless': True}}
    picture.save(file, kind, **{**lossless.get(kind, {}), **options})
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def exif_bytes(kind, count, value):
    """An EXIF block with one orientation field of any type."""
    head = b'MM\0*' + struct.pack('>I', 8) + struct.pack('>H', 1)
    return b'Exif\0\0' + head + struct.pack('>HHI', 0x0112, kind, count) + value + b'\0' * 12


def apart(one, other):
    assert np.shape(one) == np.shape(other)
    return np.abs(np.asarray(one, float) - np.asarray(other, float)).mean()


@pytest.mark.parametrize('kind', FORMATS)
@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(kind, orientation):
    stored = STORED[orientation](scene())
    picture = images.read(encoded(stored, kind, exif=turned(orientation)), name='x')
    assert apart(picture.image, scene()) < 4
    assert (picture.size, picture.orientation) == ((48, 32), orientation)


@pytest.mark.parametrize('kind', FORMATS)
@pytest.mark.parametrize('orientation', [0, 9, 255, 65535])
def test_orientations_that_do_not_exist_turn_nothing(kind, orientation):
    picture = images.read(encoded(scene(), kind, exif=turned(orientation)), name='x')
    assert apart(picture.image, scene()) < 4
    assert (picture.size, picture.orientation) == ((48, 32), 1)


@pytest.mark.parametrize(
    'field',
    [
        exif_bytes(2, 2, b'6\0\0\0'),  # ASCII
        exif_bytes(1, 1, b'\6\0\0\0'),  # BYTE
        exif_bytes(7, 1, b'\6\0\0\0'),  # UNDEFINED
        exif_bytes(5, 1, struct.pack('>I', 26) + struct.pack('>II', 6, 0)),  # 6 / 0
        exif_bytes(5, 1, struct.pack('>I', 9999)),  # beyond the block
        exif_bytes(77, 1, b'\0\6\0\0'),  # no such type
        exif_bytes(11, 1, struct.pack('>f', float('nan'))),
        b'Exif\0\0MM\0*\xff\xff\xff\xff',
        b'Exif\0\0no such thing',
    ],
)
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
def test_odd_exif_is_ignored(kind, field):
    picture = images.read(encoded(scene(), kind, exif=field), name='x')
    assert apart(picture.image, scene()) < 4
    assert picture.orientation == 1


def test_of_a_list_of_orientations_the_first_counts():
    content = encoded(STORED[6](scene()), 'JPEG', exif=exif_bytes(3, 2, b'\0\6\0\3'))
    assert apart(images.decode(content, name='x'), scene()) < 4


@pytest.mark.parametrize('value', ['6', b'\6'])
def test_an_odd_orientation_in_a_tiff_is_ignored(value):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[0x0112] = {str: 2, bytes: 7}[type(value)]
    tags[0x0112] = value
    picture = images.read(encoded(scene(), 'TIFF', tiffinfo=tags), name='x')
    assert apart(picture.image, scene()) < 1
    assert picture.size == (48, 32)


GREYS = np.linspace(0, 1, 48 * 32).reshape(32, 48)
GREYS_8 = (GREYS * 255).astype(np.uint8)


def lossless(kind, mode_values, **options):
    return encoded(Image.fromarray(mode_values), kind, **options)


@pytest.mark.parametrize(
    'content',
    [
        lossless('PNG', (GREYS * 65535).astype(np.uint16)),
        lossless('PNG', (GREYS * 4095).astype(np.uint16)),  # 12 bits of 16
        lossless('TIFF', (GREYS * 65535).astype(np.uint16)),
        lossless('TIFF', (GREYS * 2e9).astype(np.int32)),
        lossless('TIFF', GREYS.astype(np.float32)),
        lossless('TIFF', (GREYS * 900 - 400).astype(np.float32)),
        lossless('JPEG2000', (GREYS * 65535).astype(np.uint16), irreversible=False),
        lossless('PPM', (GREYS * 65535).astype(np.uint16)),
        lossless('PNG', GREYS_8),
    ],
)
def test_greys_of_any_depth_are_scaled_by_their_range(content):
    pixels = np.asarray(images.decode(content, name='x'))
    assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    assert np.abs(pixels[..., 0].astype(int) - GREYS_8).max() <= 1


def test_what_is_no_number_does_not_set_the_range():
    values = GREYS.astype(np.float32).copy()
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    pixels = np.asarray(images.decode(lossless('TIFF', values), name='x'))[..., 0]
    assert np.abs(pixels.astype(int) - GREYS_8)[1:].max() <= 1
    assert pixels[0, :3].tolist() == [0, 255, 0]
    nothing = np.full((4, 4), np.nan, np.float32)
    assert not np.asarray(images.decode(lossless('TIFF', nothing), name='x')).any()


def left_half_transparent(mode):
    """A blue picture whose left half is transparent, with green hidden there."""
    alpha = np.full((32, 48), 255, np.uint8)
    alpha[:, :24] = 0
    pixels = np.full((32, 48, 3), (0, 0, 255), np.uint8)
    pixels[:, :24] = 0, 255, 0
    if mode == 'RGBA':
        return Image.fromarray(np.dstack([pixels, alpha]))
    if mode == 'LA':
        grey = Image.new('L', (48, 32), 29)
        grey.putalpha(Image.fromarray(alpha))
        return grey
    palette = Image.fromarray(alpha // 255, 'P')
    palette.putpalette([0, 255, 0, 0, 0, 255])
    palette.info['transparency'] = 0
    return palette


@pytest.mark.parametrize(
    ('mode', 'kind'),
    [
        ('RGBA', 'PNG'),
        ('RGBA', 'WEBP'),
        ('RGBA', 'TIFF'),
        ('RGBA', 'AVIF'),
        ('RGBA', 'JPEG2000'),
        ('LA', 'PNG'),
        ('LA', 'TIFF'),
        ('P', 'PNG'),
        ('P', 'GIF'),
    ],
)
def test_what_is_transparent_is_white(mode, kind):
    pixels = np.asarray(images.decode(encoded(left_half_transparent(mode), kind), name='x'))
    assert apart(pixels[:, :22], np.full((32, 22, 3), 255)) < 2
    seen = (29, 29, 29) if mode == 'LA' else (0, 0, 255)
    assert apart(pixels[:, 26:], np.broadcast_to(seen, (32, 22, 3))) < 4


def test_a_colour_that_stands_for_transparency_is_white():
    content = encoded(scene(), 'PNG', transparency=(220, 40, 40))
    pixels = np.asarray(images.decode(content, name='x'))
    assert (pixels[:16, :24] == 255).all() and (pixels[16:] == scene()[16:]).all()


@pytest.mark.parametrize('mode', ['CMYK', 'L', '1', 'P', 'YCbCr'])
@pytest.mark.parametrize('kind', ['JPEG', 'TIFF', 'PNG'])
def test_every_mode_becomes_colour(mode, kind):
    picture = Image.fromarray(scene()).convert(mode, palette=Image.Palette.ADAPTIVE)
    try:
        content = encoded(picture, kind)
    except OSError:
        return  # the format has no such mode
    grey = Image.fromarray(scene()).convert('1' if mode == '1' else 'L').convert('RGB')
    expected = grey if mode in ('1', 'L') else scene()
    assert apart(images.decode(content, name='x'), expected) < 5


@pytest.mark.parametrize('kind', ['GIF', 'WEBP', 'PNG', 'TIFF'])
def test_an_animation_is_its_first_frame(kind):
    others = [Image.new('RGB', (48, 32), 'black') for _ in range(3)]
    content = encoded(scene(), kind, save_all=True, append_images=others)
    assert apart(images.decode(content, name='x'), scene()) < 3


def test_the_first_of_a_pair_of_pictures_is_read():
    content = encoded(scene(), 'MPO', save_all=True, append_images=[Image.new('RGB', (48, 32))])
    assert apart(images.decode(content, name='x'), scene()) < 4


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_box_counts_stored_pixels_and_what_it_marks_is_upright(orientation):
    stored = np.ascontiguousarray(STORED[orientation](scene()))
    red = np.argwhere((stored == (220, 40, 40)).all(axis=-1))
    (top, left), (bottom, right) = red.min(axis=0), red.max(axis=0) + 1
    box = (int(left), int(top), int(right - left), int(bottom - top))
    picture = images.read(encoded(stored, 'PNG', exif=turned(orientation)), name='x')
    cut = images.crop(picture, box)
    assert cut.size == (24, 16)
    assert (np.asarray(cut) == (220, 40, 40)).all()


@pytest.mark.parametrize('box', [(40, 0, 9, 4), (0, 30, 4, 3), (-1, 0, 4, 4), (3, 3, 0, 4)])
def test_a_box_beyond_the_picture_is_refused(box):
    with pytest.raises(UserError, match='beyond the picture of 48 x 32 pixels'):
        images.crop(images.read(encoded(scene()), name='x'), box)


def test_a_wide_picture_is_padded_above_and_below_with_clips_mean_colour():
    file = io.BytesIO()
    Image.new('RGB', (12, 6), (255, 0, 0)).save(file, 'PNG')
    pixels = square_pixels(file.getvalue(), size=12, name='x')
    assert (pixels[:3] == CLIP_MEAN_COLOUR).all()
    assert (pixels[3:9] == (255, 0, 0)).all()
    assert (pixels[9:] == CLIP_MEAN_COLOUR).all()


@pytest.mark.parametrize('data', [b'', b'no picture', png((1, 2, 3))[:40]])
def test_what_is_no_picture_is_named(data):
    with pytest.raises(UserError, match="record 'face-7': field image"):
        square_pixels(data, size=8, name='face-7')


def test_grey_and_transparent_pictures_become_colour():
    for mode in ('L', 'RGBA', 'P'):
        file = io.BytesIO()
        Image.new(mode, (8, 8)).save(file, 'PNG')
        assert square_pixels(file.getvalue(), size=8, name='x').shape == (8, 8, 3)
    assert square_pixels(png((1, 2, 3)), size=8, name='x').dtype == np.uint8


def test_a_pil_image_is_seen_as_its_file_is():
    for orientation, kind in [(6, 'TIFF'), (6, 'JPEG'), (3, 'PNG')]:
        content = encoded(STORED[orientation](scene()), kind, exif=turned(orientation))
        theirs = images.upright_rgb(Image.open(io.BytesIO(content)))
        assert apart(theirs, images.decode(content, name='x')) == 0
