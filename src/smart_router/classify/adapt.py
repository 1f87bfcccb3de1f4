"""
Fits heads that were taught together with their encoder to lessons that have changed since, in seconds and without
torch: a logistic regression whose weights are drawn to where they were instead of to zero, on what is new and on a
sample of what was known, lest that be forgotten (a Gaussian prior around the old weights: Chelba and Acero 2004,
"Adaptation of maximum entropy capitalizer").
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from smart_router.classify.base import Matrix
from smart_router.classify.head import Fingerprints, Head, Linear
from smart_router.classify.lessons import Lessons, fingerprint
from smart_router.classify.train import (
    INVERSE_REGULARISATION,
    LEXICAL_SCALE,
    UNSEEN_BIAS,
    Hybrids,
    Table,
    parts,
    tables,
)
from smart_router.errors import ArtifactUnusable

SAMPLE = 1000  # known lessons that are repeated, about
ITERATIONS = 200


def to_repeat(lessons: Lessons, known: Fingerprints) -> Lessons:
    """The lessons that are new, and an even sample of the known ones."""
    old = frozenset(known.tolist())
    step = max(1, len(lessons.turns) // SAMPLE)
    kept = [i % step == 0 or fingerprint(turn) not in old for i, turn in enumerate(lessons.turns)]
    first = len(lessons.first)
    return Lessons(
        tuple(one for one, keep in zip(lessons.first, kept[:first], strict=True) if keep),
        tuple(one for one, keep in zip(lessons.later, kept[first:], strict=True) if keep),
    )


def adapted(head: Head, lessons: Lessons, use_cases: Sequence[str], embeddings: Matrix) -> Hybrids:
    """
    The hybrid heads of *head* for *use_cases*, of which some may be new, after *lessons* (see `to_repeat`);
    *embeddings* has shape (lessons, dimension).

    Raises:
        ArtifactUnusable: *head* has no hybrid heads.
    """
    if head.first.hybrid is None or head.later.hybrid is None:
        raise ArtifactUnusable("the artifact's head.npz has no heads for its encoder; build it again")
    first, later = tables(lessons, use_cases, embeddings)
    return (
        _moved(_for_use_cases(head.first.hybrid, head.use_cases, use_cases), first),
        _moved(_for_use_cases(head.later.hybrid, head.use_cases, use_cases), later),
    )


def _for_use_cases(linear: Linear, had: Sequence[str], wanted: Sequence[str]) -> Linear:
    """Columns in the order of *wanted*; a new use case begins as one that is unlikely."""
    places = [had.index(name) if name in had else None for name in wanted]

    def columns(matrix: Matrix) -> Matrix:
        none = np.zeros(len(matrix), dtype=np.float32)
        return np.stack([none if place is None else matrix[:, place] for place in places], axis=1)

    return replace(
        linear,
        sparse=columns(linear.sparse),
        attached=columns(linear.attached),
        dense=None if linear.dense is None else columns(linear.dense),
        standing=None if linear.standing is None else _rows(columns(linear.standing), places),
        bias=np.array([UNSEEN_BIAS if place is None else linear.bias[place] for place in places], dtype=np.float32),
    )


def _rows(matrix: Matrix, places: Sequence[int | None]) -> Matrix:
    none = np.zeros(matrix.shape[1], dtype=np.float32)
    return np.stack([none if place is None else matrix[place] for place in places])


def _moved(linear: Linear, table: Table) -> Linear:
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix, hstack

    if not len(table.labels):
        return linear
    used = np.flatnonzero(np.asarray((table.ngrams > 0).sum(axis=0)).ravel())
    ones = np.ones((len(table.labels), 1), dtype=np.float32)
    blocks = [csr_matrix(block) for block in (*table.blocks.values(), ones)]
    features = hstack([table.ngrams[:, used] * LEXICAL_SCALE, *blocks]).tocsr()
    shape = features.shape[1], table.classes
    wanted = np.eye(table.classes)[table.labels]
    fixed = table.logits(linear)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        moved = flat.reshape(shape)
        logits = fixed + features @ moved
        logits -= logits.max(axis=1, keepdims=True)
        normaliser = np.log(np.exp(logits).sum(axis=1))
        wrong = (np.exp(logits - normaliser[:, None]) - wanted) * table.weights[:, None]
        total = float((table.weights * (normaliser - (logits * wanted).sum(axis=1))).sum())
        penalty = float((moved[:-1] ** 2).sum()) / (2 * INVERSE_REGULARISATION)  # the bias is free
        gradient = features.T @ wrong
        gradient[:-1] += moved[:-1] / INVERSE_REGULARISATION
        return total + penalty, gradient.ravel()

    best: Any = minimize(
        loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}
    )
    moved = parts(best.x.reshape(shape), used, table)
    return replace(linear, **{name: getattr(linear, name) + part for name, part in moved.items()})
