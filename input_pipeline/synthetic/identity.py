"""Who a face is: the shape of the head and its colours, drawn from a seed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from input_pipeline.synthetic.rig import Rig

Colour = tuple[float, float, float]
"""Linear (not gamma-coded) red, green and blue reflectance in 0..1."""

HAIR_STYLES = ('bald', 'buzz', 'short', 'long')

_ANCESTRIES = ('african', 'asian', 'caucasian')
_SKIN_TONES = np.array(
    [
        [0.80, 0.56, 0.46],
        [0.74, 0.47, 0.34],
        [0.60, 0.35, 0.23],
        [0.42, 0.23, 0.14],
        [0.24, 0.12, 0.075],
        [0.13, 0.065, 0.042],
    ]
)
_HAIR_COLOURS = np.array(
    [
        [0.012, 0.009, 0.008],
        [0.045, 0.024, 0.014],
        [0.11, 0.055, 0.025],
        [0.30, 0.19, 0.09],
        [0.20, 0.06, 0.025],
    ]
)
_IRIS_COLOURS = np.array(
    [
        [0.05, 0.022, 0.01],
        [0.11, 0.055, 0.02],
        [0.10, 0.15, 0.22],
        [0.12, 0.15, 0.08],
        [0.16, 0.17, 0.17],
    ]
)
_HAIR_ODDS = {False: (0.55, 0.25, 0.12, 0.05, 0.03), True: (0.15, 0.30, 0.28, 0.20, 0.07)}
_IRIS_ODDS = {False: (0.7, 0.3, 0.0, 0.0, 0.0), True: (0.25, 0.25, 0.25, 0.15, 0.10)}

# Standard deviation of the targets of each folder, in target weights.
_SPREAD = {
    'head': 0.12,
    'nose': 0.28,
    'eyes': 0.22,
    'chin': 0.28,
    'mouth': 0.25,
    'cheek': 0.28,
    'forehead': 0.2,
    'eyebrows': 0.22,
}
_LARGEST_WEIGHT = 0.75
_NEGATIVE = re.compile(r'-(decr|in|down|backward|concave|compress)$')
_ENDING = re.compile(
    r'-(decr|incr|in|out|up|down|forward|backward|concave|convex|compress|uncompress)$'
)
# Moves of the whole head or of one part sideways, and shapes that read as an expression.
_LEFT_OUT = re.compile(
    r'head-trans|head-angle|mouth-trans-(in|out)|nose-trans-(in|out)|measure|mouth-dimples|laugh-lines'
    r'|head-scale-vert|head-triangular|head-invertedtriangular|head-diamond|head-age|eye-bag'
)
# Shapes that imitate an expression: kept, but small.
_DAMPED = re.compile(
    r'mouth-angles|lip-ext|lip-middle|eyebrows-angle|eyebrows-trans|eye-corner|mouth-trans|eye-push'
    r'|eye-height|lip-volume|head-scale-horiz|jaw-drop|prognathism|nose-scale-vert|forehead-scale'
    r'|cleft|eyefold|lip-height'
)
_DAMPING = 0.4


@dataclass(frozen=True)
class Identity:
    """A person.

    Attributes:
      seed: what the person was drawn from.
      shape: weights of rig targets.
      sex: 0 female .. 1 male; `age`: 0 young .. 1 old; `tone`: 0 light .. 1 dark skin.
      skin, lips, hair, brow, iris, cloth: colours.
      lip_colour: 0..1, how far the lips differ from the skin.
      brow_thickness, beard, lashes, freckles: 0..1.
      hair_style: one of `HAIR_STYLES`.
      parting: -1..1, where the hairline is shifted to.
    """

    seed: int
    shape: dict[str, float]
    sex: float
    age: float
    tone: float
    skin: Colour
    lips: Colour
    hair: Colour
    brow: Colour
    iris: Colour
    cloth: Colour
    lip_colour: float
    brow_thickness: float
    beard: float
    lashes: float
    freckles: float
    hair_style: str
    parting: float


def sample_identity(rig: Rig, seed: int) -> Identity:
    """Draws a person; the same seed gives the same person."""
    rng = np.random.default_rng([seed, 1])
    ancestry = rng.dirichlet([0.45] * 3)
    sex, age = float(rng.beta(0.5, 0.5)), float(rng.beta(1.1, 1.6))
    shape = _build_weights(rng, ancestry, sex, age) | _feature_weights(rig, rng)
    tone = float(np.clip(ancestry @ [0.85, 0.33, 0.15] + rng.normal(0, 0.10), 0, 1))
    skin = _skin_colour(tone) * rng.uniform(0.92, 1.08)
    european = bool(ancestry[2] >= 0.5)
    grey = float(np.clip((age - 0.45) * 2.2, 0, 1) * rng.random())
    pigment = _HAIR_COLOURS[rng.choice(5, p=_HAIR_ODDS[european])]
    hair = pigment * (1 - grey) + np.array([0.42, 0.41, 0.40]) * grey
    brow = np.minimum(pigment, [0.10, 0.055, 0.03]) * 0.8 * (1 - grey * 0.5) + 0.08 * grey
    lipstick = sex < 0.45 and rng.random() < 0.2
    painted = np.array([0.50, 0.10, 0.10]) * rng.uniform(0.9, 1.2)
    return Identity(
        seed=seed,
        shape={name: weight for name, weight in shape.items() if abs(weight) > 1e-3},
        sex=sex,
        age=age,
        tone=tone,
        skin=_colour(skin),
        lips=_colour(painted if lipstick else skin * [0.80, 0.50, 0.52]),
        hair=_colour(hair),
        brow=_colour(brow),
        iris=_colour(_IRIS_COLOURS[rng.choice(5, p=_IRIS_ODDS[european])]),
        cloth=_colour(rng.uniform(0.02, 0.6, 3)),
        lip_colour=0.75 if lipstick else 0.85,
        brow_thickness=float(np.clip(sex * 0.8 + rng.normal(0, 0.25), 0, 1)),
        beard=float(sex > 0.6) * float(rng.choice([0, 0, 0, 0.3, 0.6])),
        lashes=1 - sex,
        freckles=float(rng.random() < 0.2) * float(rng.uniform(0.3, 1)) * float(tone < 0.3),
        hair_style=_hair_style(rng, sex, age),
        parting=float(rng.uniform(-1, 1)),
    )


def _build_weights(
    rng: np.random.Generator, ancestry: NDArray[np.float64], sex: float, age: float
) -> dict[str, float]:
    """Weights of ancestry x sex x age and of muscle x weight, each a partition of one."""
    muscle, weight = rng.normal(0, 0.35), rng.normal(0, 0.35)
    sexes = {'female': 1 - sex, 'male': sex}
    ages = {'young': 1 - 0.85 * age, 'old': 0.85 * age}
    weights = {}
    for origin, share in zip(_ANCESTRIES, ancestry, strict=True):
        for gender, s in sexes.items():
            for era, a in ages.items():
                weights[f'macro/{origin}-{gender}-{era}'] = float(share * s * a)
    for gender, s in sexes.items():
        for era, a in ages.items():
            for m, muscle_share in _split(muscle, 'muscle').items():
                for w, weight_share in _split(weight, 'weight').items():
                    name = f'build/{gender}-{era}-{m}-{w}'
                    weights[name] = float(s * a * muscle_share * weight_share)
    return weights


def _split(value: float, what: str) -> dict[str, float]:
    low, high = min(max(-value, 0.0), 1.0), min(max(value, 0.0), 1.0)
    return {f'min{what}': low, f'max{what}': high, f'average{what}': 1 - low - high}


def _feature_weights(rig: Rig, rng: np.random.Generator) -> dict[str, float]:
    """Random weights of the pairs of opposite targets; both sides of a face get the same ones."""
    pairs: dict[str, list[str]] = {}
    for name in map(str, rig.target_names):
        folder = name.split('/')[0]
        if folder in _SPREAD and not _LEFT_OUT.search(name):
            pairs.setdefault(re.sub(r'/[lr]-', '/', _ENDING.sub('', name)), []).append(name)
    weights = {}
    for base, names in pairs.items():
        value = rng.normal(0, _SPREAD[base.split('/')[0]])
        value *= _DAMPING if _DAMPED.search(base) else 1.0
        value = float(np.clip(value, -_LARGEST_WEIGHT, _LARGEST_WEIGHT))
        negative = [name for name in names if _NEGATIVE.search(name)]
        positive = [name for name in names if name not in negative]
        if not negative:
            weights.update({name: 0.8 * abs(value) for name in positive})
        else:
            weights.update({name: abs(value) for name in (negative if value < 0 else positive)})
    return weights


def _skin_colour(tone: float) -> NDArray[np.float64]:
    stops = np.linspace(0, 1, len(_SKIN_TONES))
    return np.array([np.interp(tone, stops, _SKIN_TONES[:, c]) for c in range(3)])


def _hair_style(rng: np.random.Generator, sex: float, age: float) -> str:
    draw = rng.random()
    if sex > 0.6:
        bald = 0.08 + 0.12 * age
        return 'bald' if draw < bald else ('buzz' if draw < 0.45 else 'short')
    return 'short' if draw < 0.35 else 'long'


def _colour(value: NDArray[np.float64]) -> Colour:
    return tuple(np.clip(value, 0, 1).astype(float).tolist())  # type: ignore[return-value]
