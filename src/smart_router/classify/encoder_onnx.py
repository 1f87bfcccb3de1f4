"""The serving encoder: onnxruntime and tokenizers, no torch."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at its import; it would write to the home folder

import onnxruntime

from smart_router.classify.base import Matrix, Said
from smart_router.classify.window import Batch, Window


class OnnxEncoder:
    """
    Runs an exported sentence-transformers model: `input_ids`, `attention_mask` (batch, tokens) -> `sentence_embedding`
    (batch, dimension).
    """

    def __init__(self, model: Path, tokenizer: Path, *, max_tokens: int, prompt: str = "", threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._window = Window(tokenizer, max_tokens, prompt)
        self.dimension = self._run(self._window.batch([Said("a")])).shape[1]  # not every graph names it

    def encode(self, said: Sequence[Said]) -> Matrix:
        """Shape (texts, dimension), float32, unit rows."""
        result = np.empty((len(said), self.dimension), dtype=np.float32)
        for batch in self._window.batches(said):
            result[batch.places] = self._run(batch)
        return result

    def _run(self, batch: Batch) -> Matrix:
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
        return np.asarray(self._session.run(["sentence_embedding"], inputs)[0], dtype=np.float32)
