"""Whole files for the fuzzers, and seeded damage to them: bytes, and values of JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Mutate = Callable[[bytes, random.Random], bytes]

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 2**31, 2**63, -(2**63), 10**18, 1_000_000, 10**400),
    *(0.0, -0.5, 1e-9, 1e9, 1e308, float('inf'), float('nan')),
    *('', 'x', '0', 'x' * 5000, '\ud800', '\0', '../../x', '/etc/passwd', 'a/b', '\u2028'),
    *([], [0], [None], ['x'], [[]], [1] * 1000, {}, {'x': 1}, {'': {}}),
)
"""Values of other types, signs and sizes than any field holds."""

_WORDS = (
    b'\0',
    b'\xff',
    b'{',
    b'}',
    b'[',
    b']',
    b'"',
    b',',
    b'\n',
    b'AU(',
    b'be ',
    b'-1',
    b'1e999',
)


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flips, sets, cuts, repeats, inserts or overwrites with large numbers, some times each."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not changed:
            return bytes(changed)
        # Headers are where sizes stand.
        at = rng.randrange(min(len(changed), rng.choice((64, 512, len(changed)))))
        kind = rng.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at] = rng.choice((0, 1, 127, 128, 254, 255, rng.randrange(256)))
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            width = rng.choice((2, 4, 8))
            number = rng.choice((0, 1, 2**15, 2 ** (8 * width - 1), 2 ** (8 * width) - 1))
            order = rng.choice(('little', 'big'))
            changed[at : at + width] = (number % 2 ** (8 * width)).to_bytes(width, order)
        elif kind == 4:
            end = min(len(changed), at + rng.randrange(1, 64))
            changed[at:at] = changed[at:end] * rng.choice((1, 2, 50, 1000))
        elif kind == 5:
            del changed[at : at + rng.randrange(1, 64)]
        else:
            changed[at:at] = rng.choice(_WORDS) * rng.choice((1, 1, 10, 2000))
    return bytes(changed[: 1 << 20])


def damaged_json(content: bytes, rng: random.Random) -> bytes:
    """Sets, removes, wraps or repeats values anywhere; now and then damages the bytes."""
    if rng.random() < 0.15:
        return damaged_bytes(content, rng)
    value = json.loads(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _damaged_value(value, rng)
    return json.dumps(value).encode('utf-8', 'surrogatepass')


def damaged_lines(content: bytes, rng: random.Random) -> bytes:
    """One of several JSON lines damaged, or the bytes."""
    lines = content.split(b'\n')
    if rng.random() < 0.3 or len(lines) < 2:
        return damaged_bytes(content, rng)
    at = rng.randrange(len(lines) - 1)
    lines[at] = damaged_json(lines[at], rng)
    return b'\n'.join(lines)


def _damaged_value(value: Any, rng: random.Random) -> Any:
    places = list(_places(value))
    if not places:
        return rng.choice(ODD)
    holder, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind <= 2:
        holder[key] = rng.choice(ODD)
    elif kind == 3:
        del holder[key]
    elif kind == 4:
        for _ in range(rng.choice((1, 3, 200))):
            holder[key] = rng.choice(([holder[key]], {'x': holder[key]}))
    elif isinstance(holder, dict):
        holder[rng.choice(('', 'x', 'auto_map', str(key) * 3))] = rng.choice(ODD)
    else:
        holder.append(rng.choice(ODD))
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict | list):
        return []
    found, waiting = [], [value]
    while waiting:
        here = waiting.pop()
        keys = here.keys() if isinstance(here, dict) else range(len(here))
        for key in keys:
            found.append((here, key))
            if isinstance(here[key], dict | list):
                waiting.append(here[key])
    return found
