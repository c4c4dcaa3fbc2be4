"""docs/api.md is what its script writes."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parent.parent / 'docs'


def test_the_page_of_the_api_is_that_of_the_docstrings():
    made = runpy.run_path(str(DOCS / 'make_api.py'))['page']()
    assert (DOCS / 'api.md').read_text(encoding='utf-8') == made, 'run python docs/make_api.py'
