"""Shapes and options of the model as frozen, hashable records (hence static to `jax.jit`)."""

from __future__ import annotations

import dataclasses
from typing import Any

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.ops import quant

VISUAL_TOKEN = -1
"""Token id at the positions that a patch or the prior fills."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
LORA_TARGETS = ('q', 'k', 'v', 'o', 'gate', 'up', 'down')
REMAT_POLICIES = ('none', 'full', 'attention', 'dots', 'all_dots')
DTYPES = ('float32', 'bfloat16', 'float16')
LANDMARK_INPUTS = 212
"""Numbers that a record's landmarks, and those of the landmark expert, have."""

PRIOR_SOURCES = ('disk', 'image', 'shuffled')
PRIOR_PLACES = ('after', 'before')


def _check_divides(name: str, value: int, divisor_name: str, divisor: int) -> None:
    if divisor < 1 or value % divisor:
        raise UserError(f'{name} {value} must be a multiple of {divisor_name} {divisor}.')


@dataclasses.dataclass(frozen=True)
class VisionConfig:
    """A CLIP vision transformer (Radford et al., 2021).

    Attributes:
        layers: depth of the full tower; `used_layers` of them are created.
        feature_layer: which of HF's `hidden_states` is the output: 0 is the embedding, -1 the last
            layer, -2 the one before it (LLaVA).
        spatial_merge: m joins m x m neighbouring patches into one token of m² times the width.
        image_mean: per channel, for pixel values in [0, 1].
        image_std: per channel, for pixel values in [0, 1].
    """

    image_size: int = 336
    patch_size: int = 14
    width: int = 1024
    layers: int = 24
    heads: int = 16
    mlp: int = 4096
    feature_layer: int = -2
    spatial_merge: int = 1
    norm_eps: float = 1e-5
    image_mean: tuple[float, float, float] = CLIP_MEAN
    image_std: tuple[float, float, float] = CLIP_STD

    def __post_init__(self) -> None:
        if self.image_size % (self.patch_size * self.spatial_merge):
            raise UserError(
                f'vision.image_size {self.image_size} must be a multiple of '
                f'patch_size x spatial_merge ({self.patch_size} x {self.spatial_merge}).'
            )
        _check_divides('vision.width', self.width, 'vision.heads', self.heads)
        if not -self.layers - 1 <= self.feature_layer <= self.layers:
            raise UserError(
                f'vision.feature_layer {self.feature_layer} must lie in '
                f'[{-self.layers - 1}, {self.layers}].'
            )

    @property
    def grid(self) -> int:
        """Patches along one side of the image, before merging."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """T: feature vectors per image, after merging."""
        return (self.grid // self.spatial_merge) ** 2

    @property
    def features(self) -> int:
        """Width of a feature vector, after merging."""
        return self.width * self.spatial_merge**2

    @property
    def used_layers(self) -> int:
        """How many layers the features need."""
        return self.feature_layer + (self.layers + 1 if self.feature_layer < 0 else 0)


@dataclasses.dataclass(frozen=True)
class LlamaConfig:
    """A LLaMA decoder (Touvron et al., 2023); key/value heads are grouped if kv_heads < heads."""

    vocab: int = 32000
    width: int = 4096
    layers: int = 32
    heads: int = 32
    kv_heads: int = 32
    head_dim: int = 128
    mlp: int = 11008
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    tied_embeddings: bool = False

    def __post_init__(self) -> None:
        _check_divides('llm.heads', self.heads, 'llm.kv_heads', self.kv_heads)
        if self.head_dim % 2:
            raise UserError(f'llm.head_dim {self.head_dim} must be even (RoPE turns pairs).')


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters (Hu et al., 2022): y = x W + dropout(x) A B · alpha/rank."""

    rank: int = 128
    alpha: float = 256.0
    dropout: float = 0.05
    targets: tuple[str, ...] = LORA_TARGETS

    def __post_init__(self) -> None:
        unknown = sorted(set(self.targets) - set(LORA_TARGETS))
        if unknown:
            raise UserError(f'lora.targets holds {unknown}; expected a subset of {LORA_TARGETS}.')
        if self.rank < 1:
            raise UserError(f'lora.rank {self.rank} must be at least 1; for no LoRA set lora None.')
        if not 0 <= self.dropout < 1:
            raise UserError(f'lora.dropout {self.dropout} must lie in [0, 1).')

    @property
    def scale(self) -> float:
        """The factor alpha / rank."""
        return self.alpha / self.rank


