"""Damaged, foreign and excessive pictures: one sentence each, and little memory."""

import io
import struct
import subprocess
import sys
import zlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from emola_jax.errors import UserError
from input_pipeline import images
from tests.input_pipeline.test_images import encoded, scene


def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def png_of(width, height, *more, rows=None):
    """A black grey PNG with further chunks; `rows` of it only, if that is given."""
    packed = zlib.compressobj(9)
    row = b'\0' * (width // 8 + 1 + (width % 8 > 0))
    data = b''.join(packed.compress(row) for _ in range(height if rows is None else rows))
    header = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + b''.join(chunk(name, content) for name, content in more)
        + chunk(b'IDAT', data + packed.flush())
        + chunk(b'IEND', b'')
    )


def refused(content):
    with pytest.raises(images.Unreadable, match="record 'face-7': field image holds no") as caught:
        images.decode(content, name='face-7')
    assert '\n' not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ('width', 'height', 'reason'),
    [
        (60_000, 60, 'a side of at most 32768 is read'),
        (60, 60_000, 'a side of at most 32768 is read'),
        (100_000, 1, 'a side of at most 32768 is read'),
        (1, 50_000, 'a side of at most 32768 is read'),
        (1, 30_000, 'the sides may be 1 to 64 at most'),
        (65, 1, 'the sides may be 1 to 64 at most'),
        (13_000, 13_000, 'to decode'),
    ],
)
def test_a_shape_beyond_the_limits_is_refused_before_it_is_decoded(width, height, reason):
    content = png_of(width, height, rows=0)
    assert f'{width} x {height} pixels' in refused(content)
    assert reason in refused(content)


@pytest.mark.parametrize('kind', ['BMP', 'GIF', 'PNG', 'WEBP', 'TIFF', 'PPM', 'JPEG'])
def test_a_size_that_is_only_claimed_is_not_allocated(kind):
    content = bytearray(encoded(scene(), kind))
    at = {'BMP': 18, 'GIF': 6, 'PNG': 16, 'JPEG': content.find(b'\xff\xc0') + 5}
    if kind == 'PPM':
        content[:] = content.replace(b'48 32', b'30000 30000')
    elif kind == 'WEBP':
        content[:] = encoded(scene(), kind, lossless=True, exif=b'Exif\0\0')
        content[24:30] = b'\xff\x3f\0\xff\x3f\0'  # of the canvas
    elif kind == 'TIFF':
        image = Image.fromarray(scene())
        file = io.BytesIO()
        image.save(file, kind)
        content[:] = file.getvalue()
        for tag in (256, 257):
            place = content.find(struct.pack('<HH', tag, 3)) if content[:2] == b'II' else -1
            place = place if place >= 0 else content.find(struct.pack('<HH', tag, 4))
            content[place + 2 : place + 12] = struct.pack('<HII', 4, 1, 30_000)
    else:
        size = {'BMP': '<II', 'GIF': '<HH', 'PNG': '>II', 'JPEG': '>HH'}[kind]
        struct.pack_into(size, content, at[kind], 30_000, 30_000)
    assert refused(bytes(content))


def test_what_is_just_within_the_limits_is_read():
    assert images.read(png_of(64, 1), name='x').size == (64, 1)
    assert images.square_pixels(png_of(1, 64), size=8, name='x').shape == (8, 8, 3)
    long = images.decode(png_of(32_768, 512), name='x')
    assert images.pad_to_square(long).size == (8192, 8192)
    assert images.pad_to_square(long).getpixel((9, 9)) == images.CLIP_MEAN_COLOUR


def test_a_photo_of_200_million_pixels_is_read_in_bounded_memory(tmp_path):
    vast = Image.linear_gradient('L').resize((16_384, 12_288))
    vast.save(tmp_path / 'phone.jpg', quality=30)
    del vast
    program = (
        'import resource, sys\nfrom pathlib import Path\nfrom input_pipeline import images\n'
        'before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'picture = images.read_file(Path(sys.argv[1]))\n'
        'used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n'
        'print(*picture.size, *picture.image.size, used >> 10)\n'
    )
    command = [sys.executable, '-c', program, str(tmp_path / 'phone.jpg')]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    width, height, read_width, read_height, mebibytes = map(int, done.stdout.split())
    assert (width, height) == (16_384, 12_288)
    assert read_width * read_height <= 1.001 * images.LARGEST_PHOTO
    assert read_width / read_height == pytest.approx(4 / 3, rel=0.001)
    assert mebibytes < 700


