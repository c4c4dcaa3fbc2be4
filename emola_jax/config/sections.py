"""The sections of a config as records; `run` builds them, `fields` says what each field may hold.

A field with a default is one that runs of older versions may lack; its default is what they did.
"""

from __future__ import annotations

import dataclasses

from emola_jax.models.config import PriorConfig, QuantConfig, VisionConfig
from emola_jax.parallel.preemption import SILENCE
from input_pipeline.datasets.synthetic_faces import FacesConfig


@dataclasses.dataclass(frozen=True)
class TowerConfig:
    """How the embedded base trains its small vision tower (`experiment.small_tower`).

    Attributes:
      steps: updates of the vision tower.
      batch_size: faces per update.
      lr: peak rate; warmed up over 5 % of the steps and decayed to 0 by a cosine.
      weight_decay: AdamW's.
      max_shift: pixels that a face is moved by at most, along each axis.
      align_steps: updates of the projectors against the language model's words.
      align_batch_size: faces per update of the projectors.
      align_lr: their peak rate.
      landmark_noise: as in the pipeline: what the prior projector is aligned with.
      seed: of initialisation, order and augmentation.
    """

    steps: int
    batch_size: int
    lr: float
    weight_decay: float
    max_shift: int
    align_steps: int
    align_batch_size: int
    align_lr: float
    landmark_noise: float
    seed: int


@dataclasses.dataclass(frozen=True)
class BaseConfig:
    """The frozen weights that a run starts from.

    Attributes:
      kind: 'random', 'embedded' or 'llava' (`experiment.base`).
      llava: folder of LLaVA-1.5; of kind 'llava' alone, like `clip`.
      clip: folder of CLIP.
      quantize: how the frozen matrices are stored; None leaves them as they are.
      vision: sizes of the embedded base's vision tower; of kind 'embedded' alone, like the rest.
      prior: of its prior projector.
      tower: how both are trained.
    """

    kind: str
    llava: str | None = None
    clip: str | None = None
    quantize: QuantConfig | None = None
    vision: VisionConfig | None = None
    prior: PriorConfig | None = None
    tower: TowerConfig | None = None


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data set, and how its records become batches.

    Attributes:
      dataset: name or alias of a data set.
      train_split: the split that is trained on.
      template: of the conversations, one of `input_pipeline.conversation.TEMPLATES`.
      pad_to_square: whether pictures are padded rather than squeezed.
      length: tokens of a row.
      segments: conversations that may share a row.
      packing_bins: rows that are filled at a time.
      landmark_noise: deviation of what is added to landmarks in training, in units of half a crop.
      label_weight: weight of the loss on the words that are scored.
      on_bad_record: 'stop' or 'drop'.
      processes: that render faces.
      read_threads: that read records; 0 is none.
      root: folder of the owners' files, of a data set that the user brings.
      built: a finished data set to read instead of building one from `root`; '' is none.
      task: 'emotion', 'au' or 'mix', of a data set that the user brings.
      fold: of a data set with folds, from 1; 0 is none.
      frame_step: of a video data set, one frame in so many is taken.
      labels: a table of labels, of a folder of pictures.
      image_size: pixels per side of a batch's images where the model has no vision tower.
      landmarks: 'given', or 'computed' from the pictures.
      length_buckets: shorter rows that batches may have.
      workers: processes that read; 0 leaves it to the threads.
      synthetic_faces: of rendered faces alone.
    """

    dataset: str
    train_split: str
    template: str
    pad_to_square: bool
    length: int
    segments: int
    packing_bins: int
    landmark_noise: float
    label_weight: float
    on_bad_record: str
    processes: int
    read_threads: int
    root: str | None = None
    built: str = ''
    task: str | None = None
    fold: int = 0
    frame_step: int = 1
    labels: str = ''
    image_size: int | None = None
    landmarks: str = 'given'
    length_buckets: tuple[int, ...] = ()
    workers: int = 0
    synthetic_faces: FacesConfig | None = None


@dataclasses.dataclass(frozen=True)
class OptimiserConfig:
    """Hyper-parameters; the defaults are the paper's.

    Attributes:
      lr: peak learning rate of LoRA and the prior projector.
      projector_lr: peak learning rate of the visual projector.
      weight_decay: decoupled, on weights but not on biases.
      b1: decay of the first moment.
      b2: decay of the second moment.
      eps: added to the root of the second moment.
      warmup_ratio: share of all steps over which the rate rises from 0.
      final_ratio: the rate at the last step as a share of the peak (0 in the paper).
      clip_norm: global gradient norm that gradients are clipped to; 0 = no clipping (paper).
    """

    lr: float = 1e-4
    projector_lr: float = 2e-5
    weight_decay: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    warmup_ratio: float = 0.03
    final_ratio: float = 0.0
    clip_norm: float = 0.0


@dataclasses.dataclass(frozen=True)
class ValidateConfig:
    """Answers that are scored while a training runs.

    Attributes:
      every: steps from one to the next; 0 is never.
      split: that is answered.
      limit: only this many records, from the start of the split; 0 is all.
    """

    every: int = 0
    split: str | None = None
    limit: int = 0


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training.

    Attributes:
      batch_size: rows of a step, over all devices.
      loss_chunk: tokens whose logits are in memory at a time.
      unroll: run the layers without a compiled loop, which is faster on a CPU.
      accumulate: micro-batches that a batch is run in, one after the other.
      log_every: steps from one line of metrics.jsonl to the next.
      checkpoint_every: steps from one checkpoint to the next.
      keep_checkpoints: how many of the newest are kept.
      steps: of the whole run; None where `epochs` counts.
      epochs: over the usable records; None where `steps` counts.
      last_batch: of an epoch: 'keep' it partial, or 'run_on' into the next epoch.
      optimiser: its hyper-parameters.
      validate: scores of the training while it runs.
    """

    batch_size: int
    loss_chunk: int
    unroll: bool
    accumulate: int
    log_every: int
    checkpoint_every: int
    keep_checkpoints: int
    steps: int | None = None
    epochs: int | None = None
    last_batch: str = 'run_on'
    optimiser: OptimiserConfig = OptimiserConfig()
    validate: ValidateConfig = ValidateConfig()


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Devices by axis; one of the first three may be -1 and takes what is left.

    Attributes:
      data: devices that share a batch and hold the whole model.
      fsdp: devices that share a batch and the parameters.
      tensor: devices that share each matrix product.
      dcn_data: slices that share a batch over the slower network.
    """

    data: int = 1
    fsdp: int = 1
    tensor: int = 1
    dcn_data: int = 1


@dataclasses.dataclass(frozen=True)
class HostsConfig:
    """A run of several hosts.

    Attributes:
      silence: seconds that one of them may be paused.
    """

    silence: int = SILENCE