@dataclasses.dataclass(frozen=True)
class PriorConfig:
    """A facial prior: a landmark vector that becomes one token beside the patches.

    Attributes:
        inputs: numbers in the vector (106 points, x and y).
        hidden: width between the two linear maps; None is the width of the language model.
        standardize: subtract a stored mean and divide by a stored deviation first (both frozen).
        enabled: False leaves the token out.
        source: where the landmarks come from. 'disk': the record's. 'image': the landmark expert,
            which looks at the batch's images inside the compiled program. 'shuffled': another
            record's, in training and in evaluation: the control that keeps all but the match.
        place: 'after' the patches, as published, or 'before' them.
    """

    inputs: int = 212
    hidden: int | None = None
    standardize: bool = False
    enabled: bool = True
    source: str = 'disk'
    place: str = 'after'

    def __post_init__(self) -> None:
        for field, allowed in (('source', PRIOR_SOURCES), ('place', PRIOR_PLACES)):
            if getattr(self, field) not in allowed:
                raise UserError(f'prior.{field} {getattr(self, field)!r} must be one of {allowed}.')
        if self.source == 'image' and self.inputs != LANDMARK_INPUTS:
            raise UserError(
                f"prior.inputs {self.inputs} must be {LANDMARK_INPUTS}, as prior.source is 'image'."
            )


@dataclasses.dataclass(frozen=True)
class QuantConfig:
    """How the matrices of the frozen base are stored; None leaves them in `param_dtype`.

    Attributes:
        layers: kind ('int8' or 'nf4') of the language model's layers.
        ends: of its embedding table and output head.
        vision: of the vision tower's layers.
        block: weights that share a scale, a power of two; a mesh axis that cuts a dimension must
            not cut a block.
    """

    layers: str | None = None
    ends: str | None = None
    vision: str | None = None
    block: int = quant.BLOCK

    def __post_init__(self) -> None:
        for field in ('layers', 'ends', 'vision'):
            kind = getattr(self, field)
            if kind is not None and kind not in quant.KINDS:
                raise UserError(f'quantize.{field} {kind!r} must be None or one of {quant.KINDS}.')
        if self.block < quant.SMALLEST_BLOCK or self.block & (self.block - 1):
            raise UserError(f'quantize.block {self.block} must be 16, 32, 64 or a higher power.')


