"""The public API: what `import emola_jax` offers. Everything else in the package is internal.

    import emola_jax
    emola = emola_jax.load('runs/mini')
    for face in emola('me.jpg'):
        print(face.emotion, face.active_aus, face.au_text)

Nothing heavy is imported before it is needed: JAX comes with the first call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from emola_jax.errors import UserError

if TYPE_CHECKING:
    import ml_collections
    import numpy as np
    from PIL import Image

    from emola_jax.config.run import RunConfig
    from emola_jax.experiment.trained import Trained
    from emola_jax.files.json_values import JsonObject
    from emola_jax.metrics.sample import Task
    from emola_jax.metrics.scores import Scores, TaskScores
    from emola_jax.predict.model import FaceAnswer, Predictor
    from input_pipeline.datasets.build import FaceBuilder

    Photo = str | Path | Image.Image | np.ndarray


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of this project.

    Attributes:
      workdir: its folder: checkpoints, answers, scores.json and report.html.
    """

    workdir: Path

    @property
    def scores(self) -> TaskScores:
        """Scores by task; {} before the run was evaluated."""
        from emola_jax.metrics.scores import RunScores

        path = self.workdir / 'scores.json'
        return RunScores.read(path).tasks if path.is_file() else {}

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.workdir / 'report.html'


@dataclasses.dataclass(frozen=True, eq=False)
class Emola:
    """A checkpoint that answers; `load` makes it.

    Attributes:
      predictor: model, parameters and what prepares pictures for them.
      trained: where it is and what is known about it.
    """

    predictor: Predictor
    trained: Trained

    @overload
    def __call__(
        self, photos: Photo, *, texts: bool = True, questions: Sequence[str] = ()
    ) -> list[FaceAnswer]: ...

    @overload
    def __call__(
        self, photos: list[Photo], *, texts: bool = True, questions: Sequence[str] = ()
    ) -> list[list[FaceAnswer]]: ...

    def __call__(
        self,
        photos: Photo | list[Photo],
        *,
        texts: bool = True,
        questions: Sequence[str] = (),
    ) -> list[FaceAnswer] | list[list[FaceAnswer]]:
        """The faces of a photo, the largest first, or of each of several photos.

        Args:
          photos: a path, a PIL image, or an array uint8[H, W, 3] in RGB; or a list of them.
          texts: whether to write explanations. Probabilities alone take a fraction of the time.
          questions: free questions to ask of every face, in place of emotion and action units.

        Returns:
          `FaceAnswer` per face: emotion and action units with probabilities, texts, landmarks, box
          and flags. A list of lists where a list of photos was given.

        Raises:
          UserError: a file that is no picture.
          ValueError: an array of another shape or type.
        """
        if isinstance(photos, list):
            return self.predictor(list(map(_pixels, photos)), texts=texts, questions=questions)
        return self.predictor([_pixels(photos)], texts=texts, questions=questions)[0]

    def generate(
        self,
        images: Sequence[Photo],
        questions: Sequence[str],
        landmarks: Sequence[np.ndarray] | None = None,
        *,
        max_new_tokens: int | None = None,
    ) -> list[str]:
        """One answer per picture of a face, as it is: nothing is detected or cut out.

        Args:
          images: as of `__call__`.
          questions: one per picture.
          landmarks: f32[212] each, in [-1, 1] over the picture padded to a square; None looks for
            them.
          max_new_tokens: of an answer.

        Raises:
          UserError: a file that is no picture, or one without a face where landmarks are wanted.
          ValueError: other counts of questions or landmarks than of pictures.
        """
        return self.predictor.generate(
            list(map(_pixels, images)), questions, landmarks, max_new_tokens=max_new_tokens
        )


