"""Embeddings of the examples, kept between trainings: after a change, only the changed examples are encoded."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from smart_router.classify.base import Encoder, Matrix, Vector

ENCODED_AT_ONCE = 1024  # texts between two words of progress

Progress = Callable[[int, int], None]


def encode_known(encoder: Encoder, texts: Sequence[str], path: Path, progress: Progress) -> Matrix:
    """
    The embeddings of *texts*, those in the file at *path* from there; then the file holds exactly these. *progress*
    hears how many of how many have been encoded.

    Raises:
        OSError: the file cannot be written; the embeddings are lost.
    """
    known = _read(path, encoder.dimension)
    names = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    missing = [i for i, name in enumerate(names) if name not in known]
    for start in range(0, len(missing), ENCODED_AT_ONCE):
        some = missing[start : start + ENCODED_AT_ONCE]
        known |= {names[i]: row for i, row in zip(some, encoder.encode([texts[i] for i in some]), strict=True)}
        progress(min(start + ENCODED_AT_ONCE, len(missing)), len(missing))
    found = np.stack([known[name] for name in names])
    if missing:
        _write(path, names, found)
    return found


def _read(path: Path, dimension: int) -> dict[str, Vector]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names, rows = file["names"], file["rows"]
    except Exception:  # absent or damaged: encode again
        return {}
    if rows.ndim != 2 or rows.shape != (len(names), dimension):
        return {}
    return dict(zip(map(str, names), rows, strict=True))


def _write(path: Path, names: Sequence[str], rows: Matrix) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, names=np.array(names), rows=rows)
    partial.replace(path)
