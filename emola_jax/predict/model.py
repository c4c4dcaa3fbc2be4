"""A trained run that answers for the faces of photos.

model = predict.load('runs/mini')
for faces in model([photo, …]):        # PIL images, or uint8 arrays RGB
    for face in faces:                 # the largest first; none is an empty list
        face.emotion, face.emotions, face.aus, face.au_text, face.flags
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from emola_jax.errors import UserError
from emola_jax.experts.finder import Face, Finder
from emola_jax.experts.registry import over_square
from emola_jax.facs import EMOTIONS
from emola_jax.generation.generate import generate
from emola_jax.models.config import LANDMARK_INPUTS
from emola_jax.models.emola import Emola, Params
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.parallel import sharding
from emola_jax.predict import cautions as flags
from emola_jax.predict import scoring, token_tree
from emola_jax.predict.answer_forms import AnswerForm
from emola_jax.predict.calibration import UNCALIBRATED, Calibration
from input_pipeline import images
from input_pipeline.pipeline import Encoder
from input_pipeline.prompt_batches import bucket, prompt_batch, prompt_length
from input_pipeline.records import Record

EMOTION, AU = 'emotion', 'au'


@dataclasses.dataclass(frozen=True, eq=False)
class FaceAnswer:
    """What the model says of one face.

    Attributes:
      box: x0, y0, x1, y1 of the landmarks, in pixels of the photo.
      score: the detector's, 0..1.
      points: f32[106, 2], pixels of the photo.
      landmarks: f32[212], the same in [-1, 1] over `crop`.
      crop: u8[S, S, 3], the face as it was cut out for the model.
      emotions: probability of each of `EMOTIONS`; {} where only free questions were asked.
      aus: FACS number -> probability; {} likewise.
      emotion_text: the answer to the question for the emotion; '' where no texts were wanted.
      au_text: the same of the action units.
      answers: question -> answer, of free questions.
      flags: warnings, one sentence each.
    """

    box: tuple[float, float, float, float]
    score: float
    points: Float32[np.ndarray, '106 2']
    landmarks: Float32[np.ndarray, '212']
    crop: UInt8[np.ndarray, 'S S 3']
    emotions: dict[str, float]
    aus: dict[int, float]
    emotion_text: str = ''
    au_text: str = ''
    answers: dict[str, str] = dataclasses.field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def emotion(self) -> str:
        """The likeliest emotion, or ''."""
        return max(self.emotions, key=self.emotions.__getitem__) if self.emotions else ''

    @property
    def active_aus(self) -> tuple[int, ...]:
        """Action units that are more likely present than not."""
        return tuple(au for au, probability in self.aus.items() if probability >= 0.5)


@dataclasses.dataclass(frozen=True)
class Text:
    """A written answer, and whether it ended by itself."""

    text: str
    finished: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """A run ready to answer; `predict.load` makes it.

    Attributes:
      model: adapters merged.
      params: its parameters, on the mesh.
      mesh: the devices.
      tokenizer: of the language model.
      encoder: prompts, pixels and landmarks as in training, without noise.
      form: questions, and the answers that are scored.
      codes: the action units that it knows, ascending.
      max_new_tokens: by task.
      finder: finds faces and landmarks.
      calibration: of the probabilities.
      batch: faces at a time; a multiple of the devices.
    """

    model: Emola
    params: Params
    mesh: Mesh
    tokenizer: Tokenizer
    encoder: Encoder
    form: AnswerForm
    codes: tuple[int, ...]
    max_new_tokens: Mapping[str, int]
    finder: Finder
    calibration: Calibration = UNCALIBRATED
    batch: int = 8

    def __call__(
        self,
        photos: Sequence[Image.Image | UInt8[np.ndarray, 'H W 3']],
        *,
        texts: bool = True,
        questions: Sequence[str] = (),
    ) -> list[list[FaceAnswer]]:
        """The answers for every face of each photo, the largest face first.

        Args:
          photos: PIL images of any mode, or RGB arrays; each of its own size.
          texts: whether to write explanations. Probabilities alone take a fraction of the time.
          questions: free questions to ask of every face, in place of emotion and action units.

        Raises:
          ValueError: an array that is not uint8[H, W, 3], or an empty photo.
        """
        pixels = [_pixels(photo) for photo in photos]
        found = self.finder.find(pixels)
        answers = iter(self.answer([f for faces in found for f in faces], texts, questions))
        return [[next(answers) for _ in faces] for faces in found]

    def answer(
        self, faces: Sequence[Face], texts: bool = True, questions: Sequence[str] = ()
    ) -> list[FaceAnswer]:
        """The same for faces that were found before."""
        records = [_record(face, number) for number, face in enumerate(faces)]
        plain = [
            FaceAnswer(face.box, face.score, face.points, face.landmarks, face.crop, {}, {})
            for face in faces
        ]
        if questions:
            free = {question: self.write(_ask(records, question), AU) for question in questions}
            return [
                dataclasses.replace(
                    one,
                    answers={question: free[question][i].text for question in questions},
                    flags=flags.of_size(one.crop.shape[0], self.encoder.config.image_size),
                )
                for i, one in enumerate(plain)
            ]
        emotions = self.calibration.emotions(self.emotion_scores(records))
        aus = self.calibration.aus(self.au_scores(records))
        written = {
            task: self.write(_ask(records, self.form.questions[task]), task) if texts else None
            for task in (EMOTION, AU)
        }
        answers = []
        for number, one in enumerate(plain):
            said = {task: rows[number] for task, rows in written.items() if rows}
            scored = dataclasses.replace(
                one,
                emotions=dict(zip(EMOTIONS, map(float, emotions[number]), strict=True)),
                aus=dict(zip(self.codes, map(float, aus[number]), strict=True)),
                emotion_text=said[EMOTION].text if EMOTION in said else '',
                au_text=said[AU].text if AU in said else '',
            )
            found = flags.of_size(one.crop.shape[0], self.encoder.config.image_size)
            if said:
                found += flags.of_emotion(scored.emotions, said[EMOTION].text)
                found += flags.of_aus(scored.aus, said[AU].text)
                found += tuple(
                    f'the {flags.TASK_NAMES[task]} answer was cut off at its length limit'
                    for task, text in said.items()
                    if not text.finished
                )
            answers.append(dataclasses.replace(scored, flags=found))
        return answers

    def generate(
        self,
        images: Sequence[Image.Image | UInt8[np.ndarray, 'H W 3']],
        questions: Sequence[str],
        landmarks: Sequence[Float32[np.ndarray, '212']] | None = None,
        *,
        max_new_tokens: int | None = None,
    ) -> list[str]:
        """One answer per picture, of a face as the data sets cut it out, greedily.

        Args:
          images: one face each; PIL images of any mode, or RGB arrays.
          questions: one per picture.
          landmarks: in [-1, 1] over each picture padded to a square; None looks for them.
          max_new_tokens: of an answer; by default the longest of the model's tasks.

        Raises:
          ValueError: other counts than pictures, or a picture that is not uint8[H, W, 3].
          UserError: a picture without a face, whose landmarks are wanted.
        """
        pixels = [_pixels(image) for image in images]
        if len(questions) != len(pixels) or (
            landmarks is not None and len(landmarks) != len(pixels)
        ):
            raise ValueError(
                f'{len(pixels)} pictures, {len(questions)} questions and '
                f'{"no" if landmarks is None else len(landmarks)} landmarks; expected as many each'
            )
        if landmarks is None:
            landmarks = self._landmarks(pixels)
        records = [
            Record(str(number), _png(face), np.asarray(points, np.float32), '', question, '')
            for number, (face, points, question) in enumerate(
                zip(pixels, landmarks, questions, strict=True)
            )
        ]
        longest = max_new_tokens or max(self.max_new_tokens.values())
        return [text.text for text in self._written(records, longest)]

    def _landmarks(self, pixels: Sequence[UInt8[np.ndarray, 'H W 3']]) -> list[np.ndarray]:
        if not self.model.cfg.reads_landmarks:
            return [np.zeros(LANDMARK_INPUTS, np.float32)] * len(pixels)
        found = self.finder.find(pixels)
        if without := [number for number, faces in enumerate(found) if not faces]:
            raise UserError(
                f'no face is found in picture {", ".join(map(str, without))}; give its landmarks'
            )
        return [over_square(f[0].points, photo) for f, photo in zip(found, pixels, strict=True)]

    def emotion_scores(self, records: Sequence[Record]) -> Float[np.ndarray, 'n 7']:
        """Log probability of each emotion, not calibrated."""
        stems, tree = token_tree.words_after(
            self.tokenizer, self.form.emotion_opening, self.form.emotion_words
        )
        return self._score(
            _ask(records, self.form.questions[EMOTION]),
            len(EMOTIONS),
            lambda batch: scoring.emotion_log_probs(self.model, self.params, batch, stems, tree),
        )

    def au_scores(self, records: Sequence[Record]) -> Float[np.ndarray, 'n A']:
        """Log odds of each action unit of `codes`, not calibrated."""
        form = self.form.aus
        stems, tree = token_tree.au_lists(self.tokenizer, form, self.codes)
        rest = np.int32(self.tokenizer.encode(form.rest)[0] if form.rest else -1)
        return self._score(
            _ask(records, self.form.questions[AU]),
            len(self.codes),
            lambda batch: scoring.au_log_odds(self.model, self.params, batch, stems, tree, rest),
        )

    def write(self, records: Sequence[Record], task: str) -> list[Text]:
        """Answers the records' questions, greedily."""
        return self._written(records, self.max_new_tokens[task])

    def _written(self, records: Sequence[Record], max_new_tokens: int) -> list[Text]:
        written = []
        for size, batch in self._batches(records):
            tokens = generate(
                self.model,
                self.params,
                batch,
                max_new_tokens=max_new_tokens,
                eos_id=self.tokenizer.eos_id,
            )
            written += [self._text(ids) for ids in np.asarray(tokens)[:size]]
        return written

    def _text(self, ids: np.ndarray) -> Text:
        ended = np.flatnonzero(ids == self.tokenizer.eos_id)
        kept = ids[: ended[0]] if len(ended) else ids
        return Text(self.tokenizer.decode([int(i) for i in kept]).strip(), len(ended) > 0)

    def _score(self, records: Sequence[Record], width: int, score: Any) -> np.ndarray:
        rows = [np.zeros((0, width))]
        rows += [np.asarray(score(batch))[:size] for size, batch in self._batches(records)]
        return np.concatenate(rows).astype(np.float64)

    def _batches(self, records: Sequence[Record]) -> Iterator[tuple[int, dict[str, jax.Array]]]:
        """(how many rows are real, batch on the mesh), always of the same shape."""
        if not records:
            return
        length = bucket(max(prompt_length(record, self.encoder) for record in records))
        for first in range(0, len(records), self.batch):
            chunk = records[first : first + self.batch]
            rows = [*chunk, *[None] * (self.batch - len(chunk))]
            arrays = prompt_batch(rows, self.encoder, length=length)
            yield len(chunk), sharding.shard_batch(arrays, self.mesh)


def _record(face: Face, number: int) -> Record:
    return Record(
        id=str(number),
        image=_png(face.crop),
        landmarks=face.landmarks,
        task='',
        instruction='',
        response='',
    )


def _png(pixels: UInt8[np.ndarray, 'H W 3']) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'PNG', compress_level=0)
    return file.getvalue()


def _ask(records: Sequence[Record], question: str) -> list[Record]:
    return [dataclasses.replace(record, instruction=question) for record in records]


def _pixels(photo: Image.Image | np.ndarray) -> np.ndarray:
    return np.asarray(images.upright_rgb(photo)) if isinstance(photo, Image.Image) else photo
