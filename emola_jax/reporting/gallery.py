"""The faces that a report shows: some of the best, the typical and the worst answers."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emola_jax.errors import UserError
from emola_jax.evaluation import faces as report_faces
from emola_jax.facs import AU_NAMES
from emola_jax.files.whole import below
from emola_jax.metrics import action_units
from emola_jax.metrics.answer_row import AnswerRow
from emola_jax.reporting import run_facts
from emola_jax.reporting.run_facts import Run
from input_pipeline import images


@dataclasses.dataclass(frozen=True)
class Chip:
    """One action unit of an answer: a 'hit', 'missed' or named in 'extra'."""

    au: int
    name: str
    verdict: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """One question about a face.

    Attributes:
      task: 'emotion' or 'au'.
      question: as asked.
      text: the answer.
      reference: the reference answer.
      truth: the label; for action units the chips say it.
      answered: what was read off the answer.
      finished: whether the answer ended before the length limit.
      right: whether that is the truth, whole.
      credit: 1 if right; for action units the F1 on this face.
      rouge_l: likeness to the reference answer.
      chips: of an action-unit answer.
    """

    task: str
    question: str
    text: str
    reference: str
    truth: str
    answered: str
    finished: bool
    right: bool
    credit: float
    rouge_l: float
    chips: tuple[Chip, ...] = ()


@dataclasses.dataclass(frozen=True)
class FaceCard:
    """One face with its answers.

    Attributes:
      name: id of the first record that shows it.
      group: 'best', 'typical' or 'worst'.
      image: data URI; '' where there is no picture.
      points: landmarks (x, y) in [-1, 1] over the square image; empty if not extracted.
      answers: emotion first.
    """

    name: str
    group: str
    image: str
    points: tuple[tuple[float, float], ...]
    answers: tuple[Answer, ...]


def cards(run: Run, *, per_group: int = 4) -> list[FaceCard]:
    """Chooses `per_group` faces of each group, ranked by what was recognised, then by ROUGE-L."""
    faces: dict[str, list[AnswerRow]] = {}
    for row in run.predictions:
        faces.setdefault(row.image or row.id, []).append(row)
    answered = {image: _answers(rows) for image, rows in faces.items()}
    ranked = sorted(answered, key=lambda image: (*_merit(answered[image]), image), reverse=True)
    landmarks = report_faces.load_landmarks(run.workdir)
    return [
        FaceCard(
            name=faces[image][0].id,
            group=group,
            image=_picture(run.workdir, image) if faces[image][0].image else '',
            points=_points(landmarks.get(image)),
            answers=answered[image],
        )
        for group, chosen in pick(ranked, per_group).items()
        for image in chosen
    ]


def _picture(workdir: Path, image: str) -> str:
    try:
        path = below(workdir, image)
    except UserError as error:
        raise UserError(f"{workdir}: field 'image' of predictions.jsonl: {error}") from None
    return data_uri(path)


def pick(ranked: Sequence[str], per_group: int) -> dict[str, list[str]]:
    """Takes the first, the middle and the last of `ranked`, none twice."""
    best = list(ranked[:per_group])
    rest = ranked[len(best) :]
    worst = list(rest[max(len(rest) - per_group, 0) :])
    rest = rest[: len(rest) - len(worst)]
    middle = max((len(ranked) - per_group) // 2 - per_group, 0)
    first = min(middle, max(len(rest) - per_group, 0))
    return {'best': best, 'typical': list(rest[first : first + per_group]), 'worst': worst}


LARGEST_SIDE = 480
"""Pixels: a larger picture is shown at this size, so that a page of photos can be mailed."""


def data_uri(path: Path) -> str:
    """A picture file as a data URI: as it is, or as a JPEG if it is large or of a rarer kind.

    Raises:
      UserError: the file is missing or no picture.
    """
    if not path.exists():
        raise UserError(f'{path}: missing, though predictions.jsonl names it')
    picture = images.read_file(path)
    content = path.read_bytes()
    kind = _browser_kind(content)
    if kind is None or picture.altered or max(picture.size) > LARGEST_SIDE:
        picture.image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        file = io.BytesIO()
        picture.image.save(file, 'JPEG', quality=88)
        kind, content = 'jpeg', file.getvalue()
    return f'data:image/{kind};base64,{base64.b64encode(content).decode("ascii")}'


def _browser_kind(content: bytes) -> str | None:
    if content.startswith(b'\x89PNG'):
        return 'png'
    return 'jpeg' if content.startswith(b'\xff\xd8') else None


def au_chips(label: Sequence[int], parsed: Sequence[int]) -> tuple[Chip, ...]:
    """Every action unit of the label or the answer, by number, with its verdict."""
    chips = []
    for au in sorted({*label, *parsed}):
        verdict = 'hit' if au in label and au in parsed else 'missed' if au in label else 'extra'
        chips.append(Chip(au, AU_NAMES.get(au, 'no such action unit'), verdict))
    return tuple(chips)


def _answers(rows: Sequence[AnswerRow]) -> tuple[Answer, ...]:
    order = list(run_facts.TASK_TITLES)
    ordered = sorted(rows, key=lambda row: order.index(row.task))
    return tuple(_au_answer(row) if row.task == 'au' else _answer(row) for row in ordered)


def _answer(row: AnswerRow) -> Answer:
    answered = row.parsed or 'no emotion named'
    right = answered == row.label
    return Answer(
        task='emotion',
        question=row.instruction,
        text=row.prediction,
        reference=row.reference,
        truth=row.label,
        answered=answered,
        finished=row.finished,
        right=right,
        credit=float(right),
        rouge_l=row.rouge_l,
    )


def _au_answer(row: AnswerRow) -> Answer:
    label = action_units.parse_label(row.label)
    parsed = action_units.parse_label(row.parsed or '')
    both = len(label) + len(parsed)
    return Answer(
        task='au',
        question=row.instruction,
        text=row.prediction,
        reference=row.reference,
        truth=row.label or 'none',
        answered='nothing readable' if row.parsed is None else row.parsed or 'none',
        finished=row.finished,
        right=row.parsed is not None and label == parsed,
        credit=2 * len(label & parsed) / both if both else 1.0,
        rouge_l=row.rouge_l,
        chips=au_chips(sorted(label), sorted(parsed)),
    )


def _merit(answers: Sequence[Answer]) -> tuple[float, float]:
    count = len(answers)
    return (
        sum(answer.credit for answer in answers) / count,
        sum(answer.rouge_l for answer in answers) / count,
    )


def _points(landmarks: np.ndarray | None) -> tuple[tuple[float, float], ...]:
    if landmarks is None:
        return ()
    return tuple((float(x), float(y)) for x, y in landmarks.reshape(-1, 2))
