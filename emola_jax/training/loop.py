"""The training loop, read from top to bottom."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh

from emola_jax.config.run import RunConfig
from emola_jax.config.sections import OptimiserConfig, TrainConfig
from emola_jax.errors import Preempted, UserError
from emola_jax.experiment import prepare as experiments
from emola_jax.experiment import state as train_state
from emola_jax.experiment.checkpoint import Checkpoints, abstract_state
from emola_jax.experiment.prepare import Experiment
from emola_jax.experiment.splits import Split
from emola_jax.experiment.state import TrainState
from emola_jax.files.whole import write_json
from emola_jax.models.emola import Emola, Params, restack_params, unroll, unroll_params
from emola_jax.parallel import cpu_compiler, cpu_memory, host_watch, preemption, sharding
from emola_jax.training import optimiser as optim
from emola_jax.training import validation
from emola_jax.training.log import TrainLog
from emola_jax.training.loss import chunked_next_token_loss
from input_pipeline.batch_plan import RowPlan
from input_pipeline.pipeline import plan_rows, train_batches

Metrics = dict[str, jax.Array]


def train(experiment: Experiment) -> TrainState:
    """Trains for `total_steps`, going on from the newest checkpoint if there is one.

    Writes checkpoints, config.json, metrics.jsonl and TensorBoard events into the workdir; of
    several hosts each reads its own rows, and the first writes what isn't shared out.

    Raises:
      UserError: the loss or the gradient norm is not finite; says at which step, on which records.
      Preempted: SIGTERM came; the last step is saved.
    """
    config, mesh = experiment.config.train, experiment.mesh

    # ------------------------------------------- state, from the newest checkpoint or new
    plan = planned(experiment)
    steps = total_steps(experiment.config, plan)
    optimiser = _optimiser(config.optimiser, steps)
    state = new_state(experiment, optimiser)
    model, frozen = experiment.model, experiment.frozen
    if config.unroll:
        model, frozen = unroll(model, frozen)
    do_step = jitted_step(model, optimiser, config, mesh)
    checkpoints, state = _resumed(experiment, state, plan)
    start = int(state.step)
    log = _log(experiment, start, steps)

    # ---------------------------------------------------------------- data
    own = sharding.host_rows(config.batch_size, mesh)
    source, encoder = _trained_split(experiment).source, experiment.data.encoder
    batches = iter(train_batches(source, encoder, plan, rows=own.held, first=start))

    # ---------------------------------------------------------------- loop
    dropout_key = jax.random.key(experiment.config.seed)
    with _leaving() as stops_behind:
        for step in range(start + 1, steps + 1):
            asked = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - asked
            record_index = batch.pop('record_index')
            on_mesh = sharding.place_rows(batch, own, mesh)
            key = jax.random.fold_in(dropout_key, step)
            with jax.set_mesh(mesh):
                if step == start + 1:
                    cpu_memory.compile_apart(do_step, state, frozen, on_mesh, key)
                state, metrics = do_step(state, frozen, on_mesh, key)
            log.add(step, metrics, record_index, waited)
            leaving = stops_behind(step) and step < steps
            validates = validation.is_due(experiment, step) and not leaving
            if leaving or validates or step % config.checkpoint_every == 0 or step == steps:
                log.flush()  # a state that isn't finite is never saved
                score = validation.score(experiment, state.trainable, step) if validates else None
                log.saved(checkpoints.save(state, plan.fingerprint(), score))
                cpu_memory.give_back()  # a gap that validating or saving broke, and all at the end
            if leaving:
                break

        log.close()
        checkpoints.close()
        batches.close()
        _check_ended(int(state.step), steps)
    return state


def _check_ended(step: int, steps: int) -> None:
    if step < steps:
        raise Preempted(
            f'stopped by SIGTERM after step {step} of {steps}, which is saved; the same command '
            'goes on from there'
        )


def _optimiser(config: OptimiserConfig, steps: int) -> optax.GradientTransformation:
    if optim.is_idle(config, steps):
        print(
            f'{steps} step of warm-up and none after it: its learning rate is 0, so nothing is '
            'trained (train.optimiser.warmup_ratio 0 does without warm-up)'
        )
    return optim.make_optimiser(config, steps)


def _resumed(
    experiment: Experiment, state: TrainState, plan: RowPlan
) -> tuple[Checkpoints, TrainState]:
    """The run's checkpoints, and the newest of them in place of `state`; writes config.json."""
    workdir, metadata = experiment.workdir, experiments.metadata(experiment)
    keep = experiment.config.train.keep_checkpoints
    checkpoints = Checkpoints(workdir, keep=keep, metadata=metadata)
    if checkpoints.latest_step() is not None:
        state = checkpoints.restore(abstract_state(state), plan.fingerprint())
    if jax.process_index() == 0:
        write_json(workdir / 'config.json', metadata)
    return checkpoints, state