@dataclasses.dataclass(frozen=True)
class EmolaConfig:
    """The whole model.

    Attributes:
        vision: None leaves the image out (a model of landmarks and text).
        lora: None leaves the language model as it is.
        prior: the paper's prior token.
        more_priors: (name, prior) of further ones, each with a projector and a token of its own; in
            a config file a mapping from name to fields. Sorted by name.
        projector_rms: None as published; a number rescales every visual token to that root mean
            square, which a small language model with small embeddings needs in order to learn soon.
        dtype: of activations and matrix products; norms, softmax and logits are always float32.
        param_dtype: of frozen weights; what trains (LoRA, projectors) is always float32.
        remat: what the backward pass keeps instead of computing it again, by name; see
            `layers.REMAT`.
        scan: layers stacked on axis 0 and run in a compiled loop; False unrolls them, with one
            subtree a layer (`stack_layers` and `unstack_layers` go between the two).
        quantize: None, or how the frozen matrices are stored. A config file says it in
            `base.quantize`, since a checkpoint's model is the same without.
    """

    vision: VisionConfig | None = VisionConfig()
    llm: LlamaConfig = LlamaConfig()
    lora: LoraConfig | None = LoraConfig()
    prior: PriorConfig = PriorConfig()
    more_priors: tuple[tuple[str, PriorConfig], ...] = ()
    projector_rms: float | None = None
    dtype: str = 'float32'
    param_dtype: str = 'float32'
    remat: str = 'none'
    scan: bool = True
    quantize: QuantConfig | None = None

    def __post_init__(self) -> None:
        for field, allowed in (
            ('dtype', DTYPES),
            ('param_dtype', DTYPES),
            ('remat', REMAT_POLICIES),
        ):
            if getattr(self, field) not in allowed:
                raise UserError(f'{field} {getattr(self, field)!r} must be one of {allowed}.')
        names = [name for name, _ in self.more_priors]
        if names != sorted(set(names)):
            raise UserError(f'more_priors {names} must have different names, sorted.')
        if len({prior.source for prior in self.priors} & {'disk', 'shuffled'}) > 1:
            raise UserError(
                "prior.source 'disk' and 'shuffled' exclude each other: a batch holds one set of "
                'landmarks.'
            )

    @property
    def use_vision(self) -> bool:
        """Whether a conversation has patch tokens."""
        return self.vision is not None

    @property
    def visual_tokens(self) -> int:
        """Positions that the image and the prior of one conversation fill."""
        patches = self.vision.tokens if self.vision is not None else 0
        return patches + len(self.priors)

    @property
    def priors(self) -> tuple[PriorConfig, ...]:
        """Those that are enabled, each one token; the paper's comes first."""
        every = (self.prior, *(prior for _, prior in self.more_priors))
        return tuple(prior for prior in every if prior.enabled)

    @property
    def computes_landmarks(self) -> bool:
        """Whether the landmark expert is a part of the model."""
        return any(prior.source == 'image' for prior in self.priors)

    @property
    def shuffles_landmarks(self) -> bool:
        """Whether each record is shown the landmarks of another one."""
        return any(prior.source == 'shuffled' for prior in self.priors)

    @property
    def reads_landmarks(self) -> bool:
        """Whether batches need landmarks."""
        return any(prior.source != 'image' for prior in self.priors)

    @property
    def landmark_inputs(self) -> int:
        """Numbers in a batch's landmarks."""
        return next(prior.inputs for prior in self.priors if prior.source != 'image')

    @property
    def reads_images(self) -> bool:
        """Whether batches need images."""
        return self.vision is not None or self.computes_landmarks

    def replace(self, **changes: Any) -> EmolaConfig:
        """A copy with other fields."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> JsonObject:
        """Nested plain values (JSON-ready); `from_config_dict` reads them back."""
        values = dataclasses.asdict(self)
        return {**values, 'more_priors': dict(values['more_priors'])}

    @classmethod
    def from_config_dict(cls, config: JsonObject) -> EmolaConfig:
        """Builds the record from an `ml_collections.ConfigDict` or a plain nested mapping.

        Fields left out keep their defaults.

        Raises:
            UserError: an unknown field, or a value that the record refuses.
        """
        values = dict(config.items())
        for field, section in _SECTIONS.items():
            if values.get(field) is not None:
                values[field] = _record(section, values[field], f'{field}.')
        values['more_priors'] = tuple(
            (name, _record(PriorConfig, prior, f'more_priors.{name}.'))
            for name, prior in sorted(dict(values.get('more_priors') or {}).items())
        )
        return _record(cls, values, '')


_SECTIONS: dict[str, type] = {
    'vision': VisionConfig,
    'llm': LlamaConfig,
    'lora': LoraConfig,
    'prior': PriorConfig,
    'quantize': QuantConfig,
}


def _record(cls: type, values: JsonObject, prefix: str) -> Any:
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(values.keys()) - known)
    if unknown:
        names = ', '.join(prefix + name for name in unknown)
        raise UserError(f'Unknown model field(s) {names}; expected some of {sorted(known)}.')
    # Lists (JSON, ConfigDict) become tuples: a record must be hashable.
    plain = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return cls(**plain)


LLAVA_1_5_7B = EmolaConfig(dtype='bfloat16', param_dtype='bfloat16', remat='full')
"""The paper's model: Vicuna-7B v1.5, CLIP ViT-L/14 at 336 px, LoRA of rank 128."""

SMOLLM2_135M = EmolaConfig(
    vision=VisionConfig(
        image_size=96,
        patch_size=16,
        width=128,
        layers=4,
        heads=4,
        mlp=512,
        feature_layer=-1,
        spatial_merge=2,
    ),
    llm=LlamaConfig(
        vocab=49152,
        width=576,
        layers=30,
        heads=9,
        kv_heads=3,
        head_dim=64,
        mlp=1536,
        rope_theta=100000.0,
        tied_embeddings=True,
    ),
    lora=LoraConfig(rank=16, alpha=32.0, dropout=0.0),
    prior=PriorConfig(standardize=True),
    projector_rms=0.136,
)
"""A real small LLaMA with a small vision tower: trains on a CPU."""

TINY = EmolaConfig(
    vision=VisionConfig(image_size=28, patch_size=14, width=16, layers=3, heads=2, mlp=32),
    llm=LlamaConfig(
        vocab=300,
        width=32,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=8,
        mlp=48,
    ),
    lora=LoraConfig(rank=4, alpha=8.0, dropout=0.0),
)
"""Random weights, a few milliseconds a step: for tests."""
