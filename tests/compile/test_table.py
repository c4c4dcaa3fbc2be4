"""What is printed of a result."""

from emola_jax.compile import table

GIB = 2.0**30
AXES = {'data': 1, 'fsdp': 8, 'tensor': 1}
CASE = {'topology': 'v5e:2x4', 'chips': 8, 'batch': 64, 'length': 2048, 'mesh': 'auto'}


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
    lines = text.splitlines()
    assert len({line.count('|') for line in lines}) == 1
    assert 'no / such mesh' in lines[2]
    assert '| 1 x 8 x 1 | 64 | 2048 | 20.0 of 16 | no |' in lines[3]
