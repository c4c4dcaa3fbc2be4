"""Signals in processes of their own; the commands are tested with the stages of benchmarks/."""

import os
import signal
import subprocess
import sys
import time

import pytest

from emola_jax.cli import command
from emola_jax.errors import Preempted
from emola_jax.parallel import preemption

BEGIN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests ignore it
from emola_jax.cli import command
from emola_jax.parallel import preemption
preemption.listen_as_command(['python', '-m', 'emola_jax.tool'])
with command.exits_with_a_sentence('tool'):
"""
READY = "print('ready', flush=True)\n"
GOES_ON = 'what is done is on disk, and the same command goes on from there\n'


def ended(body, *signals, pause=1.5):
    """Status, output and seconds of a command that gets these signals once it is ready."""
    whole = body if READY in body else READY + body
    code = BEGIN + ''.join(f'    {line}\n' for line in whole.splitlines())
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout.readline() == 'ready\n'
        started = time.monotonic()
        for number, one in enumerate(signals):
            time.sleep(pause * (number > 0))
            process.send_signal(one)
        said = process.communicate(timeout=60)[0]
    return process.returncode, said, time.monotonic() - started


@pytest.mark.parametrize(
    ('one', 'status', 'name'), [(signal.SIGTERM, 75, 'SIGTERM'), (signal.SIGINT, 130, 'Ctrl-C')]
)
def test_a_signal_is_one_sentence_and_cleans_up(one, status, name, tmp_path):
    body = f"""
from pathlib import Path
from emola_jax.files.whole import atomic_write
with atomic_write(Path({str(tmp_path / 'a')!r})) as partial:
    partial.write_text('half')
    time.sleep(60)
"""
    assert ended(body, one)[:2] == (status, f'tool: stopped by {name}; {GOES_ON}')
    assert list(tmp_path.iterdir()) == []


STUCK = f"""
began = False
while True:
    try:
        if not began:
            began = True
            {READY}
        time.sleep(60)
    except BaseException:
        pass
"""


def test_a_main_thread_that_does_not_hear_is_ended_in_a_while():
    status, said, seconds = ended(STUCK, signal.SIGTERM)
    assert (status, said) == (75, f'tool: stopped by SIGTERM; {GOES_ON}')
    assert seconds >= preemption.GRACE - 0.1


@pytest.mark.parametrize(('one', 'status'), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_the_second_signal_ends_at_once(one, status):
    found, said, seconds = ended(STUCK, one, one)
    assert found == status and said.count('\n') == 1
    assert seconds < 1.5 + preemption.GRACE - 1


LATE = """
import os
class Late:
    def __del__(self, write=os.write, sleep=time.sleep):
        write(1, b'ready\\n')
        sleep(2)
late = Late()
"""


@pytest.mark.parametrize('one', [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_has_ended_keeps_its_status_while_python_shuts_down(one):
    code = f'{BEGIN}    pass\n{LATE}'
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == 'ready\n'
        process.send_signal(one)
        assert process.wait(timeout=60) == 0


def test_what_every_process_of_a_group_is_told_counts_once():
    body = """
with preemption.put_off() as came:
    while not came():
        time.sleep(0.01)
    time.sleep(1)
    print('saved')
"""
    signals = (signal.SIGTERM, signal.SIGTERM)
    assert ended(body, *signals, pause=0.2)[:2] == (
        75,
        f'saved\ntool: stopped by SIGTERM; {GOES_ON}',
    )


def test_an_error_that_the_signal_caused_elsewhere_is_no_fault():
    body = """
try:
    time.sleep(60)
except BaseException:
    raise RuntimeError('a process that this one needs was told as well') from None
"""
    assert ended(body, signal.SIGTERM)[:2] == (75, f'tool: stopped by SIGTERM; {GOES_ON}')


def test_a_forked_child_is_told_by_itself():
    body = """
import os, signal
child = os.fork()
if not child:
    time.sleep(60)
time.sleep(0.5)
os.kill(child, signal.SIGTERM)
print(os.waitpid(child, 0)[1], flush=True)
time.sleep(0.5)
"""
    assert ended(body)[:2] == (0, '15\n')


def test_a_command_listens_before_it_imports_what_takes_seconds():
    code = 'import sys; sys.argv = ["-m"]; sys.orig_argv = ["python", "-m", "emola_jax.predict"]\n'
    code += 'import emola_jax, os; print(os.getpid(), sorted(sys.modules), flush=True)\n'
    code += 'import time; time.sleep(60)'
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        loaded = process.stdout.readline()
        assert not any(f"'{heavy}'" in loaded for heavy in ('numpy', 'jax', 'absl'))
        process.terminate()
        said = process.communicate(timeout=30)[1]
    assert (process.returncode, said) == (75, f'emola_jax.predict: stopped by SIGTERM; {GOES_ON}')


def test_who_calls_a_command_from_a_program_keeps_its_own_handlers():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with command.exits_with_a_sentence('tool'):
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    with pytest.raises(Preempted), preemption.put_off() as came:
        os.kill(os.getpid(), signal.SIGTERM)  # nor does it end this process later
        while not came():
            time.sleep(0.01)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
