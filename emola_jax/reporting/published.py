"""Figures that other people published, as data; never to be mixed with measured ones.

Every row says where its figure was read. EmoLA's own README and outputs are scored by the released
script, so they compare with our `reference` scoring and not with `strict`. A peer is listed only
where its figure was found in the table of an official release; one whose published mean
contradicts its published parts is left out (EAC-Net on both data sets, UGN-B on DISFA).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from emola_jax.facs import AU_LISTS

DATASET_TITLES: dict[str, str] = {
    'faba': 'FABA-Bench',
    'rafdb': 'RAF-DB',
    'bp4d': 'BP4D',
    'disfa': 'DISFA',
    'gft': 'GFT',
}
"""The data sets of the paper's tables, in their order."""


@dataclasses.dataclass(frozen=True)
class Published:
    """One method on one task of one data set, in percent, as its authors or peers printed it.

    Attributes:
      model: the method's name.
      dataset: a key of `DATASET_TITLES`.
      task: 'emotion' or 'au'.
      source: where the figure was read, in words.
      s_re: accuracy, or the mean F1 over the data set's action units.
      s_ge: ROUGE-L; None for a method that writes no text.
      s_rege: their sum, as printed.
      per_au: F1 by FACS number; empty where only the mean was published.
    """

    model: str
    dataset: str
    task: str
    source: str
    s_re: float
    s_ge: float | None = None
    s_rege: float | None = None
    per_au: Mapping[int, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DatasetFacts:
    """What the authors of an instruction set say of its size.

    Attributes:
      source: where it was read.
      images: distinct pictures.
      records: split -> task -> number of instruction-answer pairs.
      words: task -> mean words of an answer.
    """

    source: str
    images: int
    records: Mapping[str, Mapping[str, int]]
    words: Mapping[str, float]


_README = 'README of the released code'
_OUTPUTS = 'outputs that the authors committed, scored by their script'
_PAPER = 'Li et al., ECCV 2024'
_GRAPH = 'table in the README of ME-GraphAU (Luo et al., IJCAI 2022)'
_AUNCE = 'table in the README of AUNCE (Shang et al., 2024)'


def _per_au(dataset: str, source: str, table: str) -> tuple[Published, ...]:
    """Reads lines of 'model | F1 of each action unit, in the data set's order | mean'."""
    rows = []
    for line in table.strip().splitlines():
        model, values, mean = (part.strip() for part in line.split('|'))
        per_au = dict(zip(AU_LISTS[dataset], map(float, values.split()), strict=True))
        rows.append(Published(model, dataset, 'au', source, float(mean), per_au=per_au))
    return tuple(rows)


PUBLISHED: tuple[Published, ...] = (
    Published('EmoLA (README)', 'faba', 'emotion', _README, 64.5, 31.7, 96.2),
    Published('EmoLA (README)', 'faba', 'au', _README, 56.3, 35.2, 91.5),
    Published('EmoLA (outputs)', 'faba', 'emotion', _OUTPUTS, 63.03, 31.84, 94.87),
    Published('EmoLA (outputs)', 'faba', 'au', _OUTPUTS, 56.12, 35.26, 91.38),
    Published('APViT', 'rafdb', 'emotion', 'README of APViT (Xue et al., TAC 2022)', 91.98),
    Published('EmoLA', 'rafdb', 'emotion', _PAPER, 92.05),
    Published('MFER', 'rafdb', 'emotion', 'README of MFER (Xu et al.)', 92.08),
    Published('MFTN-FER', 'rafdb', 'emotion', 'README of MFTN-FER (Xu et al.)', 92.20),
    *_per_au(
        'bp4d',
        _GRAPH,
        """
        JAA-Net | 47.2 44.0 54.9 77.5 74.6 84.0 86.9 61.9 43.6 60.3 42.7 41.9 | 60.0
        LP-Net | 43.4 38.0 54.2 77.1 76.7 83.8 87.2 63.3 45.3 60.5 48.1 54.2 | 61.0
        ARL | 45.8 39.8 55.1 75.7 77.2 82.3 86.6 58.8 47.6 62.1 47.4 55.4 | 61.1
        SRERL | 46.9 45.3 55.6 77.1 78.4 83.5 87.6 63.9 52.2 63.9 47.1 53.3 | 62.9
        UGN-B | 54.2 46.4 56.8 76.2 76.7 82.4 86.1 64.7 51.2 63.1 48.5 53.6 | 63.3
        HMP-PS | 53.1 46.1 56.0 76.5 76.9 82.1 86.4 64.8 51.5 63.0 49.9 54.5 | 63.4
        SEV-Net | 58.2 50.4 58.3 81.9 73.9 87.8 87.5 61.6 52.6 62.2 44.6 47.6 | 63.9
        FAUDT | 51.7 49.3 61.0 77.8 79.5 82.9 86.3 67.6 51.9 63.0 43.7 56.3 | 64.2
        ME-GraphAU (ResNet-50) | 53.7 46.9 59.0 78.5 80.0 84.4 87.8 67.3 52.5 63.2 50.6 52.4 | 64.7
        ME-GraphAU (Swin-B) | 52.7 44.3 60.9 79.9 80.1 85.3 89.2 69.4 55.4 64.4 49.8 55.1 | 65.5
        """,
    ),
    *_per_au(
        'bp4d',
        _AUNCE,
        """
        JÂA-Net | 53.8 47.8 58.2 78.5 75.8 82.7 88.2 63.7 43.3 61.8 45.6 49.9 | 62.4
        AUNCE | 53.6 49.8 61.6 78.4 78.8 84.7 89.6 67.4 55.1 65.4 50.9 58.0 | 66.1
        """,
    ),
    Published('EmoLA', 'bp4d', 'au', _PAPER, 64.2),
    *_per_au(
        'disfa',
        _GRAPH,
        """
        JAA-Net | 43.7 46.2 56.0 41.4 44.7 69.6 88.3 58.4 | 56.0
        SRERL | 45.7 47.8 59.6 47.1 45.6 73.5 84.3 43.6 | 55.9
        LP-Net | 29.9 24.7 72.7 46.8 49.6 72.9 93.8 65.0 | 56.9
        ARL | 43.9 42.1 63.6 41.8 40.0 76.2 95.2 66.8 | 58.7
        SEV-Net | 55.3 53.1 61.5 53.6 38.2 71.6 95.7 41.5 | 58.8
        HMP-PS | 38.0 45.9 65.2 50.9 50.8 76.0 93.3 67.6 | 61.0
        FAUDT | 46.1 48.6 72.8 56.7 50.0 72.1 90.8 55.4 | 61.5
        ME-GraphAU (Swin-B) | 52.5 45.7 76.1 51.8 46.5 76.1 92.9 57.6 | 62.4
        ME-GraphAU (ResNet-50) | 54.6 47.1 72.9 54.0 55.7 76.7 91.1 53.0 | 63.1
        """,
    ),
    *_per_au(
        'disfa',
        _AUNCE,
        """
        JÂA-Net | 62.4 60.7 67.1 41.1 45.1 73.5 90.9 67.4 | 63.5
        AUNCE | 61.8 58.9 74.9 49.7 56.2 73.5 92.1 64.2 | 66.4
        """,
    ),
    Published('EmoLA', 'disfa', 'au', _PAPER, 65.1),
    Published('EmoLA', 'gft', 'au', _PAPER, 62.1),
)

FABA_INSTRUCT = DatasetFacts(
    source=_README,
    images=19877,
    records={'train': {'emotion': 19474, 'au': 15838}, 'eval': {'emotion': 403, 'au': 325}},
    words={'emotion': 50.47, 'au': 207.35},
)


def published(dataset: str, task: str) -> tuple[Published, ...]:
    """The figures for one task of one data set, in ascending order of S_re."""
    found = [row for row in PUBLISHED if (row.dataset, row.task) == (dataset, task)]
    return tuple(sorted(found, key=lambda row: row.s_re))
