"""Turns pictures, texts and landmarks into what EmoLA reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

Picture = Image.Image | np.ndarray | str | Path


class EmolaProcessor(ProcessorMixin):
    """`processor(images=..., text=..., landmarks=...)` gives the keyword arguments of the model.

    Attributes:
        tokenizer: its id of `image_token` is the model's placeholder.
        image_size: pixels a side.
        image_mean: per channel, for pixel values in [0, 1].
        image_std: per channel, for pixel values in [0, 1].
        pad_colour: fills a picture up to a square.
        image_tokens: placeholders for each image: its patches and one for its landmarks.
        landmark_inputs: numbers in a landmark vector; 0 for a model without the prior token.
        landmark_limit: the largest magnitude of a landmark; ±1 is the border of the square picture.
    """

    attributes: ClassVar[list[str]] = ['tokenizer']
    tokenizer_class = 'AutoTokenizer'

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        image_size: int,
        image_mean: Sequence[float],
        image_std: Sequence[float],
        pad_colour: Sequence[int],
        image_tokens: int,
        landmark_inputs: int,
        landmark_limit: float,
        image_token: str = '<image>',
        chat_template: str | None = None,
    ) -> None:
        self.image_size = image_size
        self.image_mean = image_mean
        self.image_std = image_std
        self.pad_colour = pad_colour
        self.image_tokens = image_tokens
        self.landmark_inputs = landmark_inputs
        self.landmark_limit = landmark_limit
        self.image_token = image_token
        super().__init__(tokenizer, chat_template=chat_template)

    @property
    def model_input_names(self) -> list[str]:
        """What `__call__` may return."""
        return ['input_ids', 'attention_mask', 'pixel_values', 'landmarks']

    def __call__(
        self,
        images: Picture | Sequence[Any] | None = None,
        text: str | Sequence[str] | None = None,
        landmarks: Any = None,
        padding: bool | str = True,
        return_tensors: str | None = 'pt',
        **kwargs: Any,
    ) -> BatchFeature:
        """A batch of prompts, padded on the left.

        Args:
            images: one picture for each `image_token` in the texts, in order.
            text: whole prompts, as of `apply_chat_template`.
            landmarks: [images, 212], or [212] for one image: x0, y0, x1, y1, … in [-1, 1] over the
                square-padded picture (x right, y down).
            padding: as of a tokenizer.
            return_tensors: 'pt' or 'np'.
            **kwargs: of the tokenizer.
        """
        texts = [text] if isinstance(text, str) else list(text or [])
        pictures = _flat(images)
        placeholders = sum(prompt.count(self.image_token) for prompt in texts)
        if texts and placeholders != len(pictures):
            raise ValueError(
                f'the texts hold {self.image_token} {placeholders} times, '
                f'expected once for each of {len(pictures)} image(s)'
            )
        data: dict[str, Any] = {}
        if texts:
            wide = self.image_token * self.image_tokens
            prompts = [prompt.replace(self.image_token, wide) for prompt in texts]
            ids = self.tokenizer(prompts, padding=padding, return_token_type_ids=False, **kwargs)
            data |= {name: ids[name] for name in ('input_ids', 'attention_mask')}
        if pictures:
            data['pixel_values'] = np.stack([self.pixels(picture) for picture in pictures])
        if self.landmark_inputs and (pictures or landmarks is not None):
            data['landmarks'] = self._checked(landmarks, len(pictures))
        return BatchFeature(data, tensor_type=return_tensors)

    def pixels(self, picture: Picture) -> np.ndarray:
        """Pads to a square, resizes (bicubic) and normalises: float32 [3, size, size]."""
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(picture)
        elif not isinstance(picture, Image.Image):
            picture = Image.open(picture)
        picture = _as_seen(picture)
        width, height = picture.size
        side = max(width, height)
        square = Image.new('RGB', (side, side), tuple(self.pad_colour))
        square.paste(picture, ((side - width) // 2, (side - height) // 2))
        if side != self.image_size:
            square = square.resize((self.image_size,) * 2, Image.Resampling.BICUBIC)
        scaled = np.asarray(square, np.float32) / 255
        mean, std = (np.asarray(v, np.float32) for v in (self.image_mean, self.image_std))
        return ((scaled - mean) / std).transpose(2, 0, 1)

    def _checked(self, landmarks: Any, images: int) -> np.ndarray:
        expected = f'expected numbers of shape ({images}, {self.landmark_inputs}), a row an image'
        if landmarks is None:
            raise ValueError(f'landmarks are missing; {expected}')
        values = np.asarray(landmarks, np.float32)
        values = values[None] if values.ndim == 1 else values
        if values.shape != (images, self.landmark_inputs):
            raise ValueError(f'landmarks have shape {values.shape}; {expected}')
        if not np.abs(values).max(initial=0) <= self.landmark_limit:
            raise ValueError(
                f'landmarks hold NaN or reach beyond ±{self.landmark_limit}; expected x and y in '
                '[-1, 1] over the square-padded picture, not pixels'
            )
        return values


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _as_seen(picture: Image.Image) -> Image.Image:
    """RGB as in training: turned as its EXIF says, on white, greys of 16 or 32 bits scaled to 8."""
    picture.load()
    try:
        orientation = picture.getexif().get(0x0112)
    except Exception:  # of a damaged EXIF; the picture itself may be whole
        orientation = None
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    if picture.mode.startswith(('I', 'F')):
        values = np.array(picture, np.float32)
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low
        picture = Image.fromarray(np.rint(values * (255 / max(high - low, 1e-6))).astype(np.uint8))
    elif picture.has_transparency_data:
        above = picture.convert('RGBA')
        picture = Image.alpha_composite(Image.new('RGBA', above.size, 'white'), above)
    picture = picture.convert('RGB')
    return picture if turn is None else picture.transpose(turn)


def _flat(images: Any) -> list[Picture]:
    """The pictures of one picture, a list of them, or a list of such lists."""
    if images is None:
        return []
    if isinstance(images, list | tuple):
        return [picture for entry in images for picture in _flat(entry)]
    return [images]
