"""
Word and character n-grams, hashed: the features that see scripts and loanwords an English encoder cannot.

A text becomes a sparse vector of `DIMENSIONS` columns, unit length: each distinct n-gram counts once. Order does not
matter beyond word pairs.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

VERSION = 1  # part of the artifact's input hash: raise it when a feature changes
DIMENSIONS = 1 << 17
CHARACTER_NGRAMS = (2, 3, 4, 5)
EDGE_CHARACTERS = 700  # of a long text, this much of either end is read: requests stand at the start or at the end
WORD_CHARACTERS = 40

_SEPARATORS = re.compile(r"[\s!-/:-@\[-`{-~।॥…“”‘’«»–—]+")

Columns = npt.NDArray[np.int64]


def columns(text: str) -> Columns:
    """The distinct hashed columns of *text*, sorted; empty for a text without words."""
    found = words(text)
    distinct = set(pair_columns(found)).union(*map(word_columns, found))
    return np.array(sorted(distinct), dtype=np.int64)


def words(text: str) -> list[str]:
    """What *text* is read as: normalised, without punctuation."""
    folded = unicodedata.normalize("NFKC", edges(text, EDGE_CHARACTERS)).casefold()
    return [word for word in _SEPARATORS.split(folded) if word]


def edges(text: str, size: int) -> str:
    """The first and the last *size* characters of a longer text."""
    return text if len(text) <= 2 * size else f"{text[:size]} {text[-size:]}"


def word_columns(word: str) -> frozenset[int]:
    """Of the word and of its characters."""
    padded = f" {word[:WORD_CHARACTERS]} "
    grams = {f"w1:{word}"}
    for n in CHARACTER_NGRAMS:
        grams.update(padded[i : i + n] for i in range(len(padded) - n + 1))
    return frozenset(map(_column, grams))


def pair_columns(words: Sequence[str]) -> Iterator[int]:
    """Of each two words that follow each other."""
    return (_column(f"w2:{a} {b}") for a, b in pairwise(words))


def _column(gram: str) -> int:
    return zlib.crc32(gram.encode()) & (DIMENSIONS - 1)
