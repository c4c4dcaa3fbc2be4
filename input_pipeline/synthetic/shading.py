"""Light on skin, eyes, teeth and hair: per-pixel colours from material, normal and lights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from input_pipeline.synthetic.identity import Colour, Identity
from input_pipeline.synthetic.rig import EYE, INNER_MOUTH, LASHES, SKIN, TEETH, TONGUE

Pixels = NDArray[np.float32]

# Strength and exponent of the highlight of each material; hair has its own.
_GLOSS = {
    SKIN: (0.09, 16.0),
    EYE: (0.6, 350.0),
    INNER_MOUTH: (0.15, 40.0),
    TONGUE: (0.15, 40.0),
    LASHES: (0.0, 1.0),
    TEETH: (0.25, 50.0),
}
_HAIR_GLOSS = (0.10, 10.0)
# How far light creeps around the terminator in red, green and blue: skin scatters red the farthest.
_SKIN_WRAP = (0.30, 0.14, 0.10)
_PLAIN_WRAP = (0.14, 0.14, 0.14)
_IRIS_ANGLE = 0.50
_PUPIL_ANGLE = 0.20
_SCLERA = (0.80, 0.77, 0.74)
_TOOTH = (0.80, 0.76, 0.66)
_GUM = (0.45, 0.16, 0.15)


@dataclass(frozen=True)
class Light:
    """A distant light.

    Attributes:
      direction: towards the light, in camera axes (x right, y up, z to the camera); any length.
      colour: linear red, green, blue.
    """

    direction: tuple[float, float, float]
    colour: Colour


@dataclass(frozen=True)
class Lighting:
    """All light in a scene: lights, and the sky's and the ground's ambient colour."""

    lights: tuple[Light, ...]
    sky: Colour
    ground: Colour


def shade(
    albedo: Pixels,
    normal: Pixels,
    occlusion: Pixels,
    material: NDArray[np.uint8],
    hair: Pixels,
    lighting: Lighting,
) -> Pixels:
    """Linear colours of N pixels.

    Args:
      albedo: float32[N, 3].
      normal: float32[N, 3], unit, camera axes.
      occlusion: float32[N], 0 hidden .. 1 open to the sky.
      material: uint8[N].
      hair: float32[N], 0 skin .. 1 hair.
      lighting: the lights.

    Returns:
      float32[N, 3].
    """
    strength = np.array([_GLOSS[m][0] for m in sorted(_GLOSS)], np.float32)[material]
    exponent = np.array([_GLOSS[m][1] for m in sorted(_GLOSS)], np.float32)[material]
    strength += hair * (_HAIR_GLOSS[0] - strength)
    exponent += hair * (_HAIR_GLOSS[1] - exponent)
    soft = ((material == SKIN) * (1 - hair)).astype(np.float32)

    up = 0.5 + 0.5 * normal[:, 1]
    open_sky = occlusion * up
    hidden = occlusion - open_sky
    diffuse = [
        open_sky * np.float32(s) + hidden * np.float32(g)
        for s, g in zip(lighting.sky, lighting.ground, strict=True)
    ]
    highlight = np.zeros(len(albedo), np.float32)
    shadow = 0.35 + 0.65 * occlusion
    for light in lighting.lights:
        direction = np.array(light.direction, np.float32)
        direction /= np.linalg.norm(direction)
        facing = normal @ direction
        for channel, (skin_wrap, wrap) in enumerate(zip(_SKIN_WRAP, _PLAIN_WRAP, strict=True)):
            around = wrap + soft * np.float32(skin_wrap - wrap)
            lit = np.maximum((facing + around) / (1 + around), 0)
            diffuse[channel] += lit * shadow * np.float32(light.colour[channel])
        halfway = direction + np.array([0, 0, 1], np.float32)
        halfway /= np.linalg.norm(halfway)
        gleam = np.maximum(normal @ halfway, 1e-4) ** exponent
        highlight += gleam * strength * occlusion * (facing > 0) * np.float32(light.colour[1])
    rim = (1 - np.maximum(normal[:, 2], 0)) ** 4 * 0.06 * occlusion * soft
    return albedo * np.stack(diffuse, -1) + (highlight + rim)[:, None]


def eye_albedo(direction: Pixels, gaze: tuple[float, float], person: Identity) -> Pixels:
    """Colours of the eyeball, float32[N, 3]: white, iris with its dark rim, pupil.

    Args:
      direction: float32[N, 3], from the eyeball's centre, in the head's axes.
      gaze: radians the eye looks to the subject's left and up.
      person: for the colour of the iris.
    """
    across, up = gaze
    axis = np.array([np.sin(across), np.sin(up), np.cos(across) * np.cos(up)], np.float32)
    unit = direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
    angle = np.arccos(np.clip(unit @ axis, -1, 1))
    spoke = np.arctan2(unit[:, 1] - axis[1], unit[:, 0] - axis[0])
    colour = np.array(_SCLERA, np.float32) * (
        1 - np.clip(angle - 0.7, 0, 1)[:, None] * np.array([0.2, 0.45, 0.45], np.float32)
    )
    fibre = (1 + 0.35 * np.sin(23 * spoke + 3 * np.sin(7 * spoke))) * (1 + angle)
    iris = np.clip((_IRIS_ANGLE - angle) / 0.04, 0, 1)[:, None]
    colour += iris * (fibre[:, None] * np.array(person.iris, np.float32) - colour)
    rim = 0.6 * np.clip(1 - np.abs(angle - 0.47) / 0.05, 0, 1) * (angle < 0.55)
    colour *= (1 - rim)[:, None]
    pupil = np.clip((_PUPIL_ANGLE - angle) / 0.03, 0, 1)[:, None]
    return (colour * (1 - pupil) + 0.004).astype(np.float32)


def tooth_albedo(position: Pixels) -> Pixels:
    """Colours of the teeth, float32[N, 3], from (place along the arch, height from the gum).

    The place runs from -1 to 1; the height is 0 at the gum and 1 at the biting edge.
    """
    along, height = position[:, 0], np.clip(position[:, 1], 0, 1)
    gap = np.abs(np.sin(np.pi * 7.0 * along)) ** 0.35
    gum_line = 0.30 + 0.10 * (1 - gap)
    tooth = np.clip((height - gum_line) / 0.10, 0, 1)
    shine = (0.72 + 0.28 * gap) * np.clip(1.05 - 0.75 * np.abs(along), 0.2, 1)
    colour = np.array(_GUM, np.float32) + tooth[:, None] * np.array(
        [t - g for t, g in zip(_TOOTH, _GUM, strict=True)], np.float32
    )
    return (colour * shine[:, None]).astype(np.float32)