def _log(experiment: Experiment, start: int, steps: int) -> TrainLog:
    config, source = experiment.config.train, _trained_split(experiment).source
    return TrainLog(
        experiment.workdir,
        start=start,
        steps=steps,
        every=config.log_every,
        rate=optim.schedule(config.optimiser, config.optimiser.lr, steps),
        name_record=lambda index: source[index].id,
        writes=jax.process_index() == 0,
    )


def _trained_split(experiment: Experiment) -> Split:
    return experiment.data.splits[experiment.config.data.train_split]


@contextlib.contextmanager
def _leaving() -> Iterator[Callable[[int], bool]]:
    """Yields a function that says, for a step that was started, whether to stop after it.

    SIGTERM before the first step (which is compiled) ends the run at once: nothing is to be saved.
    """
    watch = host_watch.watch()
    if watch is not None:
        with watch.training():
            yield watch.stops_behind
        return
    with contextlib.ExitStack() as put_off:
        came: Callable[[], bool] | None = None

        def stops_behind(step: int) -> bool:
            nonlocal came
            came = came or put_off.enter_context(preemption.put_off())
            return came()

        yield stops_behind


def jitted_step(
    model: Emola, optimiser: optax.GradientTransformation, config: TrainConfig, mesh: Mesh
) -> Any:
    """`train_step` as the loop runs it and `emola_jax.compile` compiles it; call it under `mesh`.

    Args:
      model: unrolled if `config.unroll` says so.
      optimiser: over the trainable subtree.
      config: the config's `train` section.
      mesh: the devices.

    Raises:
      UserError: `config.batch_size` cannot be split as `config.accumulate` says.
    """
    step = functools.partial(
        train_step,
        model=model,
        optimiser=optimiser,
        loss_chunk=config.loss_chunk,
        unroll_trainable=config.unroll,
        accumulate=_micro_batches(config, mesh),
    )
    on_cpu = mesh.devices.flat[0].platform == 'cpu'
    options = cpu_compiler.known(cpu_compiler.KEEPS_BARRIERS) if on_cpu else None
    return jax.jit(step, donate_argnums=0, compiler_options=options)


def train_step(
    state: TrainState,
    frozen: Params,
    batch: dict[str, jax.Array],
    dropout_key: jax.Array,
    *,
    model: Emola,
    optimiser: optax.GradientTransformation,
    loss_chunk: int,
    unroll_trainable: bool = False,
    accumulate: int = 1,
) -> tuple[TrainState, Metrics]:
    """One optimiser step on the trainable subtree; the frozen part gets no gradient.

    Args:
      state: donated.
      frozen: the rest of the parameters.
      batch: see `input_pipeline.pipeline`.
      dropout_key: for LoRA's dropout.
      model: the Flax module.
      optimiser: over the trainable subtree.
      loss_chunk: see `chunked_next_token_loss`.
      unroll_trainable: `model` and `frozen` are unrolled, and `state` is not.
      accumulate: micro-batches that the batch is run in, one after the other; the loss is the mean
        of theirs, as in the reference.

    Returns:
      The new state, and scalars: 'loss' in nats a token, 'grad_norm' before clipping, 'tokens' that
      aren't padding.
    """

    def loss_of(trainable: Params, rows: dict[str, jax.Array], key: jax.Array) -> jax.Array:
        return _loss(model, train_state.merge(frozen, trainable), rows, key, loss_chunk)

    def run(
        trainable: Params, rows: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, Params]:
        if not unroll_trainable:
            return jax.value_and_grad(loss_of)(trainable, rows, key)
        # The gradient of taking a stack apart would be a sum of as many whole stacks.
        loss, gradients = jax.value_and_grad(loss_of)(unroll_params(trainable), rows, key)
        return loss, restack_params(gradients)

    if accumulate == 1:
        loss, gradients = run(state.trainable, batch, dropout_key)
    else:
        loss, gradients = _accumulated(run, state.trainable, batch, dropout_key, accumulate)
    updates, opt_state = optimiser.update(gradients, state.opt_state, state.trainable)
    new = TrainState(
        step=state.step + 1,
        trainable=optax.apply_updates(state.trainable, updates),
        opt_state=opt_state,
    )
    metrics = {
        'loss': loss,
        'grad_norm': optax.global_norm(gradients),
        'tokens': (batch['segment_ids'] > 0).sum(),
    }
    return new, metrics


