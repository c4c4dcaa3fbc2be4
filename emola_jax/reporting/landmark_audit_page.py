"""The page of an audit: how far the files are from their pictures, and the farthest ones drawn."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from emola_jax.experts.pictures import read_picture
from emola_jax.files.json_values import JsonObject
from emola_jax.files.names import readable
from emola_jax.files.whole import write_text
from emola_jax.reporting import charts, landmark_audit
from emola_jax.reporting.landmark_audit import SAME_FACE, STATUSES, Finding, worst_first
from input_pipeline.landmarks import POINTS

_PICTURE = 300  # pixels a side
_BINS = 40
_STORED, _EXTRACTED = 'stored', 'extracted'


def write_page(path: Path, findings: Sequence[Finding], *, expert: str, worst: int) -> None:
    """Writes one HTML file that needs nothing but itself.

    Args:
      path: of the file.
      findings: of the audit.
      expert: what the points were extracted with, in words.
      worst: how many pictures to draw.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('emola_jax.reporting'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    distances = np.array([finding.distance for finding in worst_first(findings)])
    page = environment.get_template('landmark_audit.html').render(
        files=len(findings),
        expert=expert,
        rows=[
            (status, n, STATUSES[status]) for status, n in landmark_audit.counts(findings).items()
        ],
        compared=len(distances),
        median=float(np.median(distances)) if len(distances) else None,
        limit=SAME_FACE,
        histogram=_histogram(distances),
        cards=[_card(finding) for finding in worst_first(findings)[:worst]],
    )
    write_text(path, page)


def _histogram(distances: np.ndarray) -> Markup:
    """Up to four times the limit; the last column also counts what is beyond that."""
    if not len(distances):
        return Markup('<p class="quiet">nothing was compared</p>')
    top = min(4 * SAME_FACE, max(float(distances.max()), 1.2 * SAME_FACE))
    counts, edges = np.histogram(np.minimum(distances, top), bins=_BINS, range=(0.0, top))
    return charts.histogram(
        edges.tolist(), counts.tolist(), label='distance in outer-eye distances', limit=SAME_FACE
    )


def _card(finding: Finding) -> JsonObject:
    assert finding.stored is not None and finding.extracted is not None
    photo = read_picture(finding.item.image)
    return {
        'name': readable(finding.item.landmarks.name),
        'title': readable(finding.item.landmarks),
        'status': finding.status,
        'distance': finding.distance,
        'picture': _picture(photo),
        'points': _points(finding.extracted, _EXTRACTED) + _points(finding.stored, _STORED),
        'size': _PICTURE,
    }


def _picture(photo: np.ndarray) -> str:
    """The photo padded to a square, as a data URI."""
    height, width = photo.shape[:2]
    scale = _PICTURE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    square = np.full((_PICTURE, _PICTURE, 3), 128, np.uint8)
    top, left = (_PICTURE - size[1]) // 2, (_PICTURE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    encoded = cv2.imencode('.jpg', square[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return 'data:image/jpeg;base64,' + base64.b64encode(encoded.tobytes()).decode('ascii')


def _points(landmarks: np.ndarray, kind: str) -> Markup:
    places = (landmarks.reshape(POINTS, 2) + 1) / 2 * _PICTURE
    dots = ''.join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.9"/>' for x, y in places)
    return Markup(f'<g class="{kind}">{dots}</g>')
