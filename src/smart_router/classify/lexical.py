"""
Word and character n-grams, hashed: the features that see scripts and loanwords an English encoder cannot.

A text becomes a sparse vector of `DIMENSIONS` columns, unit length: each distinct n-gram counts once. Order does not
matter beyond word pairs. The n-grams of a word are cached, because words repeat far more often than sentences do; a
query of ten words takes some tens of microseconds.
"""

import re
import unicodedata
import zlib
from functools import lru_cache
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
    words = _words(text)
    if not words:
        return np.empty(0, dtype=np.int64)
    found = [_word_columns(word) for word in words]
    pairs = [_column(f"w2:{a} {b}") for a, b in pairwise(words)]
    return _distinct(np.concatenate([*found, np.array(pairs, dtype=np.int64)]))


def _distinct(columns: Columns) -> Columns:
    """As `np.unique`, which takes six times as long for a few hundred."""
    columns.sort()
    first = np.empty(len(columns), dtype=np.bool_)
    first[0] = True
    np.not_equal(columns[1:], columns[:-1], out=first[1:])
    return columns[first]


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", edges(text, EDGE_CHARACTERS)).casefold()
    return [word for word in _SEPARATORS.split(folded) if word]


def edges(text: str, size: int) -> str:
    """The first and the last *size* characters of a longer text."""
    return text if len(text) <= 2 * size else f"{text[:size]} {text[-size:]}"


@lru_cache(maxsize=32_768)
def _word_columns(word: str) -> Columns:
    padded = f" {word[:WORD_CHARACTERS]} "
    grams = {f"w1:{word}"}
    for n in CHARACTER_NGRAMS:
        grams.update(padded[i : i + n] for i in range(len(padded) - n + 1))
    return np.array([_column(gram) for gram in grams], dtype=np.int64)


def _column(gram: str) -> int:
    return zlib.crc32(gram.encode()) & (DIMENSIONS - 1)
