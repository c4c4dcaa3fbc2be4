"""What a run sees of a face beside words: the rows of the ablation, for every config file.

docs/prior.md says what each is for.
"""

from __future__ import annotations

from collections.abc import Sequence

from ml_collections import ConfigDict

from emola_jax.errors import UserError

BOTH = 'both'

ROWS = ('prior_only', 'vision_only', BOTH, 'shuffled', 'before', 'image', 'several')
"""What `choose` knows:

    prior_only   landmarks without the picture
    vision_only  the picture without landmarks
    both         as published: the record's landmarks, one token after the patches
    shuffled     control: each record sees another one's landmarks, in training and evaluation
    before       the prior token before the patches
    image        landmarks that the expert computes from the picture, inside the compiled program
    several      the record's landmarks and the computed ones, side by side, a token each
"""


def take_row(argument: str, known: Sequence[str], file: str) -> tuple[str, str]:
    """What a config's argument says: one of `known` ('' if it names none), and one of `ROWS`.

    'image' and 'row=image' are the row; 'long,row=image' is both.

    Raises:
      UserError: anything else.
    """
    preset, row = '', BOTH
    for part in filter(None, (part.strip() for part in argument.split(','))):
        name = part.removeprefix('row=')
        if name in ROWS:
            row = name
        elif part in known and not preset:
            preset = part
        else:
            raise UserError(f'{file} knows {", ".join([*known, *ROWS])}, not {part!r}')
    return preset, row


def choose(config: ConfigDict, row: str) -> None:
    """Changes a config, in place, from the row 'both' to another one of `ROWS`."""
    model, prior = config.model, dict(config.model.get('prior', {}))
    if row == 'prior_only':
        config.data.image_size = model.vision.image_size
        model.vision = None
    changes: dict[str, dict[str, object]] = {
        'vision_only': {'enabled': False},
        'shuffled': {'source': 'shuffled'},
        'before': {'place': 'before'},
        'image': {'source': 'image'},
    }
    # A new section: that of the base may be the same object.
    model.prior = ConfigDict({**prior, **changes.get(row, {})})
    if row == 'several':
        model.more_priors = ConfigDict({'computed': {**prior, 'source': 'image'}})
    if row in ('prior_only', 'vision_only', 'shuffled'):
        config.eval.control = False
