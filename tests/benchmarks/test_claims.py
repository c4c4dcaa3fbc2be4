import json

import pytest

from benchmarks.claims import CLAIMS, table


def write(folder, claim, figure):
    path = folder / f'{claim.file}.json'
    tree = json.loads(path.read_text()) if path.exists() else {}
    here = tree
    for key in claim.place[:-1]:
        here = here.setdefault(key, {})
    here[claim.place[-1]] = figure
    path.write_text(json.dumps(tree))


@pytest.mark.parametrize(('share', 'verdicts'), [(1.0, 'holds'), (1.01, 'mixed'), (0.99, 'mixed')])
def test_a_figure_at_its_limit_holds_and_one_beyond_is_said_to_miss(share, verdicts, tmp_path):
    for claim in CLAIMS:
        write(tmp_path, claim, share * claim.limit)
    rows = table(tmp_path).splitlines()[2:]
    assert len(rows) == len(CLAIMS)
    for claim, row in zip(CLAIMS, rows, strict=True):
        missed = verdicts == 'mixed' and claim.at_most == (share > 1)
        assert row.endswith('| missed |' if missed else '| holds |'), row


def test_a_claim_without_a_file_is_not_measured(tmp_path):
    rows = table(tmp_path).splitlines()[2:]
    assert len(rows) == len(CLAIMS)
    assert all(row.endswith('| not measured |') for row in rows)
