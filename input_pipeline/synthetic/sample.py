"""What a face shows: seeded draws of emotion, action units, pose, light and camera."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emola_jax.facs import EMOTIONS
from input_pipeline.synthetic.action_units import (
    PROTOTYPES,
    SUPPORTED_AUS,
    AuIntensities,
    conflicting,
    present_aus,
)
from input_pipeline.synthetic.shading import Light, Lighting

WEAKEST = 0.45
"""A drawn action unit has at least this intensity on its stronger side, others have exactly 0."""

_ASYMMETRIC_SHARE = 0.25
_ONE_SIDED = (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 20)
_EXTRA_COUNT_ODDS = (0.15, 0.45, 0.40)
# Rare ones are drawn more often.
_EXTRA_WEIGHT = {14: 2.2, 24: 2.2, 23: 1.3, 10: 1.8, 17: 1.3, 20: 1.5, 6: 1.3}

STUDIO = Lighting(
    lights=(
        Light((-0.45, 0.5, 0.74), (0.78, 0.76, 0.72)),
        Light((0.7, 0.1, 0.5), (0.20, 0.21, 0.24)),
    ),
    sky=(0.30, 0.31, 0.33),
    ground=(0.17, 0.155, 0.145),
)
"""Plain light for contact sheets."""


@dataclass(frozen=True)
class FaceSpec:
    """Everything that a rendered face depends on.

    Attributes:
      identity_seed: who it is (see `identity.sample_identity`).
      emotion: 0..6, index in `emola_jax.facs.EMOTIONS`.
      aus: FACS number -> (left, right) intensity in 0..1, the subject's left; absent = not listed.
      yaw, pitch, roll: degrees; positive yaw turns the face to the right of the picture.
      gaze: radians the eyes look to the subject's left and up.
      lighting: the lights.
      frame: height of the frame, 1 = tight around the face.
      shift: offset of the face in parts of the picture, right and down.
      exposure: factor on linear light.
      noise: standard deviation of the sensor's noise, in parts of white.
      background_seed: backdrop and noise.
    """

    identity_seed: int
    emotion: int = 4
    aus: AuIntensities = field(default_factory=dict)
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    lighting: Lighting = STUDIO
    frame: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    exposure: float = 1.0
    noise: float = 0.0
    background_seed: int = 0

    @property
    def present(self) -> tuple[int, ...]:
        """The label: action units that are present, ascending."""
        return present_aus(self.aus)


def sample_face(
    seed: int,
    identity_seed: int,
    *,
    emotion: int | None = None,
    au_list: tuple[int, ...] = SUPPORTED_AUS,
) -> FaceSpec:
    """Draws a face of the person `identity_seed`; the same arguments give the same face.

    Args:
      seed: number of the face.
      identity_seed: who it is.
      emotion: label 0..6; None draws one.
      au_list: action units that may appear; those of an emotion that it lacks are left out.
    """
    rng = np.random.default_rng([seed, identity_seed, 6])
    drawn = int(rng.integers(len(EMOTIONS)))
    emotion = drawn if emotion is None else emotion
    strengths = draw_action_units(rng, EMOTIONS[emotion])
    aus = _sides(rng, {au: s for au, s in strengths.items() if au in au_list})
    return FaceSpec(
        identity_seed=identity_seed,
        emotion=emotion,
        aus=aus,
        yaw=float(np.clip(rng.normal(0, 8), -22, 22)),
        pitch=float(np.clip(rng.normal(-1, 3.5), -9, 7)),
        roll=float(np.clip(rng.normal(0, 3), -8, 8)),
        gaze=(float(rng.normal(0, 0.08)), float(rng.normal(0, 0.04))),
        lighting=sample_lighting(rng),
        frame=float(rng.uniform(0.97, 1.06)),
        shift=(float(rng.normal(0, 0.01)), float(rng.normal(0, 0.01))),
        exposure=float(rng.uniform(0.9, 1.15)),
        noise=float(rng.uniform(0.004, 0.012)),
        background_seed=int(rng.integers(1 << 30)),
    )


def draw_action_units(rng: np.random.Generator, emotion: str) -> dict[int, float]:
    """Intensities of an emotion's action units and of random extras, each in WEAKEST..1."""
    prototype = PROTOTYPES[emotion]
    vigour = rng.uniform(0.65, 1.0)
    relative = dict(prototype.core)
    for group in prototype.one_of:
        relative[int(rng.choice(group))] = 0.9
    for au, (probability, strength) in prototype.optional.items():
        if rng.random() < probability and not conflicting(au, relative):
            relative[au] = strength
    drawn = {au: vigour * strength * rng.uniform(0.85, 1.15) for au, strength in relative.items()}
    for _ in range(int(rng.choice(3, p=_EXTRA_COUNT_ODDS))):
        free = [au for au in prototype.extras if au not in drawn and not conflicting(au, drawn)]
        if free:
            odds = np.array([_EXTRA_WEIGHT.get(au, 1.0) for au in free])
            drawn[int(rng.choice(free, p=odds / odds.sum()))] = rng.uniform(0.5, 1.0)
    if 26 in drawn:
        # A dropped jaw parts the lips, so the picture shows both.
        drawn[25] = max(drawn.get(25, 0.0), 0.5)
    return {au: float(np.clip(drawn[au], WEAKEST, 1.0)) for au in sorted(drawn)}


def _sides(rng: np.random.Generator, strengths: dict[int, float]) -> dict[int, tuple[float, float]]:
    """Left and right intensities: on a quarter of the faces one side is weaker or still."""
    if rng.random() >= _ASYMMETRIC_SHARE:
        return {au: (value, value) for au, value in strengths.items()}
    left_is_weak = rng.random() < 0.5
    weaker = rng.uniform(0.0, 0.6)
    sides = {}
    for au, value in strengths.items():
        weak = value * (weaker if au in _ONE_SIDED else 1.0)
        sides[au] = (weak, value) if left_is_weak else (value, weak)
    return sides


def sample_lighting(rng: np.random.Generator) -> Lighting:
    """A key light from the front half, a dim fill light from the other side, and ambient light."""
    turn, height = rng.uniform(-0.7, 0.7), rng.uniform(0.15, 0.8)
    key = (np.sin(turn) * np.cos(height), np.sin(height), np.cos(turn) * np.cos(height))
    fill = (-0.9 * np.sin(turn), 0.1, 0.5)
    key_colour = (np.array([1, 0.97, 0.92]) + rng.normal(0, 0.04, 3)) * rng.uniform(0.65, 0.9)
    fill_colour = (np.array([0.95, 1, 1.05]) + rng.normal(0, 0.03, 3)) * rng.uniform(0.12, 0.3)
    ambient = rng.uniform(0.75, 1.2)
    return Lighting(
        lights=(
            Light(_triple(key), _triple(key_colour)),
            Light(_triple(fill), _triple(fill_colour)),
        ),
        sky=_triple(np.array(STUDIO.sky) * ambient),
        ground=_triple(np.array(STUDIO.ground) * ambient),
    )


def _triple(values: object) -> tuple[float, float, float]:
    first, second, third = (float(v) for v in np.asarray(values, float))
    return first, second, third
