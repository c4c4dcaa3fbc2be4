"""The command's own decisions; no libtpu is needed for them."""

import importlib.util
import json

import pytest

from emola_jax.compile import __main__ as command
from emola_jax.compile import chips
from emola_jax.errors import UserError


@pytest.mark.parametrize(
    ('chips_there', 'rows', 'expected'),
    [(16, 64, (16, 1)), (256, 64, (64, 4)), (256, 256, (256, 1)), (8, 12, (4, 2))],
)
def test_auto_shares_the_batch_as_far_as_it_goes(chips_there, rows, expected):
    axes = command._mesh('auto', chips_there, rows)
    assert (axes['fsdp'], axes['tensor']) == expected


def test_a_mesh_is_read_or_refused():
    assert command._mesh('data=2,fsdp=-1', 8, 8) == {'data': 2, 'fsdp': -1}
    with pytest.raises(UserError, match="--mesh '4x2': expected for example"):
        command._mesh('4x2', 8, 8)


@pytest.mark.parametrize('topology', ['v9:2x2', 'v5e', 'v5e:2xtwo'])
def test_a_topology_that_is_none_is_refused(topology):
    with pytest.raises(UserError, match=r'expected CHIP:SIZES, for example v4:2x2x1'):
        chips.chip_of(topology)


def test_without_libtpu_it_says_what_to_install():
    if importlib.util.find_spec('libtpu') is None:
        with pytest.raises(UserError, match=r"pip install 'emola_jax\[tpu\]'"):
            chips.devices_of('v5e:2x2')


def test_a_sweep_goes_on_in_its_file_and_in_no_other(tmp_path):
    out, identity = tmp_path / 'sweep.json', {'config': {'seed': 1}, 'fast': True}
    assert command._known(out, identity) == []
    out.write_text(json.dumps({**identity, 'results': [{'topology': 'v5e:2x2'}]}))
    assert command._known(out, identity) == [{'topology': 'v5e:2x2'}]
    with pytest.raises(UserError, match='holds the sweep of another config'):
        command._known(out, {**identity, 'fast': False})
