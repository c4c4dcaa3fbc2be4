import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from emola_jax.errors import UserError
from emola_jax.experts.graph_net import normalises_itself
from emola_jax.experts.insightface import InsightFaceExpert, insightface_input, reference_input
from emola_jax.experts.onnx import read_graph
from tests.experts.onnx_graph import SIZE, landmark_net


@pytest.fixture(scope='module')
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp('onnx') / '2d106.onnx'
    onnx.save(landmark_net(), path)
    return path


def run_onnx(path, pixels):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return session.run(None, {session.get_inputs()[0].name: pixels})[0]


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours, so that half a pixel's difference shows but rounding doesn't."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = np.random.default_rng(seed).uniform(1, 5, (3, 2))
    colours = [np.sin(a * x * 6 + b * y * 6) for a, b in waves]
    return np.round(127 + 120 * np.stack(colours, -1)).astype(np.uint8)


def test_the_graph_equals_onnxruntime(net):
    pixels = np.random.default_rng(1).uniform(0, 255, (3, 3, SIZE, SIZE)).astype(np.float32)
    expected = run_onnx(net, pixels)
    assert 0.1 < np.abs(expected).max() < 10
    ours = np.asarray(InsightFaceExpert.load(net).landmarks(pixels))
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_reference_preprocessing_is_whole_picture_bgr_0_1():
    """Against Pillow's transform, which samples at pixel centres without widening its filter."""
    picture = photo(150, 260)
    step_x, step_y = 260 / SIZE, 150 / SIZE
    image = Image.fromarray(picture)
    expected = image.transform(
        (SIZE, SIZE),
        Image.Transform.AFFINE,
        (step_x, 0, 0, 0, step_y, 0),
        Image.Resampling.BILINEAR,
    )
    inner = np.s_[2:-2, 2:-2]
    ours = reference_input(picture, SIZE).transpose(1, 2, 0)[..., ::-1] * 255
    difference = np.abs(ours - np.asarray(expected, np.float32))[inner]
    assert difference.max() <= 1.5 and difference.mean() < 0.5


@pytest.mark.parametrize('box', [(60, 40, 150, 160), (-20, -10, 60, 90), (100.5, 30.25, 140, 81)])
def test_insightface_preprocessing_is_a_square_of_one_and_a_half_boxes(box):
    picture = photo(180, 240)
    pixels, matrix = insightface_input(picture, box, SIZE)
    side = 1.5 * max(box[2] - box[0], box[3] - box[1])
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    steps = (np.arange(SIZE) - SIZE / 2) * side / SIZE
    x, y = np.meshgrid(middle[0] + steps, middle[1] + steps)
    expected = numpy_bilinear(picture.astype(np.float64), x, y)
    difference = np.abs(pixels.transpose(1, 2, 0) - expected)
    # OpenCV weighs in steps of 1/32 pixel; at the photo's edge, against black, that is 8 levels.
    assert difference.max() <= 9 and difference.mean() < 0.5
    corner = matrix @ [middle[0], middle[1], 1]
    np.testing.assert_allclose(corner, SIZE / 2)


def numpy_bilinear(picture, x, y):
    padded = np.pad(picture, ((400, 400), (400, 400), (0, 0)))
    x, y = x + 400, y + 400
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b = (x - left)[..., None], (y - top)[..., None]
    rows = [padded[top + d, left] * (1 - a) + padded[top + d, left + 1] * a for d in (0, 1)]
    return rows[0] * (1 - b) + rows[1] * b


def test_points_come_back_to_the_photo(net):
    """Against the same steps in NumPy around onnxruntime."""
    expert = InsightFaceExpert.load(net)
    photos, boxes = [photo(180, 240), photo(90, 70, 1)], [(60, 40, 150, 160), (5, 5, 60, 80)]
    ours = expert.insightface(photos, boxes)
    for one, box, points in zip(photos, boxes, ours, strict=True):
        pixels, _ = insightface_input(one, box, SIZE)
        raw = run_onnx(net, pixels[None])[0].reshape(106, 2)
        side = 1.5 * max(box[2] - box[0], box[3] - box[1])
        middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
        np.testing.assert_allclose(points, middle + raw * side / 2 + 0.5, atol=0.02)


def test_a_graph_without_scale_is_given_insightfaces(tmp_path, net):
    path = tmp_path / 'plain.onnx'
    onnx.save(landmark_net(normalise=False), path)
    plain = InsightFaceExpert.load(path)
    assert not normalises_itself(plain.graph)
    assert normalises_itself(InsightFaceExpert.load(net).graph)
    pixels, _ = insightface_input(photo(100, 100), (20, 20, 80, 80), SIZE)
    raw = run_onnx(path, (pixels[None] - 127.5) / 128)[0].reshape(106, 2)
    ours = plain.insightface([photo(100, 100)], [(20, 20, 80, 80)])[0]
    np.testing.assert_allclose(ours, 50 + raw * 45 + 0.5, atol=0.02)


def test_reference_landmarks_are_the_nets_own_numbers(net):
    picture = photo(120, 90)
    expected = run_onnx(net, reference_input(picture, SIZE)[None])
    np.testing.assert_allclose(
        InsightFaceExpert.load(net).reference([picture]), expected, atol=1e-4
    )


def save(path, nodes, weights=(), shape=('n', 3, 8, 8), output='out'):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        'g',
        [info('x', TensorProto.FLOAT, shape)],
        [info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights],
    )
    onnx.save(helper.make_model(graph), path)
    return path


def test_unknown_operators_are_all_named(tmp_path):
    nodes = [
        helper.make_node('Tan', ['x'], ['a']),
        helper.make_node('Relu', ['a'], ['b']),
        helper.make_node('LSTM', ['b'], ['out']),
    ]
    with pytest.raises(UserError, match='LSTM, Tan') as caught:
        read_graph(save(tmp_path / 'odd.onnx', nodes))
    assert 'odd.onnx' in str(caught.value) and 'Relu' not in str(caught.value)


@pytest.mark.parametrize('shape', [('n', 1, 8, 8), ('n', 3, 8, 9), ('n', 3), (1, 3, 'h', 'w')])
def test_another_input_is_refused(tmp_path, shape):
    nodes = [helper.make_node('Relu', ['x'], ['out'])]
    with pytest.raises(UserError, match='input has shape'):
        read_graph(save(tmp_path / 'odd.onnx', nodes, shape=shape))


@pytest.mark.parametrize(
    'damage', [lambda c: c[: len(c) // 2], lambda c: b'', lambda c: b'\xff' * 99]
)
def test_what_is_no_onnx_file_is_one_line(tmp_path, net, damage):
    path = tmp_path / 'broken.onnx'
    path.write_bytes(damage(net.read_bytes()))
    with pytest.raises(UserError, match=r'broken\.onnx'):
        read_graph(path)


def test_another_number_of_points_is_refused(tmp_path):
    path = tmp_path / 'five.onnx'
    onnx.save(landmark_net(outputs=10), path)
    with pytest.raises(UserError, match='10 numbers, expected 212'):
        InsightFaceExpert.load(path)
