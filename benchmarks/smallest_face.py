"""Prints the smallest face that is found in photos of several shapes.

    python benchmarks/smallest_face.py

A rendered face is pasted into grey photos, smaller and smaller, at three places of each. A size
counts as found if there is exactly one face, where it is, at all three.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
from landmarks import rendered_faces

from emola_jax.experts.finder import FaceFinder

SHAPES = ((3000, 2000), (12000, 8000), (12000, 2000), (12000, 900))
_SHARES = (0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03)
_PLACES = ((0.13, 0.2), (0.47, 0.5), (0.8, 0.9))
_GREY = 120


def main() -> None:
    """One line a shape: the last share of the shorter side at which all faces were found."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    finder = FaceFinder.load()
    (picture, *_), (landmarks, *_) = rendered_faces('test', 1)
    points = (landmarks.reshape(-1, 2) + 1) / 2  # shares of the picture's side
    print('| photo | smallest face found (height of its landmarks) | of the shorter side |')
    print('| --- | --: | --: |')
    for width, height in SHAPES:
        share = smallest(finder, picture, points, width, height)
        print(f'| {width} x {height} | {share * height:.0f} pixels | {100 * share:.0f} % |')


def smallest(
    finder: FaceFinder, picture: np.ndarray, points: np.ndarray, width: int, height: int
) -> float:
    """Height of the smallest face that is found, as a share of the photo's shorter side."""
    tall = float(np.ptp(points[:, 1]))
    found = float('nan')
    for share in _SHARES:
        side = round(share * min(width, height) / tall)
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        for across, down in _PLACES:
            left, top = round((width - side) * across), round((height - side) * down)
            photo = np.full((height, width, 3), _GREY, np.uint8)
            photo[top : top + side, left : left + side] = small
            (faces,) = finder.find([photo])
            middle = points.mean(axis=0) * side + (left, top)
            off = [np.linalg.norm(face.points.mean(axis=0) - middle) for face in faces]
            if len(off) != 1 or off[0] > 0.2 * share * min(width, height):
                return found
        found = share
    return found


if __name__ == '__main__':
    main()
