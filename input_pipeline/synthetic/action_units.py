"""Action units: what each one does to the mesh and to the skin, and how emotions combine them.

An intensity is 0 (absent) to 1 (the strongest, FACS E). A face unit of the rig moves the mesh; a
wrinkle of `input_pipeline.synthetic.wrinkles` appears in the skin. Several action units show more
in the skin than in the shape, as they do on people: crow's feet (AU6), the wrinkled nose (AU9),
dimples (AU14), the pebbled chin (AU17), lines through or pale pressed lips (AU23, AU24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emola_jax.facs import EMOTIONS

AuIntensities = Mapping[int, tuple[float, float]]
"""FACS number -> (left, right) intensity in 0..1; left is the subject's left."""

SUPPORTED_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26)

PRESENCE = 0.25
"""An action unit is present where the stronger side reaches this intensity."""


@dataclass(frozen=True)
class AuAppearance:
    """What one action unit does at full intensity.

    Attributes:
      paired: face units with a Left and a Right target -> weight.
      single: face units with one target -> weight (driven by the mean of the sides).
      split: face units with one target whose halves are driven apart -> weight.
      wrinkles: names in `wrinkles.WRINKLES` -> strength.
    """

    paired: Mapping[str, float] = field(default_factory=dict)
    single: Mapping[str, float] = field(default_factory=dict)
    split: Mapping[str, float] = field(default_factory=dict)
    wrinkles: Mapping[str, float] = field(default_factory=dict)


APPEARANCE: dict[int, AuAppearance] = {
    1: AuAppearance(split={'browInnerUp': 1.45}, wrinkles={'forehead_inner': 1.0}),
    2: AuAppearance(paired={'browOuterUp': 1.1}, wrinkles={'forehead_outer': 1.0}),
    4: AuAppearance(
        paired={'browDown': 1.0}, split={'browInnerUp': -0.35}, wrinkles={'glabella': 1.0}
    ),
    5: AuAppearance(paired={'eyeWide': 1.25}),
    6: AuAppearance(
        paired={'cheekSquint': 0.7, 'eyeSquint': 0.2},
        wrinkles={'crow_feet': 1.0, 'cheek_raise': 1.0},
    ),
    7: AuAppearance(paired={'eyeSquint': 1.15}, wrinkles={'lid_tight': 1.0}),
    9: AuAppearance(
        paired={'noseSneer': 0.9, 'browDown': 0.2}, wrinkles={'nose': 1.0, 'nose_wing': 0.8}
    ),
    10: AuAppearance(paired={'mouthUpperUp': 0.55}, wrinkles={'nasolabial_upper': 1.0}),
    12: AuAppearance(paired={'mouthSmile': 1.0}, wrinkles={'nasolabial': 0.9}),
    14: AuAppearance(paired={'mouthDimple': 0.6}, wrinkles={'dimple': 1.0}),
    15: AuAppearance(paired={'mouthFrown': 1.1}, wrinkles={'marionette': 0.8}),
    17: AuAppearance(
        single={'mouthShrugLower': 0.7, 'mouthShrugUpper': 0.15}, wrinkles={'chin': 1.0}
    ),
    20: AuAppearance(paired={'mouthStretch': 0.95}, wrinkles={'mouth_sides': 1.0}),
    23: AuAppearance(
        paired={'mouthPress': 0.2}, single={'mouthPucker': 0.25}, wrinkles={'lip_lines': 1.0}
    ),
    24: AuAppearance(
        paired={'mouthPress': 0.5},
        single={'mouthRollUpper': 0.15, 'mouthRollLower': 0.2},
        wrinkles={'lip_press': 1.0},
    ),
    25: AuAppearance(paired={'mouthLowerDown': 0.7, 'mouthUpperUp': 0.35}, single={'jawOpen': 0.1}),
    26: AuAppearance(single={'jawOpen': 0.55}),
}
"""How each supported action unit looks."""

# A jaw that hangs open pulls pressed lips apart.
_OPEN_MOUTH_DAMPING = {'mouthPress': 0.3, 'mouthRollUpper': 0.3, 'mouthRollLower': 0.3}
_LARGEST_FACE_UNIT = 1.8


@dataclass(frozen=True)
class EmotionPrototype:
    """Action units of an emotion, after EMFACS (Friesen & Ekman, 1983).

    Attributes:
      core: action units that every such face shows -> relative strength.
      optional: -> (probability, relative strength).
      one_of: groups of which exactly one action unit is drawn.
      extras: action units that may be added at random without making it another emotion.
    """

    core: Mapping[int, float] = field(default_factory=dict)
    optional: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    one_of: tuple[tuple[int, ...], ...] = ()
    extras: tuple[int, ...] = ()


