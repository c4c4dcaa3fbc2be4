"""Photos of every sort, good and bad."""

import cv2
import numpy as np
from PIL import Image

from tests.landmarks.faces import astronaut


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


def write_video(path, seconds=2, rate=10):
    """A video of flat frames that get brighter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate, (96, 64))
    for number in range(seconds * rate):
        writer.write(np.full((64, 96, 3), 10 * number, np.uint8))
    writer.release()
    return path
