"""An evaluation's questions through a `stream`: which question takes which row, and when."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from emola_jax.config.eval import EvalConfig
from emola_jax.evaluation.questions import Question
from emola_jax.generation import continuous
from emola_jax.generation.continuous import State, Stream
from emola_jax.models.emola import Emola, Params
from emola_jax.parallel import sharding
from emola_jax.parallel.sharding import HostRows
from input_pipeline.prompt_batches import bucket

Prompts = Callable[[Mapping[int, Question], HostRows, int], dict[str, np.ndarray]]
"""(question by row, rows of this host, length) -> this host's prompts, with 'keys' u32[rows, 2]."""


def plan(
    model: Emola, questions: Sequence[Question], config: EvalConfig, eos_id: int, mesh: Mesh
) -> Stream:
    """The stream that answers `questions`."""
    devices = sharding.batch_devices(mesh)

    def fit(rows: int) -> int:
        return -(-rows // devices) * devices

    rows = fit(min(config.batch_size, len(questions)))
    return Stream(
        model=model,
        rows=rows,
        refill=min(fit(config.refill), rows),
        prompt=max(bucket(question.length) for question in questions),
        room=max(config.max_new_tokens[question.task] for question in questions),
        eos_id=eos_id,
        sampler=config.sampler,
        devices=devices,
    )


def answers(
    settings: Stream,
    params: Params,
    questions: Sequence[Question],
    limits: Mapping[str, int],
    prompts: Prompts,
    mesh: Mesh,
) -> Iterator[tuple[int, dict[Question, np.ndarray]]]:
    """Answers all questions, those with room for the longest answers first.

    Every host makes the same choices, since all see which rows have ended.

    Args:
      settings: of `plan`.
      params: of the model, on the mesh.
      questions: what to answer.
      limits: new tokens by task.
      prompts: makes this host's rows.
      mesh: the devices.

    Yields:
      How many questions have been answered since the last time, and the tokens of those answers
      that this host owns, each up to its limit.
    """
    queue = collections.deque(sorted(questions, key=lambda q: (-limits[q.task], -bucket(q.length))))
    own = sharding.host_rows(settings.rows, mesh)
    asked: dict[int, Question] = {}
    state: State | None = None
    while queue or asked:
        while given := _next_questions(settings, queue, asked):
            state = _admit(settings, params, state, given, limits, prompts, mesh)
            asked |= {row: question for row, (_, question) in given.items()}
        assert state is not None
        ended = settings.rows - len(asked)
        wanted = min(max(settings.refill, ended + 1), settings.rows)
        with jax.set_mesh(mesh):
            state = continuous.advance(settings, params, state, np.int32(wanted))
        done = _everywhere(state.done, mesh)
        harvest = {row: asked.pop(row) for row in sorted(asked) if done[row]}
        tokens = sharding.fetch_rows(state.answers, mesh)
        yield (
            len(harvest),
            {q: tokens[row][: limits[q.task]] for row, q in harvest.items() if row in own.owned},
        )


def _next_questions(
    settings: Stream, queue: collections.deque[Question], asked: Mapping[int, Question]
) -> dict[int, tuple[int, Question]]:
    """Row -> (place among the prompts, question); none while too few rows are free.

    A device's rows take prompts of the same device only, so none are sent around.
    """
    own_rows, own_prompts = (n // settings.devices for n in (settings.rows, settings.refill))
    places: list[tuple[int, int]] = []
    for device in range(settings.devices):
        rows = range(device * own_rows, (device + 1) * own_rows)
        free = [row for row in rows if row not in asked]
        first = device * own_prompts
        places += zip(free, range(first, first + own_prompts), strict=False)
    enough = min(settings.refill, len(queue))
    if len(places) < enough and asked:
        return {}
    return {row: (place, queue.popleft()) for row, place in places[: len(queue)]}


def _admit(
    settings: Stream,
    params: Params,
    state: State | None,
    given: Mapping[int, tuple[int, Question]],
    limits: Mapping[str, int],
    prompts: Prompts,
    mesh: Mesh,
) -> State:
    held = sharding.host_rows(settings.refill, mesh)
    questions = dict(given.values())
    length = max(bucket(question.length) for question in questions.values())
    arrays = prompts(questions, held, length)
    arrays['limits'] = np.asarray(
        [limits[questions[row].task] if row in questions else 0 for row in held.held], np.int32
    )
    batch = sharding.place_rows(arrays, held, mesh)
    own = sharding.host_rows(settings.rows, mesh)
    source = np.full(settings.rows, -1, np.int32)
    for row, (place, _) in given.items():
        source[row] = place % (settings.refill // settings.devices)
    placed = sharding.place_rows({'source': source[list(own.held)]}, own, mesh)['source']
    if state is None:
        without = {name: leaf for name, leaf in batch.items() if name not in ('keys', 'limits')}
        state = continuous.empty(settings, params, without, mesh)
    with jax.set_mesh(mesh):
        return continuous.admit(settings, params, state, batch, placed)


def _everywhere(array: jax.Array, mesh: Mesh) -> np.ndarray:
    whole = jax.jit(lambda x: x, out_shardings=sharding.replicated(mesh))(array)
    return np.asarray(whole)
