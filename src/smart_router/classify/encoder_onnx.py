"""The serving encoder: onnxruntime and tokenizers, no torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

from smart_router.classify.base import Matrix
from smart_router.classify.lexical import edges

EDGE_CHARACTERS = 2000  # read of either end of a long text, before the tokens are counted
BATCH = 16  # texts per run when many are encoded at once


class OnnxEncoder:
    """
    Runs an exported sentence-transformers model: `input_ids`, `attention_mask` (batch, tokens) -> `sentence_embedding`
    (batch, dimension). Of a text longer than *max_tokens* the first and the last half of that many tokens are kept.
    """

    def __init__(self, model: Path, tokenizer: Path, *, max_tokens: int, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._half = max_tokens // 2
        self.dimension = int(self._session.get_outputs()[0].shape[1])

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Shape (texts, dimension), float32, unit rows; texts of similar length share a run."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        result = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            result[chosen] = self._run([texts[i] for i in chosen])
        return result

    def _run(self, texts: list[str]) -> Matrix:
        encodings = self._tokenizer.encode_batch([edges(text, EDGE_CHARACTERS) for text in texts])
        ids, mask = _padded([self._ends(encoding) for encoding in encodings])
        (embeddings,) = self._session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
        return np.asarray(embeddings, dtype=np.float32)

    def _ends(self, encoding: Encoding) -> list[int]:
        ids: list[int] = encoding.ids
        return ids if len(ids) <= 2 * self._half else ids[: self._half] + ids[-self._half :]


def _padded(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    width = max(1, max(len(row) for row in rows))
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
