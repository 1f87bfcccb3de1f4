"""The serving encoder: onnxruntime and tokenizers, no torch."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at its import; it would write to the home folder

import onnxruntime

from smart_router.classify.base import Matrix
from smart_router.classify.window import Window


class OnnxEncoder:
    """
    Runs an exported sentence-transformers model: `input_ids`, `attention_mask` (batch, tokens) -> `sentence_embedding`
    (batch, dimension).
    """

    def __init__(self, model: Path, tokenizer: Path, *, max_tokens: int, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._window = Window(tokenizer, max_tokens)
        self.dimension = int(self._session.get_outputs()[0].shape[1])

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Shape (texts, dimension), float32, unit rows."""
        result = np.empty((len(texts), self.dimension), dtype=np.float32)
        for batch in self._window.batches(texts):
            inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
            result[batch.places] = self._session.run(["sentence_embedding"], inputs)[0]
        return result
