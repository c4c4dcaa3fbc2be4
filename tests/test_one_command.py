"""`emola VERB`: the same commands by one name."""

import importlib.util
import subprocess
import sys

import pytest

from emola_jax import __main__ as emola


def emola_process(*arguments):
    command = [sys.executable, '-m', 'emola_jax', *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_names_every_verb_in_one_line(capsys):
    emola.main(['--help'])
    lines = capsys.readouterr().out.splitlines()
    for verb, (module, purpose) in emola.VERBS.items():
        assert importlib.util.find_spec(module), module
        assert [line for line in lines if line.split()[:1] == [verb] and line.endswith(purpose)]


def test_an_old_line_and_the_new_one_say_the_same():
    for verb in ('score', 'folds', 'compile'):
        old = [sys.executable, '-m', f'emola_jax.{verb}', '--help']
        before = subprocess.run(old, capture_output=True, text=True, check=False)
        now = emola_process(verb, '--help')
        assert (now.stdout, now.stderr) == (before.stdout, before.stderr)
        assert now.returncode == before.returncode
        assert verb in now.stdout


def test_a_command_ends_with_its_own_sentence_and_status(tmp_path):
    done = emola_process('score', str(tmp_path / 'none.jsonl'), '--task=emotion')
    assert done.returncode == 1
    assert 'none.jsonl' in done.stderr and 'Traceback' not in done.stderr


def test_a_mistyped_verb_names_the_nearest():
    done = emola_process('predic')
    assert done.returncode == 1
    assert done.stderr == "emola: unknown command 'predic'; did you mean 'predict'?\n"


def test_version_names_jax_and_the_device(capsys):
    emola.main(['--version'])
    shown = capsys.readouterr().out
    assert 'emola_jax ' in shown and 'jax ' in shown and 'flax ' in shown and 'cpu' in shown


@pytest.mark.parametrize(('word', 'expected'), [('pre', 'predict'), ('ca', 'calibrate')])
def test_bash_completes_verbs(word, expected, capsys):
    emola.main(['--completion'])
    script = capsys.readouterr().out
    program = f'{script}\nCOMP_CWORD=1; _emola emola {word}; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(['bash', '-c', program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected]


def test_the_package_imports_without_jax():
    program = "import emola_jax, sys; print({'jax', 'flax', 'numpy'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert done.stdout == 'set()\n'
