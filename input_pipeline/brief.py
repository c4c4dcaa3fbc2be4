"""Brief answers: a record asked for its label and nothing else.

A short run learns to read faces soonest from labels without prose around them, and prose after
that. No part of the paper; `data.brief_first` says how many conversations of a run are brief.
"""

from __future__ import annotations

import dataclasses

from emola_jax.facs import EMOTIONS
from input_pipeline.records import Record

REQUESTS = {'emotion': 'Name the emotion.', 'au': 'List the action units.'}

NO_AUS = 'None.'


def brief(record: Record) -> Record:
    """The same face, asked for its label alone: 'Fear.' or 'AU1, AU4, AU20.'."""
    return dataclasses.replace(record, instruction=REQUESTS[record.task], response=_label(record))


def _label(record: Record) -> str:
    if record.task == 'emotion':
        return f'{EMOTIONS[record.emotion].capitalize()}.'
    return ', '.join(f'AU{au}' for au in sorted(record.aus)) + '.' if record.aus else NO_AUS
