"""What the released FABA-Bench script was recorded to do (its texts, labels and outputs)."""

import json
from pathlib import Path

_FILE = Path(__file__).parent.parent / 'golden' / 'metrics.json'

RECORDED = json.loads(_FILE.read_text(encoding='utf-8'))


def runs(*names):
    """The recorded evaluation runs of these names."""
    found = [run for run in RECORDED['eval_runs'] if run['name'] in names]
    assert len(found) == len(names)
    return found


def printed(run):
    """The run's result_output.txt."""
    (text,) = (body for name, body in run['files'].items() if name.endswith('result_output.txt'))
    return text
