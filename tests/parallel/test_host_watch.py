"""Hosts notice that another one leaves, fails, dies, or is only paused; with real processes."""

import signal
import time

import pytest

from emola_jax.errors import Preempted
from tests.host_processes import hosts

pytestmark = pytest.mark.slow

LOST = 'lost another host of the run'
AGAIN = 'start the same command again on every host: it goes on from the newest checkpoint'


def start(work, silence=20):
    return hosts('tests.watching_host', work, str(silence), devices=1)


def read_until(host, text):
    for line in host.stdout:
        if text in line:
            return line
    raise AssertionError(f'the host ended before {text!r}: {host.wait()}')


def rest(host, seconds=100):
    """Status and last line; a dump of the runtime or of Python is no way to end."""
    said = host.communicate(timeout=seconds)[0]
    for dump in ('Traceback', 'terminate called', 'Fatal Python error', '*** Check failure'):
        assert dump not in said
    return host.returncode, said.strip().splitlines()[-1]


@pytest.mark.parametrize(('work', 'killed'), [('train', 0), ('train', 1), ('idle', 0), ('idle', 1)])
def test_the_survivor_of_a_kill_says_so_and_exits_75(work, killed):
    with start(work, silence=3) as pair:
        for host in pair:
            read_until(host, 'step 3' if work == 'train' else 'joined')
        pair[killed].kill()
        started = time.monotonic()
        status, said = rest(pair[1 - killed])
        assert time.monotonic() - started < 60
    assert status == Preempted.EXIT_STATUS
    assert said.startswith(f'tool: host {1 - killed} {LOST}') and said.endswith(AGAIN)


@pytest.mark.parametrize('told', [0, 1])
def test_a_paused_host_goes_on_and_sigterm_to_one_stops_both_behind_one_step(told):
    with start('train', silence=10) as pair:
        for host in pair:
            read_until(host, 'step 3')
        for host in pair:
            host.send_signal(signal.SIGSTOP)
            time.sleep(6)
            host.send_signal(signal.SIGCONT)
            read_until(pair[0], 'step')
        pair[told].send_signal(signal.SIGTERM)
        ends = [rest(host) for host in pair]
    assert ends[0] == ends[1]
    status, said = ends[0]
    assert status == Preempted.EXIT_STATUS
    assert said.startswith('tool: stopped after step ')


@pytest.mark.parametrize('told', [0, 1])
def test_sigterm_to_one_outside_of_a_training_stops_both(told):
    with start('idle') as pair:
        for host in pair:
            read_until(host, 'joined')
        pair[told].send_signal(signal.SIGTERM)
        ends = [rest(host, seconds=40) for host in pair]
    for status, said in ends:
        assert status == Preempted.EXIT_STATUS
        assert said.startswith('tool: stopped by SIGTERM; ') and 'the same command goes on' in said


def test_a_host_that_fails_ends_the_others_with_its_sentence():
    with start('fail') as pair:
        ends = [rest(host, seconds=60) for host in pair]
    assert ends[1] == (1, 'tool: photo.jpg: cannot be read')
    assert ends[0] == (1, 'tool: host 1 stopped: photo.jpg: cannot be read')
