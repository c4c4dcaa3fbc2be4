import math
import re
import xml.etree.ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emola_jax.reporting import charts

VALUES = st.floats(-1e6, 1e6, allow_nan=False)


@given(VALUES, VALUES, st.integers(2, 8))
@example(0.0, 5e-324, 2)
@example(-1e-307, 0.0, 8)
@example(0.0, 2e-306, 8)
def test_ticks_are_even_round_and_cover_the_range(a, b, count):
    low, high = min(a, b), max(a, b)
    ticks = charts.ticks(low, high, count)
    slack = 1e-6 * max(abs(low), abs(high), 1e-300) + 1e-6 * (high - low)
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= count + 2
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0], rtol=1e-6)
    assert f'{steps[0]:.3e}'[0] in '125'


def test_running_mean_of_a_line_is_that_line():
    line = np.linspace(3, 9, 200)
    assert np.allclose(charts.running_mean(line), line)


def test_running_mean_smooths_and_keeps_the_length():
    noise = np.tile([0.0, 1.0], 100)
    smooth = charts.running_mean(noise)
    assert smooth.shape == noise.shape
    assert smooth[50:150].std() < noise.std() / 3


def points(svg: str, kind: str) -> list[tuple[float, float]]:
    path = re.search(f'class="{kind}" d="M([^"]*)"', svg).group(1)
    return [tuple(map(float, pair.split())) for pair in path.split('L')]


def test_chart_draws_every_finite_point_inside_its_box():
    svg = charts.line_chart([1, 2, 3, 4], [5.0, math.nan, 1.0, 3.0], label='<loss>')
    xml.etree.ElementTree.fromstring(svg)  # well-formed
    drawn = points(svg, 'raw')
    assert len(drawn) == 3
    assert drawn[0][1] < drawn[2][1] < drawn[1][1]  # 5 above 3 above 1; y grows downwards
    assert drawn[0][0] < drawn[1][0] < drawn[2][0]
    assert all(0 <= x <= charts.WIDTH and 0 <= y <= charts.HEIGHT for x, y in drawn)


@pytest.mark.parametrize('value', [0.0, 5.0, -3e-9])
def test_chart_of_one_value(value):
    svg = charts.line_chart([7], [value], label='x')
    assert len(points(svg, 'raw')) == 1


def test_chart_without_points_says_so():
    assert 'nothing was logged' in charts.line_chart([1], [math.nan], label='x')


def test_histogram_has_one_column_a_bin_as_high_as_its_count():
    svg = charts.histogram([0, 1, 2, 4], [2, 0, 4], label='<x>')
    root = xml.etree.ElementTree.fromstring(svg)
    columns = [e.attrib for e in root if e.attrib.get('class') == 'column']
    heights = [float(column['height']) for column in columns]
    assert heights[0] * 2 == pytest.approx(heights[2], abs=0.1) and heights[1] == 0
    widths = [float(column['width']) + 1 for column in columns]
    assert widths[2] == pytest.approx(2 * widths[0], abs=0.2)
    for column in columns:
        assert float(column['x']) >= charts.LEFT and float(column['y']) >= 0


def test_histogram_marks_what_is_beyond_a_limit():
    svg = charts.histogram([0, 1, 2, 3], [1, 1, 1], label='x', limit=1.0)
    root = xml.etree.ElementTree.fromstring(svg)
    kinds = [e.attrib['class'] for e in root if e.attrib['class'].startswith('column')]
    assert kinds == ['column', 'column beyond', 'column beyond']
    (line,) = [e.attrib['d'] for e in root if e.attrib['class'] == 'limit']
    second = next(e.attrib for e in root if e.attrib['class'] == 'column beyond')
    assert float(line[1:].split()[0]) == pytest.approx(float(second['x']), abs=1)


def test_heatmap_places_every_value_and_leaves_gaps_empty():
    svg = charts.heatmap(
        ['a', '<b>'],
        ['x', 'y', 'z'],
        [[0.0, 0.25, math.nan], [1.0, 0.6, 0.5]],
        label='shares',
        text=lambda share: f'{share:.2f}',
    )
    root = xml.etree.ElementTree.fromstring(svg)
    cells = [e for e in root if e.attrib.get('class') == 'cell']
    texts = [e for e in root if e.attrib.get('class', '').startswith('inside')]
    assert [e.attrib['style'] for e in cells] == [
        f'--share:{share:.3f}' for share in (0, 0.25, 1, 0.6, 0.5)
    ]
    assert [e.text for e in texts] == ['0.00', '0.25', '1.00', '0.60', '0.50']
    places = [(float(e.attrib['x']), float(e.attrib['y'])) for e in cells]
    assert places[0][0] == places[2][0] < places[1][0] == places[3][0] < places[4][0]
    assert places[0][1] == places[1][1] < places[2][1] == places[3][1] == places[4][1]


def test_dots_of_believed_probabilities_lie_on_the_diagonal_when_they_hold():
    svg = charts.reliability_chart([(0.2, 0.7, 4)], [(0.25, 0.25, 1), (0.75, 0.75, 4)], label='<p>')
    root = xml.etree.ElementTree.fromstring(svg)
    ideal = next(e.get('d') for e in root if e.get('class') == 'ideal')
    (x0, y0), (x1, y1) = (tuple(map(float, p.split())) for p in ideal[1:].split('L'))
    dots = [
        (e.get('class'), *(float(e.get(name)) for name in ('cx', 'cy', 'r')))
        for e in root
        if e.tag.endswith('circle')
    ]
    assert [kind for kind, *_ in dots] == ['before', 'after', 'after']
    for kind, x, y, _ in dots:
        on_line = y0 + (x - x0) / (x1 - x0) * (y1 - y0)
        assert (abs(y - on_line) < 0.2) == (kind == 'after')
    assert dots[0][2] < dots[1][2]  # true more often: higher up
    assert dots[2][3] > dots[1][3]
