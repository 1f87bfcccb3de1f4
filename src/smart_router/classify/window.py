"""
From texts to the token ids that an encoder sees: words of Indian scripts in Latin letters, of a long text its two ends.

A later turn is a pair, as encoders are used to (`[CLS] what it comes after [SEP] text [SEP]`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from smart_router.classify.base import Said
from smart_router.classify.lexical import edges
from smart_router.classify.romanise import romanised

EDGE_CHARACTERS = 2000  # read of either end of a long text, before the tokens are counted
AFTER_SHARE = 0.3  # of the tokens, at most, for what a turn comes after
BATCH = 16  # texts per run when many are encoded at once

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of similar length: their *places* among all, ids and attention mask, both (texts, tokens)."""

    places: list[int]
    ids: Ids
    mask: Ids


class Window:
    """Of a text with too many tokens, the first and the last are kept, so that all together are *max_tokens*."""

    def __init__(self, tokenizer: Path, max_tokens: int, prompt: str = "") -> None:
        """*prompt* stands before every text, as some models expect."""
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._prompt = prompt
        self._before, self._between, self._behind = _frame(self._tokenizer)
        framed = len(self._before) + len(self._behind)
        self._alone = max(1, max_tokens - framed)
        self._after = max(1, int(max_tokens * AFTER_SHARE))
        self._text = max(1, max_tokens - framed - len(self._between) - self._after)

    def batches(self, said: Sequence[Said]) -> Iterator[Batch]:
        """All of *said*, the shortest first."""
        rows = self._rows(said)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            yield Batch(places, *_padded([rows[i] for i in places]))

    def batch(self, said: Sequence[Said]) -> Batch:
        """All of *said* at once, in their order."""
        return Batch(list(range(len(said))), *_padded(self._rows(said)))

    def lengths(self, said: Sequence[Said]) -> list[int]:
        """Tokens of each."""
        return [len(row) for row in self._rows(said)]

    def _rows(self, said: Sequence[Said]) -> list[list[int]]:
        texts = self._encoded([self._prompt + one.text for one in said])
        after = self._encoded([one.after for one in said])
        return [self._framed(text, before) for text, before in zip(texts, after, strict=True)]

    def _framed(self, text: list[int], after: list[int]) -> list[int]:
        if not after:
            return [*self._before, *_ends(text, self._alone), *self._behind]
        pair = *_ends(after, self._after), *self._between, *_ends(text, self._text)
        return [*self._before, *pair, *self._behind]

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        prepared = [romanised(edges(text, EDGE_CHARACTERS)) for text in texts]
        return [found.ids for found in self._tokenizer.encode_batch(prepared, add_special_tokens=False)]


def _frame(tokenizer: Tokenizer) -> tuple[list[int], list[int], list[int]]:
    """The special tokens before, between and behind a pair of texts."""
    text = tokenizer.encode("a", add_special_tokens=False)
    ids, marks = list(tokenizer.post_process(text, text).ids), list(text.ids)
    places = [i for i in range(len(ids)) if ids[i : i + len(marks)] == marks]
    first, second = places[0], places[-1]
    return ids[:first], ids[first + len(marks) : second], ids[second + len(marks) :]


def _ends(ids: list[int], size: int) -> list[int]:
    """The first and the last, *size* together; all where there are no more."""
    return ids if len(ids) <= size else ids[: size - size // 2] + ids[len(ids) - size // 2 :]


def _padded(rows: list[list[int]]) -> tuple[Ids, Ids]:
    width = max(1, max(len(row) for row in rows))
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
