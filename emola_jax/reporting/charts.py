"""Charts as inline SVG: they scale, print and take the page's own colours and fonts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from markupsafe import Markup, escape

Place = TypeVar('Place', float, np.ndarray)


class Scale(Protocol):
    """A linear map to pixels, of one number or of an array of them."""

    def __call__(self, value: Place, /) -> Place:
        """Where `value` is drawn."""
        ...


WIDTH, HEIGHT = 520, 190
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 8, 26

SMOOTHING_WINDOWS = 25
"""The bold line averages over windows of this fraction (1/25) of the points."""


def line_chart(xs: Sequence[float], ys: Sequence[float], *, label: str) -> Markup:
    """Draws y over x: every point as a thin line, a running mean as a bold one.

    Args:
      xs: rising.
      ys: as many; values that aren't finite are left out.
      label: what y is, for readers that do not see the picture.

    Returns:
      An `<svg>` element; styled by the classes axis, grid, raw and mean. Without a finite point, a
      paragraph that says so.
    """
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    if not points:
        return Markup('<p class="quiet">nothing was logged</p>')
    x, y = np.asarray(points, np.float64).T
    x_ticks, y_ticks = ticks(x.min(), x.max(), 6), ticks(y.min(), y.max(), 4)
    # The y axis ends at its outer ticks; the x axis at the data.
    place_x = _scale(x.min(), x.max(), LEFT, WIDTH - RIGHT)
    place_y = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = _frame(f'{label}, {len(points)} points', y_ticks, place_y)
    inside = [tick for tick in x_ticks if x.min() <= tick <= x.max()]
    parts += [_x_label(place_x(tick), _number(tick)) for tick in inside]
    parts.append(f'<path class="raw" d="{_path(place_x(x), place_y(y))}"/>')
    parts.append(f'<path class="mean" d="{_path(place_x(x), place_y(running_mean(y)))}"/>')
    return Markup(''.join(parts) + '</svg>')


def histogram(
    edges: Sequence[float], counts: Sequence[float], *, label: str, limit: float | None = None
) -> Markup:
    """Draws one column for each bin.

    Args:
      edges: rising, one more than there are counts.
      counts: not negative.
      label: what is counted, for readers that do not see the picture.
      limit: where a line stands; columns that start at or beyond it are marked.

    Returns:
      An `<svg>` element; styled by the classes axis, grid and column, and with a limit by beyond
      and limit too.
    """
    x_ticks, y_ticks = ticks(edges[0], edges[-1], 6), ticks(0, max(counts), 4)
    place_x = _scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT)
    place_y = _scale(0, y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = _frame(f'{label}, {len(counts)} bins', y_ticks, place_y)
    parts += [
        f'<rect class="{_column_class(low, limit)}" x="{place_x(low) + 0.5:.1f}" '
        f'y="{place_y(count):.1f}" '
        f'width="{max(place_x(high) - place_x(low) - 1, 0.5):.1f}" '
        f'height="{place_y(0) - place_y(count):.1f}"/>'
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]
    inside = [tick for tick in x_ticks if edges[0] <= tick <= edges[-1]]
    parts += [_x_label(place_x(tick), _number(tick)) for tick in inside]
    if limit is not None:
        parts.append(f'<path class="limit" d="M{place_x(limit):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    return Markup(''.join(parts) + '</svg>')


def _column_class(low: float, limit: float | None) -> str:
    return 'column' if limit is None or low < limit else 'column beyond'


_SQUARE = 300


def reliability_chart(
    before: Sequence[tuple[float, float, int]],
    after: Sequence[tuple[float, float, int]],
    *,
    label: str,
) -> Markup:
    """Draws how often probabilities came true against what they were.

    Args:
      before: (mean probability, share that came true, how many) of each bin; areas of the dots
        are as how many.
      after: the same of what replaces them.
      label: of what, for readers that do not see the picture.

    Returns:
      An `<svg>` element; styled by the classes axis, grid, ideal, before and after.
    """
    place_x = _scale(0, 1, LEFT, _SQUARE - RIGHT)
    place_y = _scale(0, 1, _SQUARE - BOTTOM, TOP)
    parts = [
        f'<svg class="chart square" viewBox="0 0 {_SQUARE} {_SQUARE}" role="img" '
        f'aria-label="{escape(label)}">'
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = place_x(tick), place_y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{_SQUARE - RIGHT}"/>')
        parts.append(
            f'<text class="axis" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
        parts.append(
            f'<text class="axis" x="{x:.1f}" y="{_SQUARE - 8}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(
        f'<path class="ideal" d="M{place_x(0):.1f} {place_y(0):.1f}L{place_x(1):.1f} '
        f'{place_y(1):.1f}"/>'
    )
    for kind, bins in (('before', before), ('after', after)):
        most = max((count for *_, count in bins), default=1)
        parts += [
            f'<circle class="{kind}" cx="{place_x(given):.1f}" cy="{place_y(true):.1f}" '
            f'r="{2.5 + 8 * math.sqrt(count / most):.1f}"/>'
            for given, true, count in bins
        ]
    return Markup(''.join(parts) + '</svg>')


_CELL, _HEAD_LEFT, _HEAD_TOP = 34, 84, 34


def heatmap(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    label: str,
    text: Callable[[float], str],
) -> Markup:
    """Draws a table of shares in [0, 1] as cells that get darker.

    Args:
      rows: their titles.
      columns: their titles.
      values: a row for each of `rows`; not a number leaves the cell empty.
      label: what it shows, for readers that do not see the picture.
      text: what is written in a cell.

    Returns:
      An `<svg>` element; styled by the classes axis, cell and inside.
    """
    width = _HEAD_LEFT + _CELL * len(columns)
    height = _HEAD_TOP + _CELL * len(rows)
    parts = [
        f'<svg class="chart heat" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(label)}" style="max-width:{1.25 * width:.0f}px">'
    ]
    for i, column in enumerate(columns):
        at = _HEAD_LEFT + _CELL * (i + 0.5)
        parts.append(
            f'<text class="axis" x="{at}" y="{_HEAD_TOP - 8}" text-anchor="middle">'
            f'{escape(column)}</text>'
        )
    for i, (row, line) in enumerate(zip(rows, values, strict=True)):
        top = _HEAD_TOP + _CELL * i
        parts.append(
            f'<text class="axis" x="{_HEAD_LEFT - 8}" y="{top + _CELL / 2 + 4}" '
            f'text-anchor="end">{escape(row)}</text>'
        )
        for j, value in enumerate(line):
            if math.isfinite(value):
                parts.append(_heat_cell(_HEAD_LEFT + _CELL * j, top, value, text(value)))
    return Markup(''.join(parts) + '</svg>')


def _heat_cell(left: float, top: float, value: float, text: str) -> str:
    shade = 'dark' if value > 0.55 else 'light'
    return (
        f'<rect class="cell" x="{left + 1}" y="{top + 1}" width="{_CELL - 2}" '
        f'height="{_CELL - 2}" rx="4" style="--share:{value:.3f}"/>'
        f'<text class="inside {shade}" x="{left + _CELL / 2}" y="{top + _CELL / 2 + 4}" '
        f'text-anchor="middle">{escape(text)}</text>'
    )


def _frame(label: str, y_ticks: Sequence[float], place_y: Scale) -> list[str]:
    """The opening tag, and the lines and labels of the y axis."""
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">'
    ]
    for tick in y_ticks:
        at = place_y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="axis" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f'{_number(tick)}</text>'
        )
    return parts


def _x_label(at: float, text: str) -> str:
    return f'<text class="axis" x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{text}</text>'


_SMALLEST_SPAN = 1e-306
"""Below it a step would be no normal number."""


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers, the outer ones at or beyond `low` and `high`."""
    span = high - low or abs(high)
    if span < _SMALLEST_SPAN:
        span = 1.0
    rough = span / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = magnitude * next(m for m in (1, 2, 5, 10) if m * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def running_mean(values: np.ndarray) -> np.ndarray:
    """A centred mean over windows that shrink at the ends.

    Args:
      values: f64[n].

    Returns:
      f64[n].
    """
    half = max(len(values) // SMOOTHING_WINDOWS // 2, 0)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    reach = np.minimum(half, np.minimum(index, len(values) - 1 - index))
    return (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    """The linear map of [low, high] onto [start, end]; a single point goes to the middle."""

    def place(value: Place) -> Place:
        if high == low:
            return value * 0 + (start + end) / 2
        return start + (value - low) / (high - low) * (end - start)

    return place


def _path(xs: np.ndarray, ys: np.ndarray) -> str:
    return 'M' + 'L'.join(f'{x:.1f} {y:.1f}' for x, y in zip(xs, ys, strict=True))


def _number(value: float) -> str:
    if abs(value) >= 10_000:
        return f'{value / 1000:g}k'
    if value and abs(value) < 0.01:
        return f'{value:.1e}'.replace('.0e', 'e').replace('e-0', 'e-')
    return f'{round(value, 6):g}'
