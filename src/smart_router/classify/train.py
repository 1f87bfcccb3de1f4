"""
Trains the head from examples: multinomial logistic regression, then a temperature fitted on held-out queries.

The same examples and the same encoder give the same head. scikit-learn is imported only here, when needed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from smart_router.classify import lexical
from smart_router.classify.base import Example, Matrix
from smart_router.classify.examples import inputs_sha256
from smart_router.classify.head import Head, Linear, in_8_bits
from smart_router.errors import ConfigurationError
from smart_router.types import MEDIA_KINDS

VERSION = 1  # part of the inputs' hash: raise it when training changes
INVERSE_REGULARISATION = 5.0  # C of the regression: best of 3 to 20 on writers left out of the training
LEXICAL_SCALE = 2.0  # weight of the n-gram block beside the embedding: best of 1.5 to 4, likewise
HELD_OUT = 5  # every fifth query is kept apart to fit the temperature
MINIMUM_EXAMPLES = 5  # per use case
RECIPE = (VERSION, INVERSE_REGULARISATION, LEXICAL_SCALE, HELD_OUT)
_TEMPERATURES = np.geomspace(0.2, 5.0, 200)


def train_head(
    examples: Sequence[Example], use_cases: Sequence[str], embeddings: Matrix | None, encoder_sha256: str
) -> Head:
    """
    Fit both heads, or only the lexical one when there are no *embeddings* (shape (examples, dimension)).

    Raises:
        ConfigurationError: a use case has too few examples to learn from.
    """
    _check(examples, use_cases)
    labels = np.array([list(use_cases).index(example.use_case) for example in examples])
    sparse, attached = _sparse([e.text for e in examples]), _attached(examples)
    return Head(
        use_cases=tuple(use_cases),
        inputs_sha256=inputs_sha256(examples, use_cases, encoder_sha256, RECIPE),
        lexical=_fit(sparse, attached, None, labels),
        hybrid=None if embeddings is None else _fit(sparse, attached, embeddings, labels),
        meta={"examples": len(examples), "languages": sorted({e.language for e in examples})},
    )


def _check(examples: Sequence[Example], use_cases: Sequence[str]) -> None:
    if not use_cases:
        raise ConfigurationError("no use case has example queries; give at least one an examples file")
    for use_case in use_cases:
        count = sum(example.use_case == use_case for example in examples)
        if count < MINIMUM_EXAMPLES:
            raise ConfigurationError(
                f"use case {use_case} has {count} example queries, at least {MINIMUM_EXAMPLES} are needed: "
                f"add them to its examples file"
            )


def _fit(sparse: Any, attached: Matrix, embeddings: Matrix | None, labels: np.ndarray) -> Linear:
    from scipy.sparse import csr_matrix, hstack

    if len(set(labels)) == 1:
        return _certain(sparse.shape[1], embeddings)
    used = np.flatnonzero(np.asarray((sparse > 0).sum(axis=0)).ravel() >= 2)  # a column seen once teaches nothing
    blocks = [sparse[:, used] * LEXICAL_SCALE, csr_matrix(attached)]
    if embeddings is not None:
        blocks.append(csr_matrix(embeddings))
    features = hstack(blocks).tocsr().astype(np.float32)
    held_out = np.arange(len(labels)) % HELD_OUT == 0
    model = _regression()
    trial, _ = _weights(model.fit(features[~held_out], labels[~held_out]))
    temperature = _temperature(features[held_out] @ trial[:-1] + trial[-1], labels[held_out])
    weights, classes = _weights(model.fit(features, labels))  # from where the trial ended
    return _linear(weights, used, sparse.shape[1], temperature, embeddings is not None, classes)


def _certain(columns: int, embeddings: Matrix | None) -> Linear:
    """With one use case there is nothing to choose."""
    dense = None if embeddings is None else np.zeros((embeddings.shape[1], 1), dtype=np.float32)
    nothing = np.zeros((columns, 1), dtype=np.float32), np.zeros((len(MEDIA_KINDS), 1), dtype=np.float32)
    return Linear(*nothing, bias=np.zeros(1, dtype=np.float32), temperature=1.0, dense=dense)


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=INVERSE_REGULARISATION, max_iter=300, tol=1e-3, warm_start=True)


def _weights(model: Any) -> tuple[np.ndarray, int]:
    """Shape (features + 1, C), the bias last, and C."""
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn folds two classes into one row
        coefficients, intercept = np.vstack([-coefficients, coefficients]) / 2, np.hstack([-intercept, intercept]) / 2
    return np.vstack([coefficients.T, intercept]), len(model.classes_)


def _temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The one that makes the held-out labels most likely."""

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        top = scaled.max(axis=1)
        normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((normaliser - scaled[np.arange(len(labels)), labels]).mean())

    return float(min(_TEMPERATURES, key=loss))


def _linear(
    weights: np.ndarray, used: np.ndarray, columns: int, temperature: float, hybrid: bool, classes: int
) -> Linear:
    ngrams, media = len(used), len(MEDIA_KINDS)
    sparse = np.zeros((columns, classes), dtype=np.float32)
    sparse[used] = weights[:ngrams] * LEXICAL_SCALE
    scale, stored = in_8_bits(sparse)
    return Linear(
        sparse=stored * scale,  # what is stored is what is served
        attached=weights[ngrams : ngrams + media].astype(np.float32),
        bias=weights[-1].astype(np.float32),
        temperature=temperature,
        dense=weights[ngrams + media : -1].astype(np.float32) if hybrid else None,
    )


def _sparse(texts: Sequence[str]) -> Any:
    from scipy.sparse import csr_matrix

    rows = [lexical.columns(text) for text in texts]
    values = np.concatenate([np.full(len(row), 1 / np.sqrt(max(1, len(row)))) for row in rows])
    ends = np.cumsum([0, *(len(row) for row in rows)])
    return csr_matrix((values, np.concatenate(rows), ends), shape=(len(rows), lexical.DIMENSIONS))


def _attached(examples: Sequence[Example]) -> Matrix:
    return np.array([[e.attached == kind for kind in MEDIA_KINDS] for e in examples], dtype=np.float32)
