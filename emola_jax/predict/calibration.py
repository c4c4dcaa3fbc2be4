"""Calibrates a model's own probabilities: fitted on faces that it never saw.

Emotion: P ∝ exp(log p / T), one temperature T. Action units: logit P = s · logit p + b, one slope
and one offset for all (Platt scaling). Both minimise the negative log likelihood of the labels.
Kept in calibration.json in the run's folder; it belongs to one checkpoint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize, special

from emola_jax.errors import UserError
from emola_jax.files import checksums
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import read_json, write_json
from emola_jax.metrics.probabilities import calibration_error, reliability, roc_auc

CALIBRATION_FILE = 'calibration.json'

_SLOPES = (0.02, 50.0)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The fitted numbers; as it stands it changes nothing.

    Attributes:
      temperature: of the emotions.
      slope: of the action units' log odds.
      offset: added to them.
      about: what they were fitted on, and how much better it got; {} where nothing was fitted.
    """

    temperature: float = 1.0
    slope: float = 1.0
    offset: float = 0.0
    about: JsonObject = dataclasses.field(default_factory=dict)

    @property
    def fitted(self) -> bool:
        """Whether it comes from data."""
        return bool(self.about)

    def emotions(self, log_probs: Float[np.ndarray, 'n C']) -> Float[np.ndarray, 'n C']:
        """Log probabilities -> probabilities."""
        return np.asarray(special.softmax(log_probs / self.temperature, axis=-1))

    def aus(self, log_odds: Float[np.ndarray, '*n']) -> Float[np.ndarray, '*n']:
        """Log odds -> probabilities."""
        return np.asarray(special.expit(self.slope * log_odds + self.offset))


UNCALIBRATED = Calibration()


def fit(
    emotion_log_probs: Float[np.ndarray, 'n C'],
    emotions: Int[np.ndarray, 'n'],
    au_log_odds: Float[np.ndarray, 'm A'],
    aus: Bool[np.ndarray, 'm A'],
) -> Calibration:
    """Fits whatever there are labels for; what has none stays as it is."""
    made, about = UNCALIBRATED, {}
    if len(emotions):
        made = dataclasses.replace(made, temperature=_temperature(emotion_log_probs, emotions))
        about['emotion'] = emotion_errors(emotion_log_probs, emotions, made)
    if au_log_odds.size:
        slope, offset = _platt(au_log_odds.ravel(), aus.ravel())
        made = dataclasses.replace(made, slope=slope, offset=offset)
        about['au'] = au_errors(au_log_odds, aus, made)
    return dataclasses.replace(made, about=about)


def emotion_errors(
    log_probs: Float[np.ndarray, 'n C'], emotions: Int[np.ndarray, 'n'], made: Calibration
) -> JsonObject:
    """How reliable the likeliest emotion's probability is, without and with `made`.

    Returns:
      'faces'; and with the ending _before and _after 'ece', the expected calibration error, and
      'bins', of `probabilities.reliability`.
    """

    def given(calibration: Calibration) -> _Given:
        probabilities = calibration.emotions(log_probs)
        return probabilities.max(1), probabilities.argmax(1) == emotions

    return {'faces': len(emotions), **_compared(given(UNCALIBRATED), given(made))}


def au_errors(
    log_odds: Float[np.ndarray, 'm A'], aus: Bool[np.ndarray, 'm A'], made: Calibration
) -> JsonObject:
    """The same of the action units, all of them together."""

    def given(calibration: Calibration) -> _Given:
        return calibration.aus(log_odds).ravel(), aus.ravel()

    return {'faces': len(aus), **_compared(given(UNCALIBRATED), given(made))}


def au_areas(
    log_odds: Float[np.ndarray, 'm A'], aus: Bool[np.ndarray, 'm A'], codes: Sequence[int]
) -> dict[str, float | None]:
    """Action unit -> area under the ROC curve; None where it is shown by all faces or by none."""
    areas = [roc_auc(log_odds[:, i], aus[:, i]) for i in range(len(codes))]
    return {
        str(code): None if np.isnan(area) else area for code, area in zip(codes, areas, strict=True)
    }


_Given = tuple[np.ndarray, np.ndarray]
"""Probabilities, and whether what they were given to is true."""


def _compared(before: _Given, after: _Given) -> JsonObject:
    return {
        'ece_before': calibration_error(*before),
        'ece_after': calibration_error(*after),
        'bins_before': reliability(*before),
        'bins_after': reliability(*after),
    }


def save(workdir: Path, calibration: Calibration, identity: JsonObject) -> Path:
    """Writes it into the run's folder; `identity` says which answers it belongs to."""
    path = workdir / CALIBRATION_FILE
    write_json(path, {'identity': identity, **dataclasses.asdict(calibration)})
    return path


def load(workdir: Path, identity: JsonObject) -> Calibration | None:
    """The calibration of a run, or None: there is none, or it belongs to another checkpoint.

    Raises:
      UserError: the file is damaged.
    """
    path = workdir / CALIBRATION_FILE
    if not path.is_file():
        return None
    checksums.check_file(path)
    try:
        values = read_json(path)
        stored = values.pop('identity')
        # Older files do not name the checkpoint's files.
        if {**identity, **stored} != identity or 'step' not in stored:
            return None
        made = Calibration(**values)
        numbers = np.array([made.temperature, made.slope, made.offset], np.float64)
        if not np.isfinite(numbers).all() or numbers[0] <= 0 or not isinstance(made.about, dict):
            raise ValueError(f'temperature, slope and offset are {numbers.tolist()}')
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = str(error) if isinstance(error, UserError) else f'{path}: {error!r}'
        raise UserError(
            f'{what}; this is not what `python -m emola_jax.calibrate` writes: run it again'
        ) from None
    return made


def _temperature(log_probs: np.ndarray, labels: np.ndarray) -> float:
    def loss(log_temperature: float) -> float:
        scaled = special.log_softmax(log_probs / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    found = optimize.minimize_scalar(loss, bounds=tuple(np.log(_SLOPES)), method='bounded')
    return float(np.exp(found.x))


def _platt(log_odds: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    sign = np.where(labels, 1.0, -1.0)

    def loss(values: np.ndarray) -> float:
        scaled = np.exp(values[0]) * log_odds + values[1]
        return -float(special.log_expit(sign * scaled).mean())

    found = optimize.minimize(
        loss, np.zeros(2), method='L-BFGS-B', bounds=[tuple(np.log(_SLOPES)), (-10.0, 10.0)]
    )
    return float(np.exp(found.x[0])), float(found.x[1])
