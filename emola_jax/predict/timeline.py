"""Action units and emotion of one face over a video, as a self-contained SVG."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from emola_jax.facs import AU_NAMES, EMOTIONS
from emola_jax.files.json_values import JsonObject
from emola_jax.reporting import charts

SHOWN_FROM = 0.2
"""An action unit that never reaches this probability has no row."""

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _FOOT = 1100, 190, 16, 34, 8, 30
_OVERLAP = 0.2

_STYLE = """<style>
.timeline text { font: 12px system-ui, "Liberation Sans", sans-serif; fill: #5d626b; }
.timeline .name { fill: #1b1d21; font-size: 13px; }
.timeline .line { stroke: #e3e3de; } .timeline .half { stroke: #e3e3de; stroke-dasharray: 2 4; }
.timeline .au { fill: #4457a6; fill-opacity: .25; stroke: #4457a6; stroke-width: 1.4; }
.timeline .emotion { fill: #0f766e; fill-opacity: .25; stroke: #0f766e; stroke-width: 1.4; }
@media (prefers-color-scheme: dark) {
  .timeline text { fill: #a9adb5; } .timeline .name { fill: #e9e9e6; }
  .timeline .line, .timeline .half { stroke: #2e3337; }
  .timeline .au { fill: #8b9df0; stroke: #8b9df0; }
  .timeline .emotion { fill: #3fb8ac; stroke: #3fb8ac; }
}
</style>"""


def tracks(frames: Sequence[Sequence[JsonObject]]) -> list[list[JsonObject]]:
    """The faces of a video, each through the frames: a face goes on where its box overlaps most.

    Args:
      frames: the rows of each frame's faces, in order of time.

    Returns:
      Rows by face, the one seen longest first.
    """
    open_tracks: list[list[JsonObject]] = []
    for rows in frames:
        pairs = sorted(
            (
                (_overlap(track[-1]['box'], row['box']), t, r)
                for t, track in enumerate(open_tracks)
                for r, row in enumerate(rows)
            ),
            reverse=True,
        )
        taken_tracks: set[int] = set()
        taken_rows: set[int] = set()
        for overlap, t, r in pairs:
            if overlap >= _OVERLAP and t not in taken_tracks and r not in taken_rows:
                open_tracks[t].append(rows[r])
                taken_tracks.add(t)
                taken_rows.add(r)
        open_tracks += [[row] for r, row in enumerate(rows) if r not in taken_rows]
    return sorted(open_tracks, key=len, reverse=True)


def draw(rows: Sequence[JsonObject], *, title: str) -> Markup:
    """One row of curves per action unit and emotion, over the seconds of the video.

    Args:
      rows: of one face, by time, with `seconds`, `aus` and `emotions`.
      title: for readers that do not see the picture.
    """
    seconds = [float(row['seconds']) for row in rows]
    curves = _curves(rows)
    height = _TOP + _ROW * len(curves) + _FOOT
    first, last = seconds[0], max(seconds[-1], seconds[0] + 0.1)

    def place(second: float) -> float:
        return _LEFT + (second - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" viewBox="0 0 {_WIDTH} {height}" '
        f'width="100%" role="img" aria-label="{escape(title)}">{_STYLE}'
    ]
    for number, (kind, name, values) in enumerate(curves):
        top = _TOP + _ROW * number
        parts.append(_curve(kind, name, [place(s) for s in seconds], values, top))
    floor = height - _FOOT
    for tick in charts.ticks(first, last, 10):
        if first <= tick <= last:
            parts.append(f'<path class="line" d="M{place(tick):.1f} {_TOP}V{floor}" opacity=".6"/>')
            parts.append(
                f'<text x="{place(tick):.1f}" y="{floor + 18}" text-anchor="middle">'
                f'{tick:g} s</text>'
            )
    return Markup(''.join(parts) + '</svg>')


def _curves(rows: Sequence[JsonObject]) -> list[tuple[str, str, list[float]]]:
    curves = []
    for emotion in EMOTIONS:
        values = [row['emotions'].get(emotion, 0.0) for row in rows]
        if max(values) >= SHOWN_FROM:
            curves.append(('emotion', emotion, values))
    for au in rows[0]['aus']:
        values = [row['aus'].get(au, 0.0) for row in rows]
        if max(values) >= SHOWN_FROM:
            curves.append(('au', f'AU{au} {AU_NAMES[int(au)]}', values))
    return curves


def _curve(kind: str, name: str, xs: Sequence[float], values: Sequence[float], top: int) -> str:
    floor, reach = top + _ROW - 4, _ROW - 8
    ys = [floor - value * reach for value in values]
    points = ' '.join(f'L{x:.1f} {y:.1f}' for x, y in zip(xs, ys, strict=True))
    area = f'M{xs[0]:.1f} {floor} {points} L{xs[-1]:.1f} {floor}Z'
    return (
        f'<path class="line" d="M{_LEFT} {floor}H{_WIDTH - _RIGHT}"/>'
        f'<path class="half" d="M{_LEFT} {floor - reach / 2}H{_WIDTH - _RIGHT}"/>'
        f'<text class="name" x="{_LEFT - 12}" y="{floor - reach / 2 + 4}" text-anchor="end">'
        f'{escape(name)}</text><path class="{kind}" d="{area}"/>'
    )


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / max(sum(areas) - common, 1e-9)
