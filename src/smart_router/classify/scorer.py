"""
A linear head made ready for serving: the probabilities of `Linear.probabilities`, within rounding.

Words repeat far more often than sentences do. So what a word adds to the logits is kept; for a text, n-grams that
several of its words share are taken out again, as each counts once.
"""

import math
from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np

from smart_router.classify import lexical
from smart_router.classify.base import Query, Vector
from smart_router.classify.head import Linear
from smart_router.types import MEDIA_KINDS

WORDS_KEPT = 8192  # some 2 KB each

Logits = list[float]  # one for each use case: of so few, numpy's overhead would be most of the work


class Scorer:
    """Knows one head and the names of its classes."""

    def __init__(self, linear: Linear, use_cases: Sequence[str]) -> None:
        self._linear = linear
        self._use_cases = tuple(use_cases)
        self._bias: Logits = linear.bias.tolist()
        self._nothing: Logits = [0.0] * len(self._bias)
        rows = [] if linear.standing is None else linear.standing.tolist()
        self._standing: dict[str, Logits] = dict(zip(self._use_cases, rows, strict=False))
        self._word = lru_cache(maxsize=WORDS_KEPT)(self._of_word)

    def __call__(self, query: Query, embedding: Vector | None = None) -> dict[str, float]:
        """Probabilities over the use cases, summing to 1."""
        linear = self._linear
        parts = [self._bias, self._of_ngrams(query.text)]
        parts += [linear.attached[MEDIA_KINDS.index(kind)].tolist() for kind in query.media]
        if query.standing is not None:
            parts.append(self._standing.get(query.standing, self._nothing))
        if linear.dense is not None and embedding is not None:
            parts.append((embedding @ linear.dense).tolist())
        return dict(zip(self._use_cases, _softmax(_sum(parts), linear.temperature), strict=True))

    def _of_ngrams(self, text: str) -> Logits:
        """The rows of all distinct columns of *text*, summed and scaled to a vector of unit length."""
        words = lexical.words(text)
        if not words:
            return self._nothing
        seen: set[int] = set()
        again: list[int] = []
        parts = []
        for columns, summed in map(self._word, words):
            parts.append(summed)
            again += seen & columns
            seen |= columns
        pairs = set(lexical.pair_columns(words)) - seen
        parts += [self._summed(pairs), [-logit for logit in self._summed(again)]]
        scale = 1 / math.sqrt(len(seen) + len(pairs))
        return [logit * scale for logit in _sum(parts)]

    def _of_word(self, word: str) -> tuple[frozenset[int], Logits]:
        columns = lexical.word_columns(word)
        return columns, self._summed(columns)

    def _summed(self, columns: Collection[int]) -> Logits:
        if not columns:
            return self._nothing
        rows = self._linear.sparse.take(list(columns), axis=0)
        return list(np.add.reduce(rows).tolist())


def _sum(parts: Sequence[Logits]) -> Logits:
    return [sum(logits) for logits in zip(*parts, strict=True)]


def _softmax(logits: Logits, temperature: float) -> list[float]:
    highest = max(logits)
    exponents = [math.exp((logit - highest) / temperature) for logit in logits]
    total = sum(exponents)
    return [exponent / total for exponent in exponents]
