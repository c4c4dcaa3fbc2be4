"""The formats that a model can be written in: one table, in which a new one has one entry."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

from emola_jax.formats import verify_adapter, verify_peft, write_emola, write_hf, write_peft
from emola_jax.formats.purposes import PURPOSES
from emola_jax.formats.source import Source
from emola_jax.formats.write import Options


@dataclasses.dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
      purpose: one line for --help.
      needs_base: whether all weights are written, or only what was trained.
      check: raises UserError with one sentence where the format cannot express the model.
      write: fills an open folder that isn't under its final name yet.
      verify: runs one sample through what `write` wrote and through the source; returns the largest
        difference of their logits, or raises UserError. Needs the base's weights.
      verified_by: names what reads the folder for that.
    """

    purpose: str
    needs_base: bool
    check: Callable[[Source], None]
    write: Callable[[Source, Path, Options], None]
    verify: Callable[[Source, Path], float]
    verified_by: Callable[[], str]


def _merged(kind: str, purpose: str) -> Format:
    return Format(
        purpose,
        needs_base=True,
        check=functools.partial(write_hf.check, kind),
        write=functools.partial(write_hf.write, kind),
        verify=functools.partial(write_hf.check_written, kind),
        verified_by=lambda: 'by transformers',
    )


FORMATS: dict[str, Format] = {
    'emola': Format(
        PURPOSES['emola'],
        needs_base=False,
        check=write_emola.check,
        write=write_emola.write,
        verify=verify_adapter.check_written,
        verified_by=lambda: "by this project's own reader",
    ),
    'peft': Format(
        PURPOSES['peft'],
        needs_base=False,
        check=write_peft.check,
        write=write_peft.write,
        verify=verify_peft.check_written,
        verified_by=verify_peft.by,
    ),
    'hf': _merged('hf', PURPOSES['hf']),
    'llava-hf': _merged('llava-hf', PURPOSES['llava-hf']),
}