def load(
    checkpoint: str | Path | Run,
    *,
    base: str | None = None,
    clip: str | None = None,
    quantize: str | None = None,
    dataset: str | None = None,
    template: str | None = None,
    max_new_tokens: int | None = None,
    pad_to_square: bool | None = None,
    expert: str = 'mesh',
    batch: int = 8,
    allow_download: bool = False,
) -> Emola:
    """Loads anything that has weights.

    Args:
      checkpoint: a run; or EmoLA as released, an adapter of PEFT, LLaVA-1.5 (without adapter and
        prior: the zero-shot baseline) or a merged EmoLA: a folder, or 'owner/name[@revision]' of
        the Hugging Face hub.
      base: LLaVA below an adapter or a run, if not where it names it; a folder or hub id.
      clip: CLIP, likewise.
      quantize: 'int8', 'nf4' or 'nf4_fine': how the weights are stored.
      dataset: the data set in whose words a foreign checkpoint is asked ('faba_instruct').
      template: its conversation template, if its files name none ('vicuna_v1').
      max_new_tokens: longest answer of a foreign checkpoint (512).
      pad_to_square: False cuts pictures that are no squares, as the released script evaluates.
      expert: 'mesh', or 'onnx=FILE' for InsightFace's 2d106det.
      batch: faces at a time.
      allow_download: fetch from the hub what the checkpoint itself names.

    Raises:
      UserError: there is no whole checkpoint, or something that it needs is missing.
    """
    from emola_jax.experiment import trained
    from emola_jax.experts.registry import load_finder
    from emola_jax.parallel import hosts
    from emola_jax.predict.load import load as load_predictor

    name = checkpoint.workdir if isinstance(checkpoint, Run) else checkpoint
    hosts.start(trained.cpu_devices(name))
    asked = trained.Asked(
        base, clip, allow_download, dataset, template, max_new_tokens, pad_to_square
    )
    found = trained.look(name, asked)
    predictor = load_predictor(found, batch=batch, finder=load_finder(expert), quantize=quantize)
    return Emola(predictor, found)


def train(
    config: str | Path | ml_collections.ConfigDict,
    workdir: str | Path,
    overrides: Mapping[str, object] | None = None,
) -> Run:
    """Trains, evaluates and reports an experiment; goes on where a killed run stopped.

    Args:
      config: a file of configs/, with an argument after a colon if it takes one; or its values.
      workdir: folder of the run.
      overrides: dotted field -> value, such as {'train.steps': 50}.

    Raises:
      UserError: the config is at fault, or files that it needs are missing.
    """
    from emola_jax import workflow

    settings, folder = _settings(config, overrides), Path(workdir)
    if not workflow.is_finished(settings, folder):
        with workflow.alone_in(folder, 'works there (train)'):
            workflow.run(settings, folder)
    return Run(folder)


