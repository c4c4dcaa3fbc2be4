"""What is printed of a result."""

import json

import pytest

from emola_jax.cli import compile_table
from emola_jax.compile import table

GIB = 2.0**30
AXES = {'data': 1, 'fsdp': 8, 'tensor': 1}
CASE = {
    'topology': 'v5e:2x4',
    'chips': 8,
    'batch': 64,
    'length': 2048,
    'mesh': 'auto',
    'fast': True,
}


def refused(arguments, total):
    hbm = {'arguments': arguments * GIB, 'total': total * GIB, 'chip': 16 * GIB}
    found = {'fits': False, 'hbm': hbm, 'compile_seconds': 1.0, 'rows': 64, 'length': 2048}
    return {**CASE, 'axes': AXES, 'train': found}


def test_what_does_not_fit_is_told_what_to_change():
    said = table.describe(refused(2, 20))
    assert 'does NOT fit' in said
    assert '20.00 of 16 GiB' in said
    assert 'train.accumulate twice as large' in said
    assert 'a larger slice than v5e:2x4' in said


def test_weights_that_do_not_fit_need_more_chips_and_nothing_else_helps():
    assert table.advice('train', refused(28, 40)['train'], refused(28, 40)) == [
        'a larger slice: weights and optimiser alone need about 20 chips'
    ]


def test_a_row_that_cannot_be_had_says_why_in_the_table():
    text = table.markdown([{**CASE, 'error': 'no | such mesh'}, refused(2, 20)])
    lines = text.split('\n\n')[0].splitlines()
    assert len({line.count('|') for line in lines}) == 1
    assert 'no / such mesh' in lines[2]
    assert '| 1 x 8 x 1 | 64 | 2048 | fast | 20.0 of 16 | no |' in lines[3]
    assert 'generate' not in text  # a column that no row fills


def generated(**found):
    whole = refused(2, 20)['train'] | {'rows': 32, 'prompt': 704, 'new_tokens': 512, **found}
    return {**CASE, 'axes': AXES, 'generate': whole}


def test_what_only_writes_answers_has_a_table_of_its_own():
    token = {'compiled': 5e9, 'by_hand': 4e9, 'ratio': 1.25}
    text = table.markdown([generated(token_flops=token), refused(2, 20)])
    training, generation, *_ = text.split('\n\n')
    assert '| 64 | 2048 | fast | 20.0 of 16 | no |' in training and '704' not in training
    assert '| 32 | 704 | 512 | fast | 20.0 of 16 | no | 5.0 (1.250) |' in generation
    assert '2048' not in generation


def test_the_largest_compiler_is_named():
    small, large = {**CASE, 'peak_bytes': GIB}, {**CASE, 'batch': 256, 'peak_bytes': 2.5 * GIB}
    said = table.largest_compiler([small, large, CASE])
    assert '2.5 GiB' in said and '256 x 2048' in said
    assert table.largest_compiler([CASE]) == ''


def trained(topology, chips, *, fits, batch=64, fast=True):
    found = refused(2, 20)['train'] | {'fits': fits}
    own = {'topology': topology, 'chips': chips, 'batch': batch, 'fast': fast}
    return refused(2, 20) | own | {'train': found}


def test_the_smallest_slice_is_the_smallest_that_fits_in_any_way():
    results = [
        trained('v5e:4x4', 16, fits=True),
        trained('v5e:2x4', 8, fits=False),
        trained('v5e:2x4', 8, fits=True, fast=False),
        trained('v5e:2x2', 4, fits=False),
        trained('v5e:2x4', 8, fits=False, batch=256),
        trained('v5p:2x2x1', 4, fits=True),
        {**CASE, 'error': 'no such mesh'},
    ]
    assert table.smallest(results).splitlines() == [
        '| chip | 64 x 2048 | 256 x 2048 |',
        '| --- | --- | --- |',
        '| v5e | v5e:2x4, not v5e:2x2 | not v5e:2x4 |',
        '| v5p | v5p:2x2x1 |  |',
    ]


def test_slices_are_in_order_of_size(capsys, tmp_path):
    results = [trained('v5e:8x8', 64, fits=True), trained('v4:2x2x1', 4, fits=True), CASE]
    path = tmp_path / 'sweep.json'
    path.write_text(json.dumps({'config': {}, 'results': results}))
    compile_table.main([str(path)])
    printed = capsys.readouterr().out.splitlines()[2:5]
    assert [line.split(' ')[1] for line in printed] == ['v4:2x2x1', 'v5e:2x4', 'v5e:8x8']


def test_a_file_that_holds_no_sweep_is_named(tmp_path):
    (tmp_path / 'other.json').write_text('{}')
    with pytest.raises(SystemExit, match=r'other\.json: no file that emola_jax\.compile wrote'):
        compile_table.main([str(tmp_path / 'other.json')])
