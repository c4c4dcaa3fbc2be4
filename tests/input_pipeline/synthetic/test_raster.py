import numpy as np

from input_pipeline.synthetic.raster import rasterize, vertex_normals


def quad(depth: float, low: float, high: float) -> np.ndarray:
    """An upright square facing the viewer, as four screen corners."""
    return np.array(
        [[low, high, depth], [high, high, depth], [high, low, depth], [low, low, depth]], np.float32
    )


TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_pixels_are_covered_where_their_centres_are_inside():
    fragments = rasterize(quad(2, 2.0, 6.0), TRIANGLES, 10, 8)
    rows, columns = np.divmod(fragments.pixel, 10)
    assert len(fragments.pixel) == 16
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 5, 2, 5)


def test_interpolation_returns_the_pixel_centres():
    screen = quad(2, 1.3, 14.2)
    fragments = rasterize(screen, TRIANGLES, 16, 16)
    centres = fragments.interpolate(screen[TRIANGLES][..., :2])
    expected = np.stack([fragments.pixel % 16 + 0.5, fragments.pixel // 16 + 0.5], -1)
    np.testing.assert_allclose(centres, expected, atol=1e-3)


def test_the_nearest_triangle_is_seen_whatever_the_order():
    for near_first in (True, False):
        near, far = quad(2, 4, 12), quad(3, 0, 16)
        screen = np.concatenate([near, far] if near_first else [far, near])
        triangles = np.concatenate([TRIANGLES, TRIANGLES + 4])
        fragments = rasterize(screen, triangles, 16, 16)
        in_front = fragments.triangle < 2 if near_first else fragments.triangle >= 2
        assert len(fragments.pixel) == 256
        assert in_front.sum() == 64


def test_backs_are_seen_only_where_asked():
    reversed_triangles = np.ascontiguousarray(TRIANGLES[:, ::-1])
    screen = quad(2, 0, 8)
    assert len(rasterize(screen, reversed_triangles, 8, 8).pixel) == 0
    both = rasterize(screen, reversed_triangles, 8, 8, np.array([True, True]))
    assert len(both.pixel) == 64


def test_normals_of_a_square_point_to_the_viewer():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    np.testing.assert_allclose(vertex_normals(vertices, TRIANGLES), [[0, 0, 1]] * 4, atol=1e-6)
