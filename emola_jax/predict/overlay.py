"""A photo with its faces marked, and next to it what the model says of each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from emola_jax.facs import AU_NAMES
from emola_jax.predict.model import FaceAnswer

Box = tuple[float, float, float, float]

SHOWN_FACES = 6
"""Faces with a panel; the others are marked in the photo and stand in the table."""

_PHOTO = (800, 760)  # the photo is fitted into it, so that with a panel it is 1280 wide at most
_PANEL = 380
_MARGIN = 18
_ACROSS = 3  # panels below the photo
_PAPER, _INK, _SOFT, _TRACK = '#ffffff', '#1b1d21', '#5d626b', '#ecece7'
_EMOTION, _AU, _WARN = '#0f766e', '#4457a6', '#8a5a00'
_HALO = '#00000090'
_TEXT, _SMALL, _TITLE = 14, 12, 19
_LINE = 1.32  # of the font size
_SHOWN_AUS, _SHOWN_EMOTIONS = 8, 3
_CHARACTERS = 64  # a line of small text


def draw(photo: UInt8[np.ndarray, 'H W 3'], faces: Sequence[FaceAnswer]) -> Image.Image:
    """The picture, RGB. Words stand outside of the photo; on it only marks and numbers."""
    marked = mark(photo, faces)
    panels = [_panel(number, face) for number, face in enumerate(faces[:SHOWN_FACES], start=1)]
    if not panels:
        panels = [_note('no face found')]
    if len(faces) > SHOWN_FACES:
        panels.append(_note(f'and {len(faces) - SHOWN_FACES} more, in the table'))
    beside, below = panels[:1], panels[1:]
    height = max(marked.height, beside[0].height) + 2 * _MARGIN
    rows = [below[start : start + _ACROSS] for start in range(0, len(below), _ACROSS)]
    tallest = [max(panel.height for panel in row) + _MARGIN for row in rows]
    width = marked.width + _PANEL + 3 * _MARGIN
    if below:
        width = max(width, min(len(below), _ACROSS) * (_PANEL + _MARGIN) + _MARGIN)
    sheet = Image.new('RGB', (width, height + sum(tallest)), _PAPER)
    sheet.paste(marked, (_MARGIN, _MARGIN))
    sheet.paste(beside[0], (2 * _MARGIN + marked.width, _MARGIN))
    for row, tall in zip(rows, tallest, strict=True):
        for place, panel in enumerate(row):
            sheet.paste(panel, (_MARGIN + place * (_PANEL + _MARGIN), height))
        height += tall
    return sheet


def mark(photo: UInt8[np.ndarray, 'H W 3'], faces: Sequence[FaceAnswer]) -> Image.Image:
    """The photo at the size it is shown in, with boxes, landmarks and numbers."""
    height, width = photo.shape[:2]
    scale = min(_PHOTO[0] / width, _PHOTO[1] / height, 6.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shown = Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(shown, 'RGBA')
    boxes = [tuple(edge * scale for edge in face.box) for face in faces]
    for face, box in zip(faces, boxes, strict=True):
        pen.rectangle(box, outline=_HALO, width=4)
        pen.rectangle(box, outline='white', width=2)
        radius = float(np.clip((box[2] - box[0]) / 150, 0.8, 2.2))
        for x, y in face.points * scale:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill='#4fe0d2')
    font = ImageFont.load_default(16)
    for number, box in enumerate(boxes, start=1):
        left, top = _tag_place(box, boxes, size)
        pen.rounded_rectangle((left, top, left + _TAG, top + _TAG), 5, fill='#1b1d21')
        pen.text((left + _TAG / 2, top + _TAG / 2), str(number), 'white', font, anchor='mm')
    return shown


_TAG = 24


def _tag_place(box: Box, boxes: Sequence[Box], size: tuple[int, int]) -> tuple[float, float]:
    """A corner outside of the box where the number covers no face, or the one that covers least."""
    x0, y0, x1, y1 = box
    sides = (x0 - _TAG - 4, x1 + 4)
    corners = [(x0, y1 + 6), (x1 - _TAG, y1 + 6)]
    corners += [(side, level) for level in (y1 - _TAG, (y0 + y1) / 2, y0) for side in sides]
    inside = [(min(max(x, 0), size[0] - _TAG), min(max(y, 0), size[1] - _TAG)) for x, y in corners]
    # Landmarks end at the brows; the forehead is above.
    heads = [(a, b - 0.45 * (d - b), c, d) for a, b, c, d in boxes]
    return min(inside, key=lambda corner: sum(_common(corner, head) for head in heads))


def _common(corner: tuple[float, float], box: Box) -> float:
    width = min(corner[0] + _TAG, box[2]) - max(corner[0], box[0])
    height = min(corner[1] + _TAG, box[3]) - max(corner[1], box[1])
    return max(width, 0.0) * max(height, 0.0)


class _Pen:
    """Draws a panel from its top to its bottom."""

    def __init__(self) -> None:
        self._sheet = Image.new('RGB', (_PANEL, 2400), _PAPER)
        self._draw = ImageDraw.Draw(self._sheet)
        self._top = 0

    def text(self, text: str, size: int, colour: str, *, above: int = 0) -> None:
        """Lines of text."""
        self._top += above
        for line in text.split('\n'):
            self._draw.text((0, self._top), line, colour, ImageFont.load_default(size))
            self._top += round(size * _LINE)

    def bar(self, label: str, share: float, colour: str) -> None:
        """A label, a bar and the number."""
        font = ImageFont.load_default(_SMALL + 1)
        middle = self._top + 9
        self._draw.text((0, middle), label, _INK, font, anchor='lm')
        left, right = 178, _PANEL - 44
        self._draw.rounded_rectangle((left, middle - 4, right, middle + 4), 4, fill=_TRACK)
        end = left + share * (right - left)
        if end - left > 8:
            self._draw.rounded_rectangle((left, middle - 4, end, middle + 4), 4, fill=colour)
        elif share > 0.005:
            self._draw.ellipse((left, middle - 4, left + 8, middle + 4), fill=colour)
        self._draw.text((_PANEL, middle), f'{share:.2f}', _SOFT, font, anchor='rm')
        self._top += 19

    def done(self) -> Image.Image:
        """What was drawn."""
        return self._sheet.crop((0, 0, _PANEL, min(self._top + 4, self._sheet.height)))


def _panel(number: int, face: FaceAnswer) -> Image.Image:
    pen = _Pen()
    pen.text(f'{number}  {face.emotion}' if face.emotion else f'Face {number}', _TITLE, _INK)
    likely = sorted(face.emotions.items(), key=lambda item: -item[1])
    for name, share in likely[:_SHOWN_EMOTIONS]:
        pen.bar(name, share, _EMOTION)
    if face.emotion_text:
        pen.text(_wrapped(face.emotion_text), _SMALL, _SOFT, above=4)
    shown = sorted(face.aus, key=lambda au: -face.aus[au])[:_SHOWN_AUS]
    if shown:
        active = ', '.join(f'AU{au}' for au in face.active_aus) or 'no action unit'
        pen.text(active, _TEXT, _INK, above=10)
    for au in sorted(shown):
        pen.bar(f'AU{au} {AU_NAMES[au]}', face.aus[au], _AU)
    if face.au_text:
        pen.text(_wrapped(face.au_text), _SMALL, _SOFT, above=4)
    for question, answer in face.answers.items():
        pen.text(_wrapped(question), _TEXT, _INK, above=8)
        pen.text(_wrapped(answer), _SMALL, _SOFT)
    for flag in face.flags:
        pen.text(_wrapped(f'Note: {flag}'), _SMALL, _WARN, above=4)
    return pen.done()


def _note(text: str) -> Image.Image:
    pen = _Pen()
    pen.text(text, _TEXT, _SOFT)
    return pen.done()


def _wrapped(text: str) -> str:
    return '\n'.join(
        line
        for paragraph in text.split('\n')
        for line in textwrap.wrap(paragraph, _CHARACTERS) or ['']
    )
