"""
Labelled queries: JSON lines of `text, label`, and where known `lang, modality (null|image|audio|video), source, hard`.
An empty label says that the text belongs nowhere: to choose the default use case as a fallback is right.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smart_router.chooser import Chooser
from smart_router.evaluate.jsonl import load_lines, media_kind, source_of, text_of
from smart_router.types import Ask, MediaKind


@dataclass(frozen=True, slots=True)
class Labelled:
    text: str
    label: str
    language: str
    modality: MediaKind | None
    source: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """A query, and the use case that the router chose for it as a first turn."""

    query: Labelled
    chosen: str
    confidence: float
    fell_back: bool = False

    @property
    def right(self) -> bool:
        return self.chosen == self.query.label if self.query.label else self.fell_back


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report: *right* of *total*."""

    part: str
    value: str
    total: int
    right: int

    @property
    def accuracy(self) -> float:
        return self.right / self.total if self.total else 0.0


def load_labelled(path: Path) -> tuple[Labelled, ...]:
    """
    Raises:
        ConfigurationError: the file cannot be read, or a line is not a labelled query; names the line.
    """
    return load_lines(path, _labelled, 'a labelled query, such as {"text": …, "label": …}')


async def judge(
    queries: Sequence[Labelled], chooser: Chooser, judged: Callable[[], object] = lambda: None
) -> list[Judged]:
    """
    Each query as the first turn of a session of its own; a modality is given as the hint that it is. *judged* is called
    after each.
    """
    found = []
    for query in queries:
        decision = await chooser.choose(
            Ask(request_id="eval", caller="eval", query=query.text, session_id="eval", modality=query.modality), None
        )
        found.append(Judged(query, decision.use_case, decision.confidence, decision.reason == "fallback"))
        judged()
    return found


def report(judged: Sequence[Judged]) -> list[Row]:
    """All, text only, then by class, language, source and difficulty (text only: a modality gives much away)."""
    text = [one for one in judged if one.query.modality is None]
    rows = [_row("all", "", judged), *_by("modality", judged, lambda q: q.modality or "text only")]
    rows += _by("class", text, lambda q: q.label)
    rows += _by("language", text, lambda q: q.language)
    rows += _by("source", text, lambda q: q.source)
    rows += _by("difficulty", text, lambda q: "hard" if q.hard else "easy")
    return rows


def confusions(judged: Sequence[Judged]) -> dict[tuple[str, str], int]:
    """(label, chosen) -> count, of the text-only queries."""
    counts: dict[tuple[str, str], int] = {}
    for one in judged:
        if one.query.modality is None:
            pair = one.query.label, one.chosen
            counts[pair] = counts.get(pair, 0) + 1
    return counts


def _by(part: str, judged: Sequence[Judged], key: Any) -> Iterator[Row]:
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        groups.setdefault(key(one.query), []).append(one)
    for value in sorted(groups):
        yield _row(part, value, groups[value])


def _row(part: str, value: str, judged: Sequence[Judged]) -> Row:
    return Row(part, value, len(judged), sum(one.right for one in judged))


def _labelled(row: dict[str, Any]) -> Labelled:
    return Labelled(
        text=text_of(row, "text"),
        label=text_of(row, "label"),
        language=str(row.get("lang", "en")),
        modality=media_kind(row.get("modality")),
        source=source_of(row),
        hard=bool(row.get("hard")),
    )
