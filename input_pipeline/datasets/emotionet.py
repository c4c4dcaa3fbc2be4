"""EmotioNet: faces from the web with action units, from the challenge's label files.

ROOT/EmotioNet/*.csv     a header with URL and 'AU 1', 'AU 2', …; the manually annotated faces
ROOT/EmotioNet/*.txt     no header: URL, another URL, then AU1..AU60, separated by tabs
ROOT/EmotioNet/images/N_0000000001_00001.jpg     a picture has the name that its URL ends with, and
                                                 may lie in a folder named as the URL's last one
ROOT/EmotioNet/landmarks/N_0000000001_00001.npy  ours, optional

Both forms as public readers of the challenge's files have them, single quotes around cells and at
the end of URLs included. The manual annotations come as an Excel sheet: save it as CSV. Codes are 1
present, 0 absent, 999 not annotated; a face with one of the twelve scored action units not
annotated is left out and counted. Many URLs are dead by now: `drop` leaves faces without a picture
out.

The owners' test labels aren't public, and nothing says who is on a picture. So about one picture in
five, by a hash of its name, is the test split here: our choice.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from emola_jax.errors import UserError
from emola_jax.facs import AU_LISTS
from emola_jax.files import paths
from input_pipeline.datasets import checks, label_files, wording
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.build_plan import DataSet
from input_pipeline.datasets.items import Item, Options, Scan, landmark_file

_FOLDER = 'EmotioNet'
_SPLITS = ('train', 'test')
_TEST_SHARE = 5
_AUS = AU_LISTS['emotionet']
_CODES = ('0', '1', '999')
_COLUMNS_WITHOUT_HEADER = 62

_INSTRUCTIONS = """\
EmotioNet (Fabian Benitez-Quiroz, Srinivasan & Martinez, CVPR 2016): ask its owners at Ohio State
University for the challenge's files (http://cbcsl.ece.ohio-state.edu/EmotionNetChallenge); they
lend them for research, as URLs with labels. Put the label files (.txt, or .csv saved from the Excel
sheet) into ROOT/EmotioNet and the pictures you download, named as in their URLs, into
ROOT/EmotioNet/images."""


def missing(root: Path, options: Options) -> list[str]:
    """One line for the labels or the pictures if they aren't there."""
    del options
    lines = []
    if not _label_files(root):
        sheets = [str(path) for path in sorted((root / _FOLDER).glob('*.xls*'))]
        hint = f' (save {", ".join(sheets)} as CSV)' if sheets else ''
        lines.append(f'{root / _FOLDER}/*.csv or *.txt: the labels of EmotioNet{hint}')
    if not (root / _FOLDER / 'images').is_dir():
        lines.append(f'{root / _FOLDER}/images: the pictures of EmotioNet')
    return lines


def scan(root: Path, options: Options) -> Scan:
    """A record for each annotated face."""
    del options
    found = Scan(label_files=_label_files(root))
    for path in found.label_files:
        try:
            table = label_files.rows(path)
            columns = _columns(path, table)
        except UserError as error:
            found.problem(str(path), checks.BAD_LABEL_FILE, str(error))
            continue
        has_header = _unquoted(table[0].cells)[0].lower() == 'url'
        for row in table[has_header:]:
            _add(found, root, f'{path}, line {row.line}', row, columns)
    return found


def _label_files(root: Path) -> list[Path]:
    return paths.files(root / _FOLDER, '.csv', '.txt')


def _unquoted(cells: list[str]) -> list[str]:
    """The owners' sheet has single quotes around cells and at the end of URLs."""
    return [cell.strip("'").strip() for cell in cells]


def _columns(path: Path, table: list[label_files.Row]) -> dict[int, int]:
    """Action unit -> index of its column.

    Raises:
      UserError: the table has neither a header with the scored action units nor 62 columns.
    """
    first = _unquoted(table[0].cells) if table else []
    header = [cell.lower().replace(' ', '') for cell in first]
    if header[:1] == ['url']:
        if lacking := [f'AU {au}' for au in _AUS if f'au{au}' not in header]:
            raise UserError(f'{path}: the header lacks the column(s) {", ".join(lacking)}')
        return {au: header.index(f'au{au}') for au in _AUS}
    if len(first) != _COLUMNS_WITHOUT_HEADER:
        raise UserError(
            f'{path}: expected a header that starts with URL, or {_COLUMNS_WITHOUT_HEADER} columns '
            f'(two URLs and AU1..AU60), found {len(first)}'
        )
    return {au: au + 1 for au in _AUS}


def _add(
    found: Scan, root: Path, where: str, row: label_files.Row, columns: dict[int, int]
) -> None:
    """Adds the item of a row, or says why there is none."""
    cells = _unquoted(row.cells)
    if row.fault or len(cells) <= max(columns.values()) or not _has_picture(cells[0]):
        expected = 'expected the URL of a picture and the codes of its action units'
        found.problem(where, checks.BAD_ROW, f'{where}: {row.fault or expected}')
        return
    codes = {au: cells[column] for au, column in columns.items()}
    wrong = [f'AU{au} = {code!r}' for au, code in codes.items() if code not in _CODES]
    if wrong:
        message = f'{where}: {", ".join(wrong)}; expected 0 (absent), 1 (present) or 999 (unknown)'
        found.problem(where, checks.BAD_LABEL, message)
        return
    if '999' in codes.values():
        found.dropped['an action unit not annotated'] += 1
        return
    aus = tuple(au for au, code in codes.items() if code == '1')
    pictures = root / _FOLDER / 'images'
    picture = _picture(pictures, cells[0])
    found.items.append(
        Item(
            id=picture.stem,
            split=_split(picture.name),
            image=str(picture),
            landmarks=landmark_file(root / _FOLDER / 'landmarks', pictures, picture),
            task='au',
            instruction=wording.QUESTIONS['au'],
            response=wording.au_answer(aus),
            aus=aus,
            source=_FOLDER,
        )
    )


def _has_picture(url: str) -> bool:
    return '/' in url and '\0' not in url and bool(PurePosixPath(url).suffix)


def _picture(pictures: Path, url: str) -> Path:
    path = PurePosixPath(url)
    nested = pictures / path.parent.name / path.name
    return nested if nested.is_file() else pictures / path.name


def _split(name: str) -> str:
    drawn = hashlib.sha256(name.encode()).digest()[0] % _TEST_SHARE
    return 'test' if drawn == 0 else 'train'


DATA_SET = DataSet(
    name='emotionet',
    title='EmotioNet',
    tasks=('au',),
    splits=_SPLITS,
    train='train',
    evaluated='test',
    au_list='emotionet',
    instructions=_INSTRUCTIONS,
    missing=missing,
    scan=scan,
)


class Emotionet(FaceBuilder):
    """The TFDS builder of EmotioNet."""

    name = DATA_SET.name
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATA_SET.instructions
    DATA_SET = DATA_SET
