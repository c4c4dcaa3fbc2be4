"""The data sets that a config may name."""

from __future__ import annotations

from emola_jax.errors import UserError
from input_pipeline.datasets.affectnet import Affectnet
from input_pipeline.datasets.bp4d import Bp4d
from input_pipeline.datasets.build import FaceBuilder
from input_pipeline.datasets.disfa import Disfa
from input_pipeline.datasets.emotionet import Emotionet
from input_pipeline.datasets.faba_instruct import FabaInstruct
from input_pipeline.datasets.folder import Folder
from input_pipeline.datasets.gft import Gft
from input_pipeline.datasets.rafdb import Rafdb

BUILDERS: dict[str, type[FaceBuilder]] = {
    builder.DATA_SET.name: builder
    for builder in (FabaInstruct, Rafdb, Bp4d, Disfa, Gft, Affectnet, Emotionet, Folder)
}
"""Data sets that a user brings, by name."""

RENDERED = 'synthetic_faces'
"""The data set that the project makes itself."""

ALIASES = {'faba': 'faba_instruct'}


def register(builder: type[FaceBuilder]) -> None:
    """Adds a data set that a user brings; from then on configs and commands know its name.

    Raises:
      UserError: one of that name is known already.
    """
    name = builder.DATA_SET.name
    if name in names():
        raise UserError(f'data set {name!r} is known already; give yours another name')
    BUILDERS[name] = builder


def names() -> tuple[str, ...]:
    """The full names of all data sets."""
    return (RENDERED, *BUILDERS)


def full_name(name: str) -> str:
    """The name of a data set, which may be given in short.

    Raises:
      UserError: there is no such data set.
    """
    name = ALIASES.get(name, name)
    if name not in names():
        raise UserError(f'data set {name!r}: expected one of {", ".join((*names(), *ALIASES))}')
    return name


def find(name: str) -> type[FaceBuilder]:
    """The builder of a data set that a user brings.

    Raises:
      UserError: there is no such data set.
    """
    if full_name(name) not in BUILDERS:
        raise UserError(
            f'data set {name!r} is made by the project; expected one of {", ".join(BUILDERS)}'
        )
    return BUILDERS[full_name(name)]
