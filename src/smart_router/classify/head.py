"""
The linear heads: probabilities over use cases from an embedding, hashed n-grams, what is attached, and of a later turn
the session's standing use case.

    logits = embedding @ dense + mean(sparse rows of the text's columns) * sqrt(columns) + attached + standing + bias
    probabilities = softmax(logits / temperature)

(the n-gram vector has unit length, hence the square root). There are four: for first and for later turns, each *hybrid*
with the encoder and *lexical* without; the lexical one for later turns is the guard. The temperature is fitted on
writers the encoder has not learnt from (Guo et al. 2017, "On Calibration of Modern Neural Networks").
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from smart_router.classify.base import Matrix, Vector
from smart_router.classify.lexical import Columns
from smart_router.errors import ArtifactUnusable
from smart_router.types import MEDIA_KINDS, MediaKind


class _Levels(NamedTuple):
    """How n-grams' weights are stored: *most* levels either side of 0, of which the last stands for a quantile."""

    most: int
    quantile: float
    rounded_up_from: float = 0.65  # small weights go to nothing


_FINE = _Levels(127, 1.0, 0.5)
_BESIDE_ENCODER, _ALONE = _Levels(4, 0.999), _Levels(12, 0.9999)  # such a few levels decide as well

Fingerprints = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Linear:
    """
    One linear head for C use cases. Shapes: sparse (DIMENSIONS, C), attached (3, C), bias (C,), standing (C, C) or
    None, dense (dimension, C) or None.
    """

    sparse: Matrix
    attached: Matrix
    bias: Vector
    temperature: float
    standing: Matrix | None = None
    dense: Matrix | None = None

    def probabilities(
        self,
        columns: Columns,
        media: Sequence[MediaKind],
        embedding: Vector | None = None,
        standing: int | None = None,
    ) -> Vector:
        """Shape (C,), summing to 1; *standing* is the place of the session's use case."""
        logits = self.bias.copy()
        if len(columns):
            logits += self.sparse[columns].sum(axis=0) / math.sqrt(len(columns))
        for kind in media:
            logits += self.attached[MEDIA_KINDS.index(kind)]
        if self.standing is not None and standing is not None:
            logits += self.standing[standing]
        if self.dense is not None and embedding is not None:
            logits += embedding @ self.dense
        return softmax(logits / self.temperature)


@dataclass(frozen=True)
class Pair:
    """The heads for one kind of turn; without an encoder there is no hybrid one."""

    lexical: Linear
    hybrid: Linear | None


@dataclass(frozen=True)
class Head:
    """All heads and what they were made from."""

    use_cases: tuple[str, ...]
    inputs_sha256: str
    first: Pair
    later: Pair
    known: Fingerprints  # of the lessons learnt from
    meta: Mapping[str, Any]
    fine: bool = True  # stored in 256 levels; else in few, which takes less room


def softmax(logits: Vector) -> Vector:
    exponents = np.exp(logits - logits.max())
    return np.asarray(exponents / exponents.sum(), dtype=np.float32)


def save_head(head: Head, path: Path) -> None:
    """Write *head* to *path* in one step; a reader sees the old file or the new one, never half of it."""
    arrays: dict[str, Any] = {"known": head.known}
    for turn, pair in (("first", head.first), ("later", head.later)):
        arrays |= _packed(f"{turn}.lexical", pair.lexical, head.fine)
        if pair.hybrid is not None:
            arrays |= _packed(f"{turn}.hybrid", pair.hybrid, head.fine)
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
            first, later, known = _pair("first", file), _pair("later", file), file["known"]
    except Exception as exc:  # whatever zipfile, numpy and json make of damaged bytes
        raise ArtifactUnusable(f"{path}: cannot be read: {exc}") from exc
    return Head(use_cases, inputs, first, later, known, meta)


def _pair(turn: str, file: Mapping[str, Any]) -> Pair:
    hybrid = f"{turn}.hybrid"
    return Pair(_unpacked(f"{turn}.lexical", file), _unpacked(hybrid, file) if f"{hybrid}.bias" in file else None)


def _packed(name: str, linear: Linear, fine: bool) -> dict[str, Any]:
    """Most columns are never seen: only those with a weight are kept."""
    scale, stored = in_levels(linear, fine)
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
    optional = {f"{name}.standing": linear.standing, f"{name}.dense": linear.dense}
    return packed | {key: matrix for key, matrix in optional.items() if matrix is not None}


def as_stored(linear: Linear, fine: bool) -> Linear:
    """What is stored is what is served."""
    scale, stored = in_levels(linear, fine)
    return replace(linear, sparse=stored * scale)


def in_levels(linear: Linear, fine: bool) -> tuple[Vector, npt.NDArray[np.int8]]:
    """The n-grams' weights as multiples of a scale per use case, of shape (C,)."""
    most, quantile, rounded_up_from = _FINE if fine else _ALONE if linear.dense is None else _BESIDE_ENCODER
    used = np.abs(linear.sparse[linear.sparse.any(axis=1)])
    top = np.quantile(used, quantile, axis=0, method="higher") if len(used) else np.zeros(linear.sparse.shape[1])
    scale = np.maximum(top / most, 1e-12).astype(np.float32)
    steps = linear.sparse / scale
    stored = np.sign(steps) * np.floor(np.abs(steps) + 1 - rounded_up_from)
    return scale, np.clip(stored, -most, most).astype(np.int8)


def _unpacked(name: str, file: Mapping[str, Any]) -> Linear:
    scale, weights = file[f"{name}.scale"], file[f"{name}.sparse"]
    sparse = np.zeros((int(file[f"{name}.rows"]), len(scale)), dtype=np.float32)
    sparse[np.cumsum(file[f"{name}.columns"])] = weights * scale
    return Linear(
        sparse=sparse,
        attached=file[f"{name}.attached"],
        bias=file[f"{name}.bias"],
        temperature=float(file[f"{name}.temperature"]),
        standing=file.get(f"{name}.standing"),
        dense=file.get(f"{name}.dense"),
    )
