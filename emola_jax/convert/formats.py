"""The formats that a model can be written in: one table, in which a new one has one entry."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

from emola_jax.convert import write_emola, write_hf, write_peft
from emola_jax.convert.source import Source
from emola_jax.convert.write import Options


@dataclasses.dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
      purpose: one line for --help.
      needs_base: whether all weights are written, or only what was trained.
      check: raises UserError with one sentence where the format cannot express the model.
      write: fills an open folder that isn't under its final name yet.
      verify: runs one sample through what `write` wrote and through the source; returns the largest
        difference of their logits, or raises UserError. None where it cannot be done.
    """

    purpose: str
    needs_base: bool
    check: Callable[[Source], None]
    write: Callable[[Source, Path, Options], None]
    verify: Callable[[Source, Path], float] | None = None


def _merged(kind: str, purpose: str) -> Format:
    return Format(
        purpose,
        needs_base=True,
        check=functools.partial(write_hf.check, kind),
        write=functools.partial(write_hf.write, kind),
        verify=functools.partial(write_hf.check_written, kind),
    )


FORMATS: dict[str, Format] = {
    'emola': Format(
        'adapter and projectors in the files that the released code loads on LLaVA-1.5',
        needs_base=False,
        check=write_emola.check,
        write=write_emola.write,
    ),
    'peft': Format(
        'adapter that PEFT loads on a llava-hf model, with both projectors beside it',
        needs_base=False,
        check=write_peft.check,
        write=write_peft.write,
    ),
    'hf': _merged(
        'hf', 'merged and self-contained, loaded by transformers with trust_remote_code=True'
    ),
    'llava-hf': _merged(
        'llava-hf', 'merged plain LLaVA for transformers; the prior token is DROPPED'
    ),
}
