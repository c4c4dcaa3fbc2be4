"""Records made in memory, and a tokenizer of one token a character."""

import io

import numpy as np
from PIL import Image

from input_pipeline.conversation import TEMPLATES
from input_pipeline.pipeline import Encoder, PipelineConfig
from input_pipeline.records import Record


class Letters:
    bos_id = None
    eos_id = 2

    def encode(self, text):
        return [3 + ord(letter) % 200 for letter in text]

    def spans(self, text):
        return [(i, i + 1) for i in range(len(text))]

    def decode(self, ids):
        return ''.join(chr(97 + i % 26) for i in ids)


def png(colour, size=8):
    """A picture of one colour; `size` is its side, or width and height."""
    file = io.BytesIO()
    Image.new('RGB', (size, size) if isinstance(size, int) else size, colour).save(file, 'PNG')
    return file.getvalue()


def record(number=0, **changes):
    fields = {
        'id': f'face-{number:03d}',
        'image': png((number % 256, 10, 20)),
        'landmarks': np.linspace(-0.5, 0.5, 212, dtype=np.float32) + number / 1000,
        'task': 'au',
        'instruction': 'Which AUs?',
        'response': 'AU4 ' * (1 + number % 4),
        'emotion': 3,
        'aus': (4,),
        'source': 'fake',
    }
    return Record(**fields | changes)


def encoder(**changes):
    settings = {
        'batch_size': 2,
        'length': 256,
        'segments': 1,
        'packing_bins': 4,
        'image_size': 8,
        'visual_tokens': 3,
        'landmark_noise': 0.0,
        'label_weight': 1.0,
        'seed': 0,
        'read_threads': 2,
    }
    return Encoder(PipelineConfig(**settings | changes), Letters(), TEMPLATES['chatml'])
