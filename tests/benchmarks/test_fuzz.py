"""The fuzzers themselves, for seconds: a few seeded cases of every target, and the limits."""

import collections

import pytest

from benchmarks import fuzz
from benchmarks.fuzz_targets import TARGETS

CASES = dict.fromkeys(TARGETS, 25) | {'configs': 10, 'annotations': 12, 'adapters': 12}
KINDS = {fuzz.ANSWER, fuzz.SENTENCE}


@pytest.mark.parametrize('name', TARGETS)
def test_damaged_files_end_in_answers_or_sentences(name, tmp_path):
    target = TARGETS[name]
    (whole := tmp_path / 'whole').mkdir()
    target.files(whole)
    counts = collections.Counter()
    for number in range(CASES[name]):
        kind, said = fuzz.run_case(target, whole, tmp_path / 'case', f'{name}-suite-{number}')
        assert kind in KINDS, f'{name}-suite-{number}: {said}'
        counts[kind] += 1
    assert counts[fuzz.SENTENCE] > 3


def test_what_is_whole_is_read(tmp_path):
    for name in ('configs', 'gguf', 'onnx', 'predictions', 'videos', 'tokenizers'):
        target = TARGETS[name]
        for suffix in target.mutate:
            (folder := tmp_path / name / suffix).mkdir(parents=True)
            target.files(folder)
            for path in sorted(folder.glob(f'*{suffix}'))[:1]:
                target.read(path)


def test_a_traceback_is_called_a_crash(tmp_path):
    def read(_):
        raise KeyError('x')

    target = TARGETS['predictions']
    (whole := tmp_path / 'whole').mkdir()
    target.files(whole)
    odd = fuzz.Target(target.files, read, target.mutate)
    assert fuzz.run_case(odd, whole, tmp_path / 'case', 'x')[0] == 'crashes'


def test_a_child_reads_within_limits():
    found = fuzz.fuzz(['pictures'], seed=3, minutes=0.001)
    counts = found['targets']['pictures']
    assert counts.keys() - {'slowest_cpu_s'} <= KINDS and not found['faults']