@pytest.mark.parametrize('name', [b'zTXt', b'iTXt', b'iCCP'])
def test_a_text_that_unpacks_to_much_costs_little(name):
    packed = zlib.compress(b'\0' * (256 << 20), 9)
    before = {b'zTXt': b'a\0\0', b'iTXt': b'a\0\1\0\0\0', b'iCCP': b'a\0\0'}[name]
    program = (
        'import resource, sys\nfrom input_pipeline import images\n'
        'from emola_jax.errors import UserError\n'
        'content = sys.stdin.buffer.read()\n'
        'before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'try:\n  images.decode(content, name="x")\nexcept UserError as error:\n  print(error)\n'
        'print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)\n'
    )
    content = png_of(8, 8, (name, before + packed))
    command = [sys.executable, '-c', program]
    done = subprocess.run(command, check=True, capture_output=True, input=content)
    assert int(done.stdout.split()[-1]) < 100  # MiB


def test_a_jpeg_of_hundreds_of_scans_is_refused():
    content = encoded(Image.new('RGB', (4000, 4000)), 'JPEG', progressive=True)
    last = content.rfind(b'\xff\xda')
    scan = content[last:-2]
    assert 'scans' in refused(content[:-2] + 400 * scan + content[-2:])
    assert images.read(content, name='x').size == (4000, 4000)


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'EPS'),
        (b'8BPS\0\1' + bytes(60), 'PSD'),
        (b'\0\0\1\0\1\0' + bytes(60), 'ICO'),
        (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'HEIC'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'git lfs pull'),
        (b'', 'empty'),
        (b'<html>404</html>', 'of no known format'),
    ],
)
def test_what_is_not_read_is_called_by_its_name(content, reason):
    assert reason in refused(content)


def test_formats_that_are_not_allowed_are_not_opened():
    for kind in ('EPS', 'ICO', 'TGA', 'PCX', 'SGI', 'IM', 'DDS', 'PDF'):
        assert refused(encoded(scene(), kind)), kind


def test_a_file_is_named_with_what_to_do(tmp_path):
    raw = tmp_path / 'photo.dng'  # a TIFF that shows a preview
    raw.write_bytes(encoded(scene(), 'TIFF'))
    heic = tmp_path / 'photo.HEIC'
    heic.write_bytes(b'no such thing')
    for path in (raw, heic):
        with pytest.raises(UserError, match=rf'{path}: no readable picture \(.*convert it to JPEG'):
            images.read_file(path)
    heic.write_bytes(encoded(scene(), 'JPEG'))
    assert images.read_file(heic).size == (48, 32)
    with pytest.raises(UserError, match=r'gone\.jpg: cannot be read \(no such file\)'):
        images.read_file(tmp_path / 'gone.jpg')
    with pytest.raises(UserError, match='not a file'):
        images.read_file(tmp_path)


def animated(kind):
    return encoded(scene(), kind, save_all=True, append_images=[Image.new('RGB', (48, 32))])


WHOLE = [
    *(encoded(scene(), kind) for kind in ('JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF', 'BMP', 'GIF')),
    *(encoded(scene(), kind) for kind in ('JPEG2000', 'PPM')),
    *(animated(kind) for kind in ('PNG', 'GIF', 'WEBP', 'TIFF')),
    encoded(Image.fromarray(scene()).quantize(16), 'PNG'),
    encoded(Image.fromarray(scene()).convert('RGBA'), 'PNG'),
    encoded(np.arange(1536, dtype=np.uint16).reshape(32, 48), 'TIFF'),
    encoded(np.ones((32, 48), np.float32), 'TIFF', compression='tiff_lzw'),
    encoded(scene(), 'TIFF', compression='jpeg'),
    encoded(scene(), 'JPEG', progressive=True, exif=b'Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3'),
]


@hypothesis.settings(
    max_examples=400, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(data=st.data())
def test_random_damage_ends_in_a_picture_or_a_sentence(data):
    content = bytearray(data.draw(st.sampled_from(WHOLE)))
    head = st.integers(0, min(len(content), 200) - 1)
    place = st.one_of(head, st.integers(0, len(content) - 1))
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=8)):
        content[at] = value
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    try:
        pixels = images.square_pixels(bytes(content[:end]), size=16, name='x')
    except UserError as error:
        assert "record 'x'" in str(error) and '\n' not in str(error)
    else:
        assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8
