"""One reader for everything that has weights: runs of this project and folders of other people."""

from __future__ import annotations

from pathlib import Path

from emola_jax.experiment import finished_run
from emola_jax.formats.read_folder import read_folder
from emola_jax.formats.source import Source
from emola_jax.weights.hub import local_folder


def read(
    name: str | Path,
    *,
    base: str | None = None,
    clip: str | None = None,
    allow_download: bool = False,
    with_base: bool = True,
) -> Source:
    """What a checkpoint holds, whatever format it is in; no tensor is read yet.

    Args:
      name: a run's workdir; a folder of EmoLA as released, of an adapter of PEFT, of LLaVA-1.5 in
        any layout or of a merged EmoLA; or an id of the Hugging Face hub (`weights.hub`).
      base: the model below an adapter or a run, if not where it names it; a folder or hub id.
      clip: the same of CLIP.
      allow_download: whether to fetch from the hub what the checkpoint itself names.
      with_base: False reads what was trained, without the weights below it.

    Raises:
      UserError: lists everything that is missing, left over, damaged or doesn't fit.
    """
    folder = local_folder(name)
    if finished_run.is_run(folder):
        # A run names what its user's config named.
        return finished_run.read_run(folder, base=base, clip=clip, with_base=with_base)
    return read_folder(
        folder, base=base, clip=clip, allow_download=allow_download, with_base=with_base
    )
