"""Texts that may follow as token sequences: a tree, and the stems that lead to it.

opening | AU  1 | , AU  1 | , AU  2
          ^ 2     ^ 2 5 7     ^ 0 3 …      each ^ is the root of the same tree
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int32

from emola_jax.errors import UserError
from emola_jax.predict.answer_forms import AuList, stem
from input_pipeline.conversation import TextEncoder

Values = np.ndarray | jax.Array


class TokenTree(NamedTuple):
    """C alternatives, none of which is another one, as arrays of a compiled program (NumPy or JAX).

    Position 0 is the root (the last token of what comes before), position 1 + n is inner node n.

    Attributes:
      tokens: i32[N], of the inner nodes: what is fed to the model.
      depth: i32[N], 0 right after the root.
      ancestors: bool[N, N], row n: the inner nodes on the way to n, itself included.
      steps: i32[C, D], the positions that predict an alternative's tokens.
      targets: i32[C, D], those tokens.
      used: bool[C, D], which of them there are.
      end: i32[C], the position of an alternative's last token if others go on from it, else 0.
      longer: i32[C, K], the tokens with which others go on.
      has_longer: bool[C, K], which of them there are.
    """

    tokens: Int32[Values, 'N']
    depth: Int32[Values, 'N']
    ancestors: Bool[Values, 'N N']
    steps: Int32[Values, 'C D']
    targets: Int32[Values, 'C D']
    used: Bool[Values, 'C D']
    end: Int32[Values, 'C']
    longer: Int32[Values, 'C K']
    has_longer: Bool[Values, 'C K']

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int]]) -> TokenTree:
        """The tree of these token sequences, all different and none empty."""
        paths = [tuple(sequence) for sequence in sequences]
        prefixes = sorted(
            {path[:length] for path in paths for length in range(1, len(path))},
            key=lambda prefix: (len(prefix), prefix),
        )
        place = {(): 0} | {prefix: 1 + n for n, prefix in enumerate(prefixes)}
        steps = [[place[path[:length]] for length in range(len(path))] for path in paths]
        following = [
            sorted({p[len(path)] for p in paths if len(p) > len(path) and p[: len(path)] == path})
            for path in paths
        ]
        padded_steps, used = _padded(steps)
        longer, has_longer = _padded(following)
        return cls(
            tokens=np.array([prefix[-1] for prefix in prefixes], np.int32),
            depth=np.array([len(prefix) - 1 for prefix in prefixes], np.int32),
            ancestors=np.array(
                [[n[: len(a)] == a for a in prefixes] for n in prefixes], bool
            ).reshape(len(prefixes), len(prefixes)),
            steps=padded_steps,
            targets=_padded(paths)[0],
            used=used,
            end=np.array([place.get(path, 0) for path in paths], np.int32),
            longer=longer,
            has_longer=has_longer,
        )


class Stems(NamedTuple):
    """Texts that lead to a tree's root, padded on the left.

    Attributes:
      tokens: i32[…, T].
      valid: bool[…, T], which there are.
      counted: bool[…, T], those that say that a list goes on.
    """

    tokens: Int32[Values, '*n T']
    valid: Bool[Values, '*n T']
    counted: Bool[Values, '*n T']


def words_after(
    encoder: TextEncoder, opening: str, words: Sequence[str]
) -> tuple[Stems, TokenTree]:
    """The opening, i32[1, T], and the tree of the words after it."""
    full = [encoder.encode(opening + word) for word in words]
    common = _common(full)
    stems = _stems([(full[0][:common], [False] * common)])
    return stems, TokenTree.build([ids[common:] for ids in full])


def au_lists(encoder: TextEncoder, form: AuList, codes: Sequence[int]) -> tuple[Stems, TokenTree]:
    """Everything that a list of `codes` may consist of.

    Returns:
      Stems [R, 1 + C, T]: [r, 1 + c] leads from code c to the next number, which is the r-th of the
      list from 0 (R is 1 where the place doesn't matter); [r, 0] opens the list. And the tree of
      the codes.

    Raises:
      UserError: the tokenizer writes a code differently in different places.
    """
    opened = [encoder.encode(form.opening + str(code)) for code in codes]
    start = _common(opened)
    tree = [tuple(ids[start:]) for ids in opened]
    opening = (opened[0][:start], [False] * start)
    rows = len(codes) if '{number}' in form.joiner else 1
    stems = []
    for row in range(rows):
        stems.append(opening)
        for code in codes:
            given, joiner = stem(form, max(row, 1), code)
            before = form.opening + str(code) + given
            full = [encoder.encode(before + joiner + str(other)) for other in codes]
            common = _common(full)
            if [tuple(ids[common:]) for ids in full] != tree or full[0][:start] != opening[0]:
                raise UserError(
                    f'the tokenizer writes the action units behind {joiner!r} and behind '
                    f'{form.opening!r} differently; no probabilities can be read from its lists'
                )
            spans = encoder.spans(before + joiner + str(codes[0]))[start:common]
            edges = len(before), len(before + joiner)
            counted = [first < edges[1] and last > edges[0] for first, last in spans]
            stems.append((full[0][start:common], counted))
    flat = _stems(stems)
    shape = (rows, 1 + len(codes), -1)
    return Stems(*(part.reshape(shape) for part in flat)), TokenTree.build(tree)


def _stems(parts: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> Stems:
    longest = max(len(tokens) for tokens, _ in parts)
    shape = (len(parts), longest)
    made = Stems(np.zeros(shape, np.int32), np.zeros(shape, bool), np.zeros(shape, bool))
    for row, (tokens, counted) in enumerate(parts):
        first = longest - len(tokens)
        made.tokens[row, first:] = tokens
        made.valid[row, first:] = True
        made.counted[row, first:] = counted
    return made


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """How many first tokens all share; at least one more of each is left over."""
    shortest = min(len(ids) for ids in sequences) - 1
    for length in range(shortest):
        if len({ids[length] for ids in sequences}) > 1:
            return length
    return shortest


def _padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    longest = max((len(row) for row in rows), default=0)
    values = np.zeros((len(rows), longest), np.int32)
    used = np.zeros((len(rows), longest), bool)
    for number, row in enumerate(rows):
        values[number, : len(row)] = row
        used[number, : len(row)] = True
    return values, used
