"""
Word and character n-grams, hashed: the features that see scripts and loanwords an English encoder cannot.

A word in an Indian script counts twice, as it is written and in Latin letters, and every word also by its consonants
alone, in classes of sounds that scripts confuse: so a loanword is itself in each of them.

A text becomes a sparse vector of `DIMENSIONS` columns, unit length: each distinct n-gram counts once. Order does not
matter beyond word pairs.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smart_router.classify.romanise import romanised

VERSION = 3  # part of the artifact's input hash: raise it when a feature changes
DIMENSIONS = 1 << 18
CHARACTER_NGRAMS = (2, 3, 4, 5)
EDGE_CHARACTERS = 700  # of a long text, this much of either end is read: requests stand at the start or at the end
WORD_CHARACTERS = 40
SKELETON_NGRAMS = (3, 4, 5)
LEAST_SKELETON = 2  # consonants: one alone says nothing

_ASPIRATES = re.compile("chh|ch|sh|ph")
_PLAIN = {"chh": "j", "ch": "j", "sh": "s", "ph": "p"}
_CLASSES = str.maketrans("gcqdbfzw", "kkktppsv", "aeiouyh")  # voiced as unvoiced; vowels and breath go
_TWICE = re.compile(r"(.)\1+")
_SEPARATORS = re.compile(r"[\s!-/:-@\[-`{-~।॥…“”‘’«»–—]+")

Columns = npt.NDArray[np.int64]


def columns(texts: Iterable[str]) -> Iterator[Columns]:
    """The distinct hashed columns of each of *texts*, sorted; none for a text without words."""
    of_word = cache(word_columns)  # words repeat far more often than texts do
    for text in texts:
        found = words(text)
        distinct = set(pair_columns(found)).union(*map(of_word, found))
        yield np.array(sorted(distinct), dtype=np.int64)


def words(text: str) -> list[str]:
    """What *text* is read as: normalised, without punctuation."""
    folded = unicodedata.normalize("NFKC", edges(text, EDGE_CHARACTERS)).casefold()
    return [word for word in _SEPARATORS.split(folded) if word]


def edges(text: str, size: int) -> str:
    """The first and the last *size* characters of a longer text."""
    return text if len(text) <= 2 * size else f"{text[:size]} {text[-size:]}"


def word_columns(word: str) -> frozenset[int]:
    """Of the word, of its characters and of its consonants."""
    latin = romanised(word)
    grams = {*_spelt(word), *_spelt(latin)} if latin != word else set(_spelt(word))
    return frozenset(map(_column, grams.union(_sounds(latin))))


def skeleton(latin: str) -> str:
    """The consonants of a word in Latin letters, by class: `video` and `vitiyo` are both `vt`."""
    plain = _ASPIRATES.sub(lambda found: _PLAIN[found[0]], latin).replace("x", "ks")
    return _TWICE.sub(r"\1", plain.translate(_CLASSES))


def _spelt(word: str) -> Iterator[str]:
    yield f"w1:{word}"
    yield from _ngrams(f" {word[:WORD_CHARACTERS]} ", CHARACTER_NGRAMS)


def _sounds(latin: str) -> Iterator[str]:
    heard = skeleton(latin[:WORD_CHARACTERS])
    if len(heard) >= LEAST_SKELETON:
        yield f"s:{heard}"
        yield from (f"s{gram}" for gram in _ngrams(f"<{heard}>", SKELETON_NGRAMS))


def _ngrams(text: str, sizes: Sequence[int]) -> Iterator[str]:
    return (text[i : i + n] for n in sizes for i in range(len(text) - n + 1))


def pair_columns(words: Sequence[str]) -> Iterator[int]:
    """Of each two words that follow each other."""
    return (_column(f"w2:{a} {b}") for a, b in pairwise(words))


def _column(gram: str) -> int:
    return zlib.crc32(gram.encode()) & (DIMENSIONS - 1)
