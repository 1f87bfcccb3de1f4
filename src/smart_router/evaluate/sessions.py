"""
Labelled conversations: JSON lines of `turns`, each `text, label, modality`, and where known `source`.

What counts are the later turns. A session goes where it is sent: a wrong choice stands until it is corrected, as it
would in service.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from smart_router.decide.switch import Standing
from smart_router.evaluate.jsonl import load_lines, media_kind, source_of, text_of
from smart_router.evaluate.policies import Policy
from smart_router.types import Ask, Decision, MediaKind


@dataclass(frozen=True, slots=True)
class Turn:
    text: str
    label: str
    modality: MediaKind | None


@dataclass(frozen=True, slots=True)
class Conversation:
    turns: tuple[Turn, ...]
    source: str


@dataclass(frozen=True, slots=True)
class JudgedTurn:
    """A later turn: what it is, what was chosen, and what had been labelled and chosen before."""

    turn: Turn
    decision: Decision
    label_before: str
    chosen_before: str
    chosen_next: str | None  # None at the end
    seconds: float
    source: str

    @property
    def right(self) -> bool:
        return self.decision.use_case == self.turn.label

    @property
    def stays(self) -> bool:
        return self.turn.label == self.label_before

    @property
    def moved(self) -> bool:
        return self.decision.use_case != self.chosen_before


@dataclass(frozen=True)
class SessionRow:
    """Shares of later turns, 0..1; None where there is nothing to take a share of. Microseconds at the median."""

    policy: str
    part: str
    turns: int
    right: float | None
    dropped: float | None  # of the turns that stay, those sent elsewhere than they belong
    found_by_words: float | None  # of the switches without an attachment, those sent where they belong
    found_by_hint: float | None  # of the switches with one
    noticed_by_hint: float | None  # of these, those that left the use case before
    flip_flops: float | None  # of the turns that stay, those that left and were back on the next turn
    bypassed: float | None
    encoded_staying: float | None  # of the turns that stay, those for which the encoder ran
    bypass_us: float | None


def load_sessions(path: Path) -> tuple[Conversation, ...]:
    """
    Raises:
        ConfigurationError: the file cannot be read, or a line is not a labelled conversation; names the line.
    """
    return load_lines(path, _conversation, 'a labelled conversation, such as {"turns": [{"text": …, "label": …}, …]}')


async def judge_sessions(
    conversations: Iterable[Conversation], policy: Policy, judged: Callable[[], object] = lambda: None
) -> list[JudgedTurn]:
    """Every later turn of every conversation, as *policy* decides it. *judged* is called after each conversation."""
    found: list[JudgedTurn] = []
    for conversation in conversations:
        found += await _judge(conversation, policy)
        judged()
    return found


async def _judge(conversation: Conversation, policy: Policy) -> list[JudgedTurn]:
    standing: Standing | None = None
    previous, decisions, seconds = "", [], []
    visited: dict[str, str] = {}  # lane -> use case
    for turn in conversation.turns:
        ask = Ask("eval", "eval", turn.text, "eval", modality=turn.modality)
        started = perf_counter()
        decision = await policy.decide(ask, standing, previous)
        seconds.append(perf_counter() - started)
        decisions.append(decision)
        visited[policy.lane(decision.use_case)] = decision.use_case
        standing = Standing(decision.use_case, decision.confidence, frozenset(visited.values()) - {decision.use_case})
        previous = turn.text
    turns, chosen = conversation.turns, [decision.use_case for decision in decisions]
    return [
        JudgedTurn(
            turns[i],
            decisions[i],
            turns[i - 1].label,
            chosen[i - 1],
            chosen[i + 1] if i + 1 < len(chosen) else None,
            seconds[i],
            conversation.source,
        )
        for i in range(1, len(turns))
    ]


def row(policy: str, part: str, judged: Sequence[JudgedTurn]) -> SessionRow:
    stays = [one for one in judged if one.stays]
    words = [one for one in judged if not one.stays and one.turn.modality is None]
    hinted = [one for one in judged if not one.stays and one.turn.modality is not None]
    return SessionRow(
        policy,
        part,
        len(judged),
        right=_share(one.right for one in judged),
        dropped=_share(not one.right for one in stays),
        found_by_words=_share(one.right for one in words),
        found_by_hint=_share(one.right for one in hinted),
        noticed_by_hint=_share(one.moved or one.right for one in hinted),
        flip_flops=_share(one.moved and one.chosen_next == one.chosen_before for one in stays),
        bypassed=_share(one.decision.bypass for one in judged),
        encoded_staying=_share(bool(one.decision.scores) for one in stays),
        bypass_us=_median(one.seconds * 1e6 for one in judged if one.decision.bypass),
    )


def _share(of: Iterable[bool]) -> float | None:
    values = list(of)
    return sum(values) / len(values) if values else None


def _median(of: Iterable[float]) -> float | None:
    values = list(of)
    return median(values) if values else None


def _conversation(given: dict[str, Any]) -> Conversation:
    turns = tuple(
        Turn(text_of(turn, "text"), text_of(turn, "label"), media_kind(turn.get("modality"))) for turn in given["turns"]
    )
    if len(turns) < 2:
        raise ValueError("a conversation has at least two turns")
    return Conversation(turns, source_of(given))
