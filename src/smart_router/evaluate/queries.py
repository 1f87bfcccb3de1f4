"""
Labelled queries: JSON lines of `text, label`, and where known `lang, modality (null|image|audio|video), source, hard`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smart_router.chooser import Chooser
from smart_router.errors import ConfigurationError
from smart_router.types import MEDIA_KINDS, Ask, MediaKind


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

    @property
    def right(self) -> bool:
        return self.chosen == self.query.label


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
        ConfigurationError: not such a file; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not at the other separators that JSON may hold
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path}: cannot be read: {exc}") from None
    return tuple(_labelled(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip())


async def judge(queries: Sequence[Labelled], chooser: Chooser) -> list[Judged]:
    """Each query as the first turn of a session of its own; a modality is given as the hint that it is."""
    found = []
    for query in queries:
        decision = await chooser.choose(
            Ask(request_id="eval", caller="eval", query=query.text, session_id="eval", modality=query.modality), None
        )
        found.append(Judged(query, decision.use_case, decision.confidence))
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


def _labelled(line: str, place: str) -> Labelled:
    try:
        row = json.loads(line)
        modality = row.get("modality")
        if modality is not None and modality not in MEDIA_KINDS:
            raise ValueError(f"modality must be null or one of {', '.join(MEDIA_KINDS)}")
        source = str(row.get("source", "")).partition(":")[0] or "unknown"
        return Labelled(
            str(row["text"]), str(row["label"]), str(row.get("lang", "en")), modality, source, bool(row.get("hard"))
        )
    except (ValueError, KeyError, AttributeError, TypeError) as exc:
        raise ConfigurationError(f'{place}: not a labelled query, such as {{"text": …, "label": …}}: {exc}') from None
