"""What the family of encoders and classifiers promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from smart_router.types import MediaKind

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float32]


class Encoder(Protocol):
    """Turns texts into unit-length sentence embeddings."""

    dimension: int

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Shape (texts, dimension), float32, each row of length 1."""


@dataclass(frozen=True, slots=True)
class Query:
    """What the classifier sees of a turn: its text, and which kinds of media came with it."""

    text: str
    media: tuple[MediaKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A query that somebody wrote, and where it belongs."""

    text: str
    use_case: str
    language: str
    attached: MediaKind | None = None
