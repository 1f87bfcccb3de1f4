"""Embeddings of the examples, kept between trainings: after a change, only the changed examples are encoded."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import structlog

from smart_router.classify.base import Encoder, Matrix, Said, Vector

log = structlog.get_logger("classifier")

ENCODED_AT_ONCE = 1024  # texts between two words of progress

Progress = Callable[[int, int], None]


def encode_known(encoder: Encoder, said: Sequence[Said], path: Path, progress: Progress) -> Matrix:
    """
    The embeddings of *said*, those in the file at *path* from there; then the file holds exactly these, if it can be
    written. *progress* hears how many of how many have been encoded; what has been is kept even if the rest is not.
    """
    known = _read(path, encoder.dimension)
    names = [hashlib.sha256("\0".join(one).encode()).hexdigest() for one in said]
    missing = [i for i, name in enumerate(names) if name not in known]
    for start in range(0, len(missing), ENCODED_AT_ONCE):
        some = missing[start : start + ENCODED_AT_ONCE]
        known |= {names[i]: row for i, row in zip(some, encoder.encode([said[i] for i in some]), strict=True)}
        _write(path, {name: known[name] for name in names if name in known})
        progress(min(start + ENCODED_AT_ONCE, len(missing)), len(missing))
    return np.stack([known[name] for name in names])


def _read(path: Path, dimension: int) -> dict[str, Vector]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names, rows = file["names"], file["rows"]
    except Exception:  # absent or damaged: encode again
        return {}
    if rows.ndim != 2 or rows.shape != (len(names), dimension):
        return {}
    return dict(zip(map(str, names), rows, strict=True))


def _write(path: Path, rows: Mapping[str, Vector]) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, names=np.array(list(rows)), rows=np.stack(list(rows.values())))
        partial.replace(path)
    except OSError as exc:
        log.warning("embeddings cannot be kept, the next training makes them again", error=str(exc))