def _loss(
    model: Emola, params: Params, rows: dict[str, jax.Array], key: jax.Array, chunk: int
) -> jax.Array:
    outputs: Any = model.apply(
        {'params': params},
        rows,
        deterministic=False,
        rngs={'dropout': key},
        method=Emola.hidden_and_head,
    )
    hidden, head = outputs
    return chunked_next_token_loss(
        hidden,
        head,
        rows['targets'],
        rows['loss_weights'],
        chunk=chunk,
        vocab_axis=0 if model.cfg.llm.tied_embeddings else 1,
    )


def _accumulated(
    run: Callable[[Params, dict[str, jax.Array], jax.Array], tuple[jax.Array, Params]],
    trainable: Params,
    batch: dict[str, jax.Array],
    key: jax.Array,
    count: int,
) -> tuple[jax.Array, Params]:
    """Mean loss and mean gradients over `count` parts of the batch, of which one is in memory.

    Part i is rows i, i + count, …, so that every device keeps the rows that it has. A part without
    a trained token, as a partial batch may have, does not count.
    """

    def split(leaf: jax.Array) -> jax.Array:
        return leaf.reshape(-1, count, *leaf.shape[1:]).swapaxes(0, 1)

    def add(total: Any, part: tuple[dict[str, jax.Array], jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, run(trainable, *part)), None

    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, trainable))
    parts = (jax.tree.map(split, batch), jax.random.split(key, count))
    total, _ = jax.lax.scan(add, zero, parts)
    trained = (parts[0]['loss_weights'] > 0).any(axis=(1, 2)).sum()
    loss, gradients = jax.tree.map(lambda leaf: leaf / jnp.maximum(trained, 1), total)
    return loss, gradients


def _micro_batches(config: TrainConfig, mesh: Mesh) -> int:
    devices = sharding.batch_devices(mesh)
    if config.accumulate < 1 or config.batch_size % (config.accumulate * devices):
        raise UserError(
            f'train.batch_size {config.batch_size} must be a multiple of train.accumulate '
            f'{config.accumulate} times the {devices} devices that share a batch'
        )
    return config.accumulate


def planned(experiment: Experiment) -> RowPlan:
    """Which of the usable records stand in which batch."""
    split = _trained_split(experiment)
    selected = split.selection
    return plan_rows(
        split.source, selected.indices, experiment.data.encoder, lengths=selected.lengths
    )


def total_steps(config: RunConfig, plan: RowPlan) -> int:
    """Optimiser steps of the run: `train.steps`, or `train.epochs` over the plan's records.

    Raises:
      UserError: there is no step to do.
    """
    if config.train.steps is not None:
        return config.train.steps
    assert config.train.epochs is not None
    steps = plan.steps(config.train.epochs)
    if steps < 1:
        raise UserError(
            f'train.epochs {config.train.epochs} over {len(plan.indices)} records makes no batch '
            f'of train.batch_size {config.train.batch_size}; use a smaller batch, or '
            "train.last_batch 'keep'"
        )
    return steps


def new_state(experiment: Experiment, optimiser: optax.GradientTransformation) -> TrainState:
    """The state of a run that has done no step."""
    trainable = experiment.trainable
    shardings = jax.tree.map(
        lambda leaf: leaf.sharding, state_shapes(trainable, optimiser, experiment.mesh)
    )
    return TrainState(
        step=jax.device_put(jnp.zeros((), jnp.int32), shardings.step),
        trainable=trainable,
        opt_state=jax.jit(optimiser.init, out_shardings=shardings.opt_state)(trainable),
    )


def state_shapes(
    trainable: Params, optimiser: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """Shape, dtype and sharding of a state's leaves; moments are placed as their parameters are.

    Args:
      trainable: arrays, or their shapes with shardings.
      optimiser: over the trainable subtree.
      mesh: the devices.
    """
    replicated = sharding.replicated(mesh)
    places = {path: leaf.sharding for path, leaf in flatten_dict(trainable).items()}

    def place(path: tuple[object, ...], leaf: Any) -> jax.ShapeDtypeStruct:
        # A moment's path ends with the path of its parameter.
        keys = tuple(key.key for key in path if isinstance(key, jax.tree_util.DictKey))
        ends = (keys[start:] for start in range(len(keys)))
        where = next((places[end] for end in ends if end in places), replicated)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)

    step: Any = jax.ShapeDtypeStruct((), jnp.int32)
    shapes = TrainState(step, trainable, jax.eval_shape(optimiser.init, trainable))
    return jax.tree_util.tree_map_with_path(place, shapes)
