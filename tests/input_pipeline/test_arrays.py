"""Files of arrays, whole and hostile: what a header claims is compared with the file first."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from emola_jax.errors import UserError
from emola_jax.experts.pictures import read_landmarks
from input_pipeline.arrays import read_array, read_arrays
from input_pipeline.datasets import items

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(3),
    np.array('a'),
    np.zeros((0, 5), np.float32),
    np.array(['x', 'yy']),
    np.zeros(3, [('a', 'f4'), ('b', 'i2')]),
]


@pytest.mark.parametrize('array', ARRAYS, ids=lambda array: f'{array.dtype}{array.shape}')
def test_arrays_are_read_as_numpy_reads_them(tmp_path, array):
    np.save(tmp_path / 'a.npy', array)
    read = read_array(tmp_path / 'a.npy')
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(read, np.load(tmp_path / 'a.npy'))


def header(shape, dtype='<f4', fortran='False'):
    return f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}}}"


def write(path, text, data=bytes(848)):
    line = f'{text:117}\n'.encode()
    path.write_bytes(b'\x93NUMPY\x01\x00' + len(line).to_bytes(2, 'little') + line + data)


HOSTILE = {
    header('(1000000, 1000000)'): 'claims .*4000000000000 bytes',  # 3.6 TiB
    header('(213,)'): r'claims \[213\] of float32 \(852 bytes\), but holds 848 bytes',
    header('(1099511627776,)', '<U1'): 'claims',
    header('(-1,)'): r'claims a shape of \[-1\]|no readable',
    header('(-2, -106)'): 'no negative length|no readable',
    header('(2.5,)'): 'no readable .npy file',
    header('212'): 'no readable .npy file',
    header('(0, 99999999999999999999)'): 'no readable .npy file',
    header('(9999999999999,)', '|V0'): 'no readable .npy file',
    header('(2,)', '|O'): 'Python objects, which are never loaded',
    header('(2,)', '<M8[x]'): 'no readable .npy file',
    header('(2,)', fortran='3'): 'no readable .npy file',
    header('(' + '-' * 60 + '1,)'): 'no readable .npy file|negative',
    '[' * 100: 'no readable .npy file',
}


@pytest.mark.parametrize('text', HOSTILE)
@pytest.mark.parametrize(
    'read', [read_array, read_landmarks, lambda p: items.read_landmarks(str(p))]
)
def test_hostile_headers_are_refused_before_anything_is_allocated(tmp_path, text, read):
    path = tmp_path / 'a.npy'
    write(path, text)
    tracemalloc.start()
    with pytest.raises(UserError, match=f'a.npy.*({HOSTILE[text]})'):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_pickles_archives_and_other_files_are_refused(tmp_path):
    np.save(tmp_path / 'objects.npy', np.array([{}, []], object))
    np.savez(tmp_path / 'archive.npy', a=np.zeros(3))
    (tmp_path / 'archive.npy.npz').rename(tmp_path / 'archive.npy')
    (tmp_path / 'empty.npy').write_bytes(b'')
    (tmp_path / 'magic.npy').write_bytes(b'\x93NUMPY\x09\x00aaaa')
    for name, said in {
        'objects': 'Python objects',
        'archive': 'an archive of arrays',
        'empty': 'no readable .npy file',
        'magic': r'version \(9, 0\)|no readable',
        'missing': 'no such file',
    }.items():
        with pytest.raises(UserError, match=f'{name}.npy: .*({said})'):
            read_array(tmp_path / f'{name}.npy')


def test_archives_of_ours_are_read_and_damaged_ones_refused(tmp_path):
    path = tmp_path / 'a.npz'
    np.savez(path, one=np.arange(50), two=np.ones(3, np.float32))
    read = read_arrays(path, ('one', 'two'))
    np.testing.assert_array_equal(read['one'], np.arange(50))
    with pytest.raises(UserError, match=r'a.npz: no readable .npz file .*three'):
        read_arrays(path, ('three',))
    content = path.read_bytes()
    found = 0
    for bit in range(0, 8 * len(content), 97):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            again = read_arrays(path, ('one', 'two'))
        except UserError:
            found += 1
        else:
            assert all(np.array_equal(again[name], read[name]) for name in read)
    assert found > 10


@pytest.mark.parametrize(('field', 'value'), [('flag_bits', 1), ('extract_version', 99)])
def test_an_archive_that_zipfile_cannot_unpack_is_a_sentence(field, value, tmp_path):
    np.savez(path := tmp_path / 'a.npz', images=np.zeros(3))
    content = bytearray(path.read_bytes())
    offset = {'flag_bits': 2, 'extract_version': 0}[field]  # of the local header's fields
    for start, shift in ((content.index(b'PK\x03\x04'), 4), (content.index(b'PK\x01\x02'), 6)):
        content[start + shift + offset] = value
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'a\.npz: no readable \.npz file'):
        read_arrays(path, ('images',))


def test_threads_read_headers_while_the_garbage_collector_lets_others_in(tmp_path):
    np.save(tmp_path / 'a.npy', np.arange(3))
    program = f"""
import gc, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from input_pipeline.arrays import read_array
gc.callbacks.append(lambda phase, info: time.sleep(0))
gc.set_threshold(20)
sys.setswitchinterval(1e-6)
with ThreadPoolExecutor(16) as pool:
    read = list(pool.map(lambda _: read_array(Path({str(tmp_path / 'a.npy')!r})), range(2000)))
print(len(read), sum(array.sum() for array in read))
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.stdout == '2000 6000\n', done.stderr