def evaluate(
    checkpoint: str | Path | Run | Emola,
    *,
    config: str | Path | ml_collections.ConfigDict | None = None,
    split: str | None = None,
    workdir: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> TaskScores:
    """Answers a split of a data set and scores the answers (FABA-Bench's REGE).

    Args:
      checkpoint: as of `load`.
      config: names the data set and how it is answered; a run has its own.
      split: of the data set; the config's by default.
      workdir: where answers, scores and report go; by default a folder `evaluation/SPLIT` of a run.
      overrides: dotted field -> value of the config.

    Returns:
      Scores by task.

    Raises:
      UserError: a config is missing or at fault, or files that it needs are.
    """
    from emola_jax import workflow
    from emola_jax.experiment import finished_run, init_from, trained

    name = _name(checkpoint)
    is_run = finished_run.is_run(name)
    if config is None and not is_run:
        raise UserError(f'{name}: is no run, so `config` has to name its data set')
    chosen = trained.run_config(name).to_dict() if config is None else config
    settings = _settings(chosen, {**(overrides or {}), 'init_from': str(name)})
    if split is not None:
        settings = settings.with_eval(split=split)
    if workdir is None and not is_run:
        raise UserError(f'{name}: is no run, so `workdir` has to say where the answers go')
    folder = Path(workdir) if workdir else name / 'evaluation' / settings.eval.split
    if finished_run.is_run(folder):
        raise UserError(f'{folder}: holds a run; name another `workdir` for the answers')
    settings = init_from.resolved(settings, whole=True)
    with workflow.alone_in(folder, 'works there (evaluate)'):
        workflow.evaluate(settings, folder)
    return Run(folder).scores


def score(
    rows: str | Path | Iterable[Mapping[str, object]],
    *,
    task: Task,
    dataset: str = 'faba',
    aus: Sequence[int] = (),
    replicates: int = 2000,
) -> Scores:
    """Scores any model's answers: REGE of FABA-Bench, as published and strictly.

    Args:
      rows: a file of JSON lines, a folder of the released script, or its rows: 'prediction',
        'reference' and 'label' of each.
      task: 'emotion' or 'au'.
      dataset: whose action units count.
      aus: action units that count instead.
      replicates: of the bootstrap; 0 leaves the intervals out.

    Returns:
      The scores under both scorings; `to_json` gives what `emola score --out` writes.

    Raises:
      UserError: a row lacks a field, or an unknown data set.
    """
    from emola_jax.metrics import any_answers

    if task not in ('emotion', 'au'):
        raise UserError(f"task is {task!r}; expected 'emotion' or 'au'")
    return any_answers.score(
        any_answers.of_rows(rows, task),
        task,
        dataset=dataset,
        aus=tuple(aus) or None,
        replicates=replicates,
    )


def convert(
    checkpoint: str | Path | Run,
    to: str,
    out: str | Path,
    *,
    base: str | None = None,
    clip: str | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
    verify: bool = True,
    allow_download: bool = False,
) -> Path:
    """Turns one kind of checkpoint into another, tensor by tensor, whole or not at all.

    Args:
      checkpoint: as of `load`.
      to: 'emola', 'peft', 'hf' or 'llava-hf'.
      out: folder to write.
      base: as of `load`.
      clip: as of `load`.
      dtype: 'float32', 'bfloat16' or 'float16'; None leaves each tensor as it is stored.
      overwrite: whether `out` is replaced.
      verify: whether a sample is run through what was written.
      allow_download: as of `load`.

    Returns:
      `out`.

    Raises:
      UserError: what is read is at fault, or the format cannot express it.
    """
    from emola_jax.experiment import conversion

    conversion.convert(
        conversion.Conversion(
            str(_name(checkpoint) if isinstance(checkpoint, Run) else checkpoint),
            to,
            Path(out),
            base=base,
            clip=clip,
            dtype=dtype,
            overwrite=overwrite,
            verify=verify,
            allow_download=allow_download,
        )
    )
    return Path(out)


def register_dataset(builder: type[FaceBuilder]) -> None:
    """Makes a data set known to configs and commands by its name.

    Args:
      builder: its `DATA_SET` says how its files are found and read; examples/new_dataset.py is one.

    Raises:
      UserError: a data set of that name is known already.
    """
    from input_pipeline.datasets import registry

    registry.register(builder)


def _pixels(photo: Photo) -> Image.Image | np.ndarray:
    if not isinstance(photo, str | Path):
        return photo
    from emola_jax.predict.inputs import read_photo

    return read_photo(Path(photo))[0]


def _name(checkpoint: str | Path | Run | Emola) -> Path:
    from emola_jax.weights.hub import local_folder

    if isinstance(checkpoint, Run):
        return checkpoint.workdir
    if isinstance(checkpoint, Emola):
        return checkpoint.trained.folder
    return local_folder(checkpoint)


def _settings(
    config: str | Path | ml_collections.ConfigDict | JsonObject,
    overrides: Mapping[str, object] | None,
) -> RunConfig:
    """A config's values with other ones; devices are started as it says."""
    import ml_collections
    from absl import flags

    from emola_jax.config import config_files
    from emola_jax.config.run import RunConfig
    from emola_jax.parallel import hosts

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain reads absl's flags
    values = config_files.load(str(config)) if isinstance(config, str | Path) else config
    values = ml_collections.ConfigDict(values)
    with values.unlocked():
        values.update_from_flattened_dict(dict(overrides or {}))
    settings = RunConfig.from_config_dict(values)
    hosts.start(settings.cpu_devices, silence=settings.hosts.silence)
    return settings
