import numpy as np
import pytest

from emola_jax.errors import UserError
from input_pipeline.landmarks import FLIP_INDEX
from input_pipeline.synthetic import rig as rig_module
from input_pipeline.synthetic.landmark_vertices import LANDMARK_VERTICES, landmark_points
from input_pipeline.synthetic.rig import EYE, SKIN, TEETH, load_rig


def test_the_package_is_parsed_and_then_read_from_the_cache(tiny_root, tmp_path, monkeypatch):
    first = load_rig(tiny_root, tmp_path)
    (kept,) = tmp_path.glob('*.npz')
    assert {path.name for path in tmp_path.iterdir()} == {kept.name, f'{kept.name}.sha256'}
    monkeypatch.setattr(rig_module, 'parse_rig', lambda data: pytest.fail('parsed again'))
    second = load_rig(tiny_root, tmp_path)
    np.testing.assert_array_equal(first.deltas, second.deltas)
    np.testing.assert_array_equal(first.triangles, second.triangles)


def test_parts_targets_and_the_cut_of_the_body(tiny_root, tmp_path):
    rig = load_rig(tiny_root, tmp_path)
    assert (rig.material == SKIN).sum() == 2
    assert (rig.material == EYE).sum() == 4
    # The skirt lies below the neck; the coarse teeth are replaced by two arches.
    assert rig.vertices[:, 1].min() > 6
    assert (rig.material == TEETH).sum() > 100
    vertex = int(rig.from_original([2])[0])
    move = rig.displacement({'nose/nose-hump-incr': 2.0})
    np.testing.assert_allclose(move[vertex], [0.25, -1.0, 0.0], atol=1e-6)
    assert np.abs(np.delete(move, vertex, 0)).max() == 0
    with pytest.raises(KeyError):
        rig.from_original([34])


def test_lower_teeth_follow_the_jaw_and_upper_ones_do_not(tiny_root, tmp_path):
    rig = load_rig(tiny_root, tmp_path)
    move = rig.displacement({'fu/jawOpen': 1.0})[rig.original_ids < 0]
    upper, lower = np.split(move, 2)
    assert np.abs(upper).max() == 0
    assert lower[:, 1].max() < 0


def test_a_wrong_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r'base\.obj'):
        load_rig(tmp_path, tmp_path)


def test_landmark_vertices_are_mirror_images(rig):
    points = landmark_points(rig.vertices, rig.from_original(LANDMARK_VERTICES))
    mirrored = points[FLIP_INDEX] * [-1, 1, 1]
    np.testing.assert_allclose(points, mirrored, atol=1e-4)
    assert len(np.unique(points.round(4), axis=0)) == 106


def test_triangles_face_outwards(rig):
    skin = rig.triangles[rig.material == SKIN]
    corner = rig.vertices[skin]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    x, y, z = corner.mean(1).T
    forehead = (np.abs(x) < 0.5) & (y > 7.55) & (y < 8) & (z > 0.8)
    assert forehead.sum() > 50
    assert (normal[forehead, 2] > 0).all()
