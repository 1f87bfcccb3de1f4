"""
Trains heads from lessons: multinomial logistic regressions, each with a temperature fitted on held-out lessons.

The hybrid heads are learnt here only for an encoder that came as it is. Those of an encoder that was taught with them
(`finetune.py`) are given, and adapted to what is new in the lessons (`adapt.py`).

The same lessons and the same encoder give the same heads. scikit-learn is imported only here, when needed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smart_router.classify import lexical
from smart_router.classify.base import Example, Matrix
from smart_router.classify.examples import NOWHERE
from smart_router.classify.head import Head, Linear, Pair, as_stored
from smart_router.classify.lessons import Lessons, inputs_sha256
from smart_router.errors import ConfigurationError
from smart_router.types import MEDIA_KINDS

VERSION = 2  # part of the inputs' hash: raise it when training changes
INVERSE_REGULARISATION = 5.0  # C of the regression: best of 3 to 20 on writers left out of the training
LEXICAL_SCALE = 1.5  # weight of the n-gram block beside the embedding: best of 1.5 to 4, likewise
HELD_OUT = 5  # every fifth lesson is kept apart to fit the temperature, where no writers are
MINIMUM_EXAMPLES = 5  # per use case
RECIPE = (VERSION, INVERSE_REGULARISATION, LEXICAL_SCALE, HELD_OUT)
UNSEEN_BIAS = -10.0  # logit of a use case that no later turn belongs to
_TEMPERATURES = np.geomspace(0.2, 5.0, 200)

Hybrids = tuple[Linear, Linear]  # for first and for later turns


def train_head(
    lessons: Lessons,
    use_cases: Sequence[str],
    encoder_sha256: str,
    hybrids: Hybrids | None,
    apart: Collection[str] = (),
    *,
    fine: bool = True,
) -> Head:
    """
    A head with lexical heads fitted here and the given hybrid ones, if there are any, as they are stored. *apart* are
    writers whose lessons calibrate; without any, every fifth lesson does.

    Raises:
        ConfigurationError: a use case has too few examples to learn from.
    """
    check(lessons.first, use_cases)
    first, later = tables(lessons, use_cases, None, apart)
    return Head(
        use_cases=tuple(use_cases),
        inputs_sha256=inputs_sha256(lessons, use_cases, encoder_sha256, RECIPE),
        first=_stored(fitted(first), hybrids and hybrids[0], fine),
        later=_stored(fitted(later), hybrids and hybrids[1], fine),
        known=lessons.fingerprints,
        meta={
            "examples": len(lessons.first),
            "later_turns": len(lessons.later),
            "languages": sorted({example.language for example in lessons.first}),
        },
        fine=fine,
    )


def _stored(lexical: Linear, hybrid: Linear | None, fine: bool) -> Pair:
    return Pair(as_stored(lexical, fine), None if hybrid is None else as_stored(hybrid, fine))


def train_hybrids(
    lessons: Lessons, use_cases: Sequence[str], embeddings: Matrix, apart: Collection[str] = ()
) -> Hybrids:
    """Hybrid heads for an encoder that has not learnt from these lessons; *embeddings*: (lessons, dimension)."""
    check(lessons.first, use_cases)
    first, later = tables(lessons, use_cases, embeddings, apart)
    return fitted(first), fitted(later)


def calibrated(
    hybrids: Hybrids, lessons: Lessons, use_cases: Sequence[str], embeddings: Matrix, apart: Collection[str]
) -> Hybrids:
    """*hybrids* as they are stored in few levels, with temperatures fitted on what the writers *apart* have written."""
    found = zip(hybrids, tables(lessons, use_cases, embeddings, apart), strict=True)
    return tuple(_calibrated(linear, table) for linear, table in found)  # type: ignore[return-value]


def _calibrated(linear: Linear, table: "Table") -> Linear:
    stored = as_stored(linear, fine=False)
    held_out = table.only(table.held_out)
    if not len(held_out.labels):
        return stored
    return replace(stored, temperature=_temperature(held_out.logits(stored), held_out.labels, held_out.weights))


def check(examples: Sequence[Example], use_cases: Sequence[str]) -> None:
    """
    Raises:
        ConfigurationError: a use case has too few examples to learn from.
    """
    if not use_cases:
        raise ConfigurationError("no use case has example queries; give at least one an examples file")
    for use_case in use_cases:
        count = sum(example.use_case == use_case for example in examples)
        if count < MINIMUM_EXAMPLES:
            raise ConfigurationError(
                f"use case {use_case} has {count} example queries, at least {MINIMUM_EXAMPLES} are needed: "
                f"add them to its examples file"
            )


@dataclass(frozen=True)
class Table:
    """A row per lesson and, for what belongs nowhere, per use case: what is known of it, its label and its weight."""

    classes: int
    ngrams: Any
    attached: Matrix
    standing: Matrix | None  # of later turns
    embeddings: Matrix | None
    labels: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray

    @property
    def blocks(self) -> dict[str, Matrix]:
        """What there is beside the n-grams, by its name in `Linear`."""
        found = {"attached": self.attached, "standing": self.standing, "dense": self.embeddings}
        return {name: block for name, block in found.items() if block is not None}

    def only(self, rows: np.ndarray) -> "Table":
        return replace(
            self,
            ngrams=self.ngrams[rows],
            attached=self.attached[rows],
            standing=None if self.standing is None else self.standing[rows],
            embeddings=None if self.embeddings is None else self.embeddings[rows],
            labels=self.labels[rows],
            weights=self.weights[rows],
            held_out=self.held_out[rows],
        )

    def logits(self, linear: Linear) -> np.ndarray:
        """Shape (rows, C), before the temperature."""
        logits = self.ngrams @ linear.sparse + linear.bias
        for name, block in self.blocks.items():
            weights = getattr(linear, name)
            if weights is not None:
                logits = logits + block @ weights
        return np.asarray(logits)


def tables(
    lessons: Lessons, use_cases: Sequence[str], embeddings: Matrix | None, apart: Collection[str] = ()
) -> tuple[Table, Table]:
    """Of first and of later turns."""
    first = slice(0, len(lessons.first)), None
    later = slice(len(lessons.first), None), _one_hot([one.standing for one in lessons.later], use_cases)
    found = (
        _table(lessons.turns[part], use_cases, embeddings, part, standing, apart) for part, standing in (first, later)
    )
    return tuple(found)  # type: ignore[return-value]


def _table(
    turns: Sequence[Example],
    use_cases: Sequence[str],
    embeddings: Matrix | None,
    part: slice,
    standing: Matrix | None,
    apart: Collection[str],
) -> Table:
    everywhere = range(len(use_cases))
    labels = [everywhere if turn.use_case == NOWHERE else [use_cases.index(turn.use_case)] for turn in turns]
    places = np.repeat(np.arange(len(turns)), [len(some) for some in labels])
    return Table(
        classes=len(use_cases),
        ngrams=_ngrams([turn.text for turn in turns])[places],
        attached=_one_hot([turn.attached for turn in turns], MEDIA_KINDS)[places],
        standing=None if standing is None else standing[places],
        embeddings=None if embeddings is None else embeddings[part][places],
        labels=np.array([label for some in labels for label in some], dtype=np.int64),
        weights=1 / np.array([len(labels[i]) for i in places], dtype=np.float64),
        held_out=_held_out(turns, apart)[places],
    )


def _held_out(turns: Sequence[Example], apart: Collection[str]) -> np.ndarray:
    by_writer = np.array([turn.writer in apart for turn in turns], dtype=bool)
    return by_writer if by_writer.any() else np.arange(len(turns)) % HELD_OUT == 0


def fitted(table: Table) -> Linear:
    """A regression on all of *table*, calibrated on what it holds out."""
    from scipy.sparse import csr_matrix, hstack

    if len(set(table.labels)) < 2:
        return _flat(table)
    used = np.flatnonzero(np.asarray((table.ngrams > 0).sum(axis=0)).ravel() >= 2)  # a column seen once teaches nothing
    features = hstack([table.ngrams[:, used] * LEXICAL_SCALE, *map(csr_matrix, table.blocks.values())])
    features = features.tocsr().astype(np.float32)
    model, temperature = _trial(table, features)
    weights = _weights(model.fit(features, table.labels, table.weights), table.classes)
    return Linear(temperature=temperature, **parts(weights, used, table))


def _trial(table: Table, features: Any) -> tuple[Any, float]:
    """
    A model to start from, and the temperature that fits what it has not seen; where what is not held out lacks a use
    case, an empty one and 1.
    """
    kept = ~table.held_out
    model = _regression()
    if kept.all() or set(table.labels[kept]) != set(table.labels):
        return model, 1.0
    trial = _weights(model.fit(features[kept], table.labels[kept], table.weights[kept]), table.classes)
    logits = features[~kept] @ trial[:-1] + trial[-1]
    return model, _temperature(logits, table.labels[~kept], table.weights[~kept])


def _flat(table: Table) -> Linear:
    """Nothing to learn from: every use case is as likely."""
    widths = {name: np.zeros((block.shape[1], table.classes), np.float32) for name, block in table.blocks.items()}
    sparse, bias = np.zeros((lexical.DIMENSIONS, table.classes), np.float32), np.zeros(table.classes, np.float32)
    return Linear(sparse=sparse, bias=bias, temperature=1.0, **widths)


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=INVERSE_REGULARISATION, max_iter=300, tol=1e-3, warm_start=True)


def _weights(model: Any, classes: int) -> np.ndarray:
    """Shape (features + 1, C), the bias last; a class that was never seen gets what makes it unlikely."""
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn folds two classes into one row
        coefficients, intercept = np.vstack([-coefficients, coefficients]) / 2, np.hstack([-intercept, intercept]) / 2
    weights = np.zeros((coefficients.shape[1] + 1, classes))
    weights[-1] = UNSEEN_BIAS
    weights[:, model.classes_] = np.vstack([coefficients.T, intercept])
    return weights


def _temperature(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """The one that makes the held-out labels most likely."""

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        top = scaled.max(axis=1)
        normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float(np.average(normaliser - scaled[np.arange(len(labels)), labels], weights=weights))

    return float(min(_TEMPERATURES, key=loss))


def parts(weights: np.ndarray, used: np.ndarray, table: Table) -> dict[str, Matrix]:
    """
    By their names in `Linear`, from a regression on *table*; *weights* has a row for each n-gram that is *used*, then
    for each column of the blocks, then the bias.
    """
    sparse = np.zeros((lexical.DIMENSIONS, table.classes), dtype=np.float32)
    sparse[used] = weights[: len(used)] * LEXICAL_SCALE
    ends = np.cumsum([len(used), *(block.shape[1] for block in table.blocks.values())])
    blocks = {name: weights[a:b] for name, a, b in zip(table.blocks, ends, ends[1:], strict=False)}
    found = {"sparse": sparse, "bias": weights[-1], **blocks}
    return {name: part.astype(np.float32) for name, part in found.items()}


def _ngrams(texts: Sequence[str]) -> Any:
    from scipy.sparse import csr_matrix

    rows = list(lexical.columns(texts))
    values = np.concatenate([np.full(len(row), 1 / np.sqrt(max(1, len(row)))) for row in rows] or [np.empty(0)])
    ends = np.cumsum([0, *(len(row) for row in rows)])
    columns = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
    return csr_matrix((values, columns, ends), shape=(len(rows), lexical.DIMENSIONS))


def _one_hot(values: Sequence[str | None], names: Sequence[str]) -> Matrix:
    return np.array([[value == name for name in names] for value in values], dtype=np.float32).reshape(-1, len(names))
