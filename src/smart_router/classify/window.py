"""From texts to the token ids that an encoder sees: of a long text, its two ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from smart_router.classify.lexical import edges

EDGE_CHARACTERS = 2000  # read of either end of a long text, before the tokens are counted
BATCH = 16  # texts per run when many are encoded at once

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of similar length: their *places* among all, ids and attention mask, both (texts, tokens)."""

    places: list[int]
    ids: Ids
    mask: Ids


class Window:
    """Of a text with more than *max_tokens*, the first and the last half of that many are kept."""

    def __init__(self, tokenizer: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._half = max_tokens // 2

    def batches(self, texts: Sequence[str]) -> Iterator[Batch]:
        """All of *texts*, the shortest first."""
        encodings = self._tokenizer.encode_batch([edges(text, EDGE_CHARACTERS) for text in texts])
        rows = [self._ends(encoding.ids) for encoding in encodings]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            yield Batch(places, *_padded([rows[i] for i in places]))

    def _ends(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= 2 * self._half else ids[: self._half] + ids[-self._half :]


def _padded(rows: list[list[int]]) -> tuple[Ids, Ids]:
    width = max(1, max(len(row) for row in rows))
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