PROTOTYPES: dict[str, EmotionPrototype] = {
    'happiness': EmotionPrototype(
        core={6: 1.0, 12: 1.0},
        optional={25: (0.5, 0.8)},
        extras=(1, 2, 7, 14, 17, 23, 24, 26),
    ),
    'sadness': EmotionPrototype(
        core={1: 1.0, 4: 0.7, 15: 1.0},
        optional={17: (0.4, 0.8)},
        extras=(6, 7, 10, 14, 20, 23, 24, 25),
    ),
    'surprise': EmotionPrototype(core={1: 1.0, 2: 1.0, 5: 0.8, 26: 1.0}, extras=(6, 10, 14)),
    'anger': EmotionPrototype(
        core={4: 1.0, 5: 0.8, 7: 0.8},
        one_of=((23, 24),),
        extras=(2, 6, 10, 14, 17),
    ),
    'neutral': EmotionPrototype(extras=(2, 7, 14, 17, 23, 24, 25)),
    'disgust': EmotionPrototype(
        core={9: 1.0},
        optional={4: (0.3, 0.6), 7: (0.3, 0.7), 17: (0.3, 0.8), 25: (0.25, 0.6)},
        one_of=((10, 15),),
        extras=(6, 14, 20, 23, 24),
    ),
    'fear': EmotionPrototype(
        core={1: 1.0, 2: 0.8, 4: 0.7, 5: 1.0, 20: 1.0},
        optional={25: (0.6, 0.8), 26: (0.4, 0.7)},
        extras=(6, 7, 10, 17),
    ),
}
"""Emotion name -> prototype; the names are those of `emola_jax.facs.EMOTIONS`."""

assert tuple(PROTOTYPES) == EMOTIONS

# Pairs that one face cannot show at once (or that would hide each other).
# fmt: off
CONFLICTS: frozenset[frozenset[int]] = frozenset(frozenset(pair) for pair in (
    (23, 24), (23, 25), (24, 25), (23, 26), (24, 26), (17, 26), (17, 25),
    (12, 15), (12, 20), (14, 20), (10, 23), (10, 24), (20, 23), (20, 24),
))
# fmt: on


def conflicting(au: int, others: Mapping[int, object]) -> bool:
    """Whether `au` cannot appear together with one of `others`."""
    return any(frozenset((au, other)) in CONFLICTS for other in others)


def present_aus(aus: AuIntensities) -> tuple[int, ...]:
    """The label: action units whose stronger side reaches `PRESENCE`, ascending."""
    return tuple(au for au in sorted(aus) if max(aus[au]) >= PRESENCE)


def face_unit_weights(
    aus: AuIntensities,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Weights of the rig's face units.

    Args:
      aus: intensities; action units that are not in `APPEARANCE` raise KeyError.

    Returns:
      Weights of whole targets ('mouthSmileLeft' -> weight), and (left, right) weights of targets
      whose halves move apart ('browInnerUp').
    """
    whole: dict[str, float] = {}
    halves: dict[str, tuple[float, float]] = {}
    damping = _OPEN_MOUTH_DAMPING if max(aus.get(26, (0.0, 0.0))) > 0 else {}
    for au, (left, right) in sorted(aus.items()):
        look = APPEARANCE[au]
        for unit, gain in look.paired.items():
            gain *= damping.get(unit, 1.0)
            for side, intensity in (('Left', left), ('Right', right)):
                whole[unit + side] = whole.get(unit + side, 0.0) + gain * intensity
        for unit, gain in look.single.items():
            gain *= damping.get(unit, 1.0)
            whole[unit] = whole.get(unit, 0.0) + gain * (left + right) / 2
        for unit, gain in look.split.items():
            before = halves.get(unit, (0.0, 0.0))
            halves[unit] = (before[0] + gain * left, before[1] + gain * right)
    limited = {unit: min(weight, _LARGEST_FACE_UNIT) for unit, weight in whole.items()}
    return limited, halves


def wrinkle_weights(aus: AuIntensities) -> dict[str, tuple[float, float]]:
    """(left, right) strengths of the wrinkles that the action units draw, each in 0..1."""
    strengths: dict[str, tuple[float, float]] = {}
    for au, sides in sorted(aus.items()):
        for name, gain in APPEARANCE[au].wrinkles.items():
            # A present action unit is visible: half of the full depth from the start.
            drawn = tuple(gain * (0.5 + 0.5 * i) if i >= PRESENCE else gain * i for i in sides)
            before = strengths.get(name, (0.0, 0.0))
            strengths[name] = (max(before[0], drawn[0]), max(before[1], drawn[1]))
    return strengths
