"""Results of a long command on disk, a batch at a time, so that a kill costs one batch."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from emola_jax.errors import UserError
from emola_jax.files.json_values import JsonObject
from emola_jax.files.whole import drop_torn_line, naming, read_jsonl, write_text

T = TypeVar('T')
Row = TypeVar('Row')


@dataclasses.dataclass(frozen=True)
class KeptRows:
    """A folder with a file a stage: its first line says what the rows belong to, then a row a line.

    Each row has a checksum; a file with a damaged row is computed again.

    Attributes:
      folder: made where it is missing.
      identity: JSON-able; what the rows depend on. Rows of anything else are thrown away.
    """

    folder: Path
    identity: JsonObject

    def map(
        self,
        stage: str,
        items: Sequence[T],
        size: int,
        work: Callable[[Sequence[T]], Sequence[Row]],
        *,
        unit: str = 'face',
    ) -> list[Row]:
        """One result an item, with a progress bar; what an earlier start did is read.

        Args:
          stage: names the file and the bar.
          items: all of them, in an order that is the same in every start.
          size: items that are done and kept at a time.
          work: items -> a JSON-able result each.
          unit: what an item is called beside the bar.
        """
        path = self.folder / f'{stage}.jsonl'
        header = {**self.identity, 'stage': stage, 'items': len(items)}
        rows: list[Row] = _rows_after(header, path, len(items))
        if not rows:
            write_text(path, json.dumps(header) + '\n')
        with (
            naming(path),
            path.open('a', encoding='utf-8') as file,
            tqdm(total=len(items), initial=len(rows), desc=stage, unit=unit) as bar,
        ):
            for first in range(len(rows), len(items), size):
                new = list(work(items[first : first + size]))
                # One write a batch: a kill leaves whole lines, or a tail that is cut off.
                file.write(''.join(_line(row) for row in new))
                file.flush()
                os.fsync(file.fileno())
                rows += new
                bar.update(len(new))
        return rows

    def remove(self) -> None:
        """Removes the folder: for who has written what the rows were for."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _rows_after(header: JsonObject, path: Path, most: int) -> list[Any]:
    """What a file of these rows holds; nothing if it is missing, of other rows, or damaged."""
    try:
        drop_torn_line(path)
        lines = read_jsonl(path)
    except UserError:
        return []
    kept = lines[1:]
    is_whole = len(kept) <= most and all(
        line.keys() == {'row', 'crc'} and line['crc'] == _crc(line['row']) for line in kept
    )
    return [line['row'] for line in kept] if lines[:1] == [header] and is_whole else []


def _line(row: object) -> str:
    return json.dumps({'row': row, 'crc': _crc(row)}) + '\n'


def _crc(row: object) -> int:
    return zlib.crc32(json.dumps(row).encode())
