"""
The linear head: probabilities over use cases from an embedding, hashed n-grams and what is attached.

    logits = embedding @ dense + mean(sparse rows of the text's columns) * sqrt(columns) + attached + bias
    probabilities = softmax(logits / temperature)

(the n-gram vector has unit length, hence the square root). Two such heads are trained on the same examples: *hybrid*
with the encoder, *lexical* without, which is also the guard that watches follow-ups. The temperature is fitted on
queries the head has not seen (Guo et al. 2017, "On Calibration of Modern Neural Networks").
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smart_router.classify.base import Matrix, Vector
from smart_router.classify.lexical import Columns
from smart_router.errors import ArtifactUnusable
from smart_router.types import MEDIA_KINDS, MediaKind


@dataclass(frozen=True)
class Linear:
    """One linear head. Shapes: sparse (DIMENSIONS, C), attached (3, C), bias (C,), dense (dimension, C) or None."""

    sparse: Matrix
    attached: Matrix
    bias: Vector
    temperature: float
    dense: Matrix | None = None

    def probabilities(self, columns: Columns, media: Sequence[MediaKind], embedding: Vector | None = None) -> Vector:
        """Shape (C,), summing to 1."""
        logits = self.bias.copy()
        if len(columns):
            logits += self.sparse[columns].sum(axis=0) / math.sqrt(len(columns))
        for kind in media:
            logits += self.attached[MEDIA_KINDS.index(kind)]
        if self.dense is not None and embedding is not None:
            logits += embedding @ self.dense
        return softmax(logits / self.temperature)


@dataclass(frozen=True)
class Head:
    """Both heads and what they were made from."""

    use_cases: tuple[str, ...]
    inputs_sha256: str
    lexical: Linear
    hybrid: Linear | None
    meta: Mapping[str, Any]


def softmax(logits: Vector) -> Vector:
    exponents = np.exp(logits - logits.max())
    return np.asarray(exponents / exponents.sum(), dtype=np.float32)


def save_head(head: Head, path: Path) -> None:
    """Write *head* to *path* in one step; a reader sees the old file or the new one, never half of it."""
    arrays: dict[str, Any] = {}
    for name, linear in (("lexical", head.lexical), ("hybrid", head.hybrid)):
        if linear is not None:
            arrays |= _packed(name, linear)
    meta = {"use_cases": head.use_cases, "inputs_sha256": head.inputs_sha256, **head.meta}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.npz")  # workers that start together each write their own
    np.savez_compressed(partial, meta=np.array(json.dumps(meta, sort_keys=True)), **arrays)
    partial.replace(path)


def load_head(path: Path) -> Head:
    """
    Raises:
        ArtifactUnusable: missing or damaged.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            meta = dict(json.loads(str(file["meta"])))
            use_cases, inputs = tuple(map(str, meta.pop("use_cases"))), str(meta.pop("inputs_sha256"))
            lexical = _unpacked("lexical", file)
            hybrid = _unpacked("hybrid", file) if "hybrid.bias" in file else None
    except Exception as exc:  # whatever zipfile, numpy and json make of damaged bytes
        raise ArtifactUnusable(f"{path}: cannot be read: {exc}") from exc
    return Head(use_cases, inputs, lexical, hybrid, meta)


def _packed(name: str, linear: Linear) -> dict[str, Any]:
    """Most columns are never seen: only those with a weight are kept, in 8 bits with a scale per use case."""
    scale, stored = in_8_bits(linear.sparse)
    used = np.flatnonzero(stored.any(axis=1))
    packed = {
        f"{name}.columns": np.diff(used, prepend=0).astype(np.uint32),
        f"{name}.sparse": stored[used],
        f"{name}.scale": scale,
        f"{name}.rows": np.array(len(linear.sparse)),
        f"{name}.attached": linear.attached,
        f"{name}.bias": linear.bias,
        f"{name}.temperature": np.array(linear.temperature),
    }
    return packed if linear.dense is None else {**packed, f"{name}.dense": linear.dense}


def in_8_bits(sparse: Matrix) -> tuple[Vector, npt.NDArray[np.int8]]:
    """Scales of shape (C,) and the weights as multiples of them."""
    scale = np.maximum(np.abs(sparse).max(axis=0) / 127, np.float32(1e-12)).astype(np.float32)
    return scale, np.round(sparse / scale).astype(np.int8)


def _unpacked(name: str, file: Mapping[str, Any]) -> Linear:
    scale, weights = file[f"{name}.scale"], file[f"{name}.sparse"]
    sparse = np.zeros((int(file[f"{name}.rows"]), len(scale)), dtype=np.float32)
    sparse[np.cumsum(file[f"{name}.columns"])] = weights * scale
    return Linear(
        sparse=sparse,
        attached=file[f"{name}.attached"],
        bias=file[f"{name}.bias"],
        temperature=float(file[f"{name}.temperature"]),
        dense=file.get(f"{name}.dense"),
    )
