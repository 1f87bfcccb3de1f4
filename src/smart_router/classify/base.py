"""What the family of encoders and classifiers promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from smart_router.types import MediaKind

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float32]


class Said(NamedTuple):
    """What an encoder reads: a text, and of a later turn what it comes *after*."""

    text: str
    after: str = ""


class Encoder(Protocol):
    """Turns texts into unit-length sentence embeddings."""

    dimension: int

    def encode(self, said: Sequence[Said]) -> Matrix:
        """Shape (texts, dimension), float32, each row of length 1."""


@dataclass(frozen=True, slots=True)
class Query:
    """
    What the classifier sees of a turn: its text, which kinds of media came with it, and of a later turn the session's
    *standing* use case and what the user said in the turn before (empty where that is not known).
    """

    text: str
    media: tuple[MediaKind, ...] = ()
    standing: str | None = None
    previous: str = ""

    @property
    def said(self) -> Said:
        return said(self.text, self.standing, self.previous)


def said(text: str, standing: str | None, previous: str) -> Said:
    return Said(text, f"{standing}: {previous}" if standing is not None else "")


@dataclass(frozen=True, slots=True)
class Example:
    """A query that somebody wrote, and where it belongs."""

    text: str
    use_case: str
    language: str
    attached: MediaKind | None = None
    writer: str = ""


@dataclass(frozen=True, slots=True)
class LaterExample:
    """An example of a later turn: the session's use case so far, and what the user had said before."""

    turn: Example
    standing: str
    previous: str

    @property
    def said(self) -> Said:
        return said(self.turn.text, self.standing, self.previous)
