"""Longest common subsequences of long texts, in memory that grows with one text, not their product.

A text is one row of words as numbers, with `SEPARATOR` before each sentence, as in `rouge_batch`,
whose algorithm this is: a Python integer is the row of bits. The table's rows, which the way back
needs, are computed again from every `_BLOCK`-th one.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Sequence

SEPARATOR = -1

_BLOCK = 256
_MASK_BYTES = 64 << 20
"""Of the bits of words that are kept, in all."""
_FLIPPED = bytes(int(f'{byte:08b}'[::-1], 2) for byte in range(256))


def union_hits(prediction: Sequence[int], reference: Sequence[int]) -> list[bool]:
    """Which words of the reference lie on a common subsequence that the `rouge` package keeps.

    Args:
      prediction: words and separators, beginning with one.
      reference: the same.
    """
    n = len(prediction)
    full = (1 << n) - 1
    mask, mask_back = _masks(prediction), _masks(prediction[::-1])
    fresh = full ^ mask(SEPARATOR)
    ends = _flipped(fresh & ~(fresh >> 1), n)

    hits = [False] * len(reference)
    starts = _starts(reference, mask, fresh)
    place = ends
    for block in reversed(range(len(starts))):
        rows = range(block * _BLOCK, min(len(reference), (block + 1) * _BLOCK))
        table = _passed([reference[i] for i in rows], starts[block], mask, fresh)
        for i, passed in zip(reversed(rows), reversed(table), strict=True):
            if reference[i] == SEPARATOR:
                place = ends
                continue
            passed = _flipped(passed, n)
            landed = passed + place
            landed = (landed ^ (landed & passed)) & full
            taken = landed & mask_back(reference[i])
            place = ((taken << 1) & full) | (landed ^ taken)
            hits[i] = taken != 0
    return hits


def length(prediction: Sequence[int], reference: Sequence[int]) -> int:
    """Length of the longest common subsequence of two texts of one sentence each."""
    full = (1 << len(prediction)) - 1
    mask, steps = _masks(prediction), full
    for word in reference:
        if word != SEPARATOR:
            pushed = steps & mask(word)
            steps = ((steps + pushed) | (steps ^ pushed)) & full
    return len(prediction) - steps.bit_count()


def _starts(reference: Sequence[int], mask: Callable[[int], int], fresh: int) -> list[int]:
    """The steps before the first row of each block; a bit is 0 where the table grows by one."""
    starts, steps = [], fresh
    for i, word in enumerate(reference):
        if i % _BLOCK == 0:
            starts.append(steps)
        if word == SEPARATOR:
            steps = fresh
        else:
            pushed = steps & mask(word)
            steps = ((steps + pushed) | (steps ^ pushed)) & fresh
    return starts


def _passed(rows: Sequence[int], steps: int, mask: Callable[[int], int], fresh: int) -> list[int]:
    """Of each row the columns that a walk back passes on its way to the left."""
    found = []
    for word in rows:
        if word == SEPARATOR:
            found.append(0)
            steps = fresh
            continue
        matches = mask(word)
        pushed = steps & matches
        total = steps + pushed
        after = total | (steps ^ pushed)
        carried = total ^ steps ^ pushed
        passed = (after | pushed | (carried & steps)) & fresh
        found.append(passed ^ (passed & matches))
        steps = after & fresh
    return found


def _masks(row: Sequence[int]) -> Callable[[int], int]:
    """Word -> the bits of its places in the row."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, word in enumerate(row):
        places[word].append(place)

    @functools.lru_cache(max(64, 8 * _MASK_BYTES // max(1, len(row))))
    def mask(word: int) -> int:
        found = places.get(word, ())
        bits = bytearray(len(row) // 8 + 1 if found else 0)
        for place in found:
            bits[place >> 3] |= 1 << (place & 7)
        return int.from_bytes(bits, 'little')

    return mask


def _flipped(bits: int, size: int) -> int:
    """The `size` lowest bits in reverse order."""
    whole = -(-size // 8)
    content = bits.to_bytes(whole, 'little').translate(_FLIPPED)
    return int.from_bytes(content, 'big') >> (8 * whole - size)
