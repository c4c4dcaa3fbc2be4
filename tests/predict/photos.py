"""Photos of every sort, good and bad."""

import struct

import cv2
import numpy as np
from PIL import Image

from tests.experts.faces import astronaut


def write_photos(folder):
    """Writes a dozen files; returns the names of those that show the astronaut."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = Image.fromarray(astronaut()[:256, 100:356])
    photo.save(folder / 'plain.jpg', quality=95)
    photo.convert('CMYK').save(folder / 'cmyk.jpg', quality=95)
    photo.convert('L').save(folder / 'grey.png')
    Image.fromarray(np.asarray(photo.convert('L')).astype(np.uint16) * 257).save(
        folder / 'grey16.png'
    )
    clear = photo.convert('RGBA')
    clear.putalpha(Image.fromarray(np.pad(np.full((216, 216), 255, np.uint8), 20)))
    clear.save(folder / 'rgba.png')
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned clockwise by a quarter to be upright
    photo.rotate(90, expand=True).save(folder / 'exif.jpg', exif=turned, quality=95)
    wide = Image.new('RGB', (12000, 600), (90, 120, 150))
    wide.paste(photo, (5000, 100))
    wide.save(folder / 'wide.jpg', quality=90)
    Image.new('RGB', (1, 1), 'red').save(folder / 'one.png')
    Image.new('RGB', (300, 200), (90, 120, 150)).save(folder / 'noface.png')
    whole = (folder / 'plain.jpg').read_bytes()
    (folder / 'truncated.jpg').write_bytes(whole[: len(whole) // 3])
    (folder / 'text.jpg').write_text('no picture\n')
    return ['plain.jpg', 'cmyk.jpg', 'grey.png', 'grey16.png', 'rgba.png', 'exif.jpg']


def write_timed_video(path, times, lasts=None):
    """A Matroska video of flat frames, frame n of brightness 10 n, shown at these seconds.

    Its header states that it `lasts` so many seconds, if given.
    """

    def element(name, content):
        return bytes.fromhex(name) + (0x01 << 56 | len(content)).to_bytes(8, 'big') + content

    def number(name, value):
        return element(name, value.to_bytes(8, 'big'))

    def block(index, seconds):
        flat = np.full((64, 96, 3), 10 * index % 256, np.uint8)
        frame = cv2.imencode('.jpg', flat)[1].tobytes()
        head = b'\x81' + (0).to_bytes(2, 'big') + b'\x80'
        return element(
            '1F43B675', number('E7', round(1000 * seconds)) + element('A3', head + frame)
        )

    length = b'' if lasts is None else element('4489', struct.pack('>d', 1000 * lasts))
    info = element('1549A966', number('2AD7B1', 1_000_000) + length)
    size = number('B0', 96) + number('BA', 64)
    track = number('D7', 1) + number('73C5', 1) + number('83', 1)
    track += element('86', b'V_MJPEG') + element('E0', size)
    tracks = element('1654AE6B', element('AE', track))
    clusters = b''.join(block(index, seconds) for index, seconds in enumerate(times))
    head = element('1A45DFA3', element('4282', b'matroska'))
    path.write_bytes(head + element('18538067', info + tracks + clusters))
    return path


def write_video(path, seconds=2, rate=10, code='mp4v', noisy=False):
    """A video of flat frames that get brighter, or of noise, which takes as many bytes a frame."""
    noise = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), rate, (96, 64))
    for number in range(seconds * rate):
        frame = np.full((64, 96, 3), 10 * number % 256, np.uint8)
        writer.write(noise.integers(0, 256, frame.shape, np.uint8) if noisy else frame)
    writer.release()
    return path


def cut(path, share):
    """A file with the first part of another one, as a download that broke off leaves it."""
    content = path.read_bytes()
    part = path.with_name(f'part_{path.name}')
    part.write_bytes(content[: int(share * len(content))])
    return part


def turn_video(path):
    """Marks an MP4 as taken by a phone held upright: it is shown turned clockwise by a quarter."""
    content = bytearray(path.read_bytes())
    at = content.index(b'tkhd') + 44
    turned = (0, 1 << 16, 0, 2**32 - (1 << 16), 0, 0, 0, 0, 1 << 30)
    content[at : at + 36] = b''.join(value.to_bytes(4, 'big') for value in turned)
    path.write_bytes(content)
