"""Conversations in few words, and policies that decide as a test says."""

from collections.abc import Sequence
from typing import Any

from smart_router.decide.switch import Standing
from smart_router.evaluate.queries import Judged, Labelled
from smart_router.evaluate.sessions import Conversation, JudgedTurn, Turn, judge_sessions
from smart_router.types import Ask, Decision, MediaKind

Label = str | tuple[str, MediaKind]  # with a kind of media for a turn that comes with it
SCORES = {"agent": 0.5}  # any: the encoder ran


def bypassed(use_case: str) -> Decision:
    return Decision(use_case, 0.9, "session", bypass=True)


def classified(use_case: str) -> Decision:
    return Decision(use_case, 0.8, "classified", scores=SCORES)


class Scripted:
    """Decides with one of *decisions* after the other; records what it was asked."""

    name = "scripted"

    def __init__(self, *decisions: Decision) -> None:
        self._decisions = iter(decisions)
        self.asked: list[tuple[Ask, Standing | None, str]] = []

    def lane(self, use_case: str) -> str:
        return f"gpu of {use_case}"

    async def decide(self, ask: Ask, standing: Standing | None, previous: str) -> Decision:
        self.asked.append((ask, standing, previous))
        return next(self._decisions)


def a_conversation(*labels: Label, source: str = "dev") -> Conversation:
    """One turn per label."""
    turns = [(label, None) if isinstance(label, str) else label for label in labels]
    return Conversation(tuple(Turn(f"t{i}", label, media) for i, (label, media) in enumerate(turns)), source)


async def judged(conversation: Conversation, *decisions: Decision) -> list[JudgedTurn]:
    return await judge_sessions([conversation], Scripted(*decisions))


async def judged_choices(labels: Sequence[Label], choices: Sequence[str]) -> list[JudgedTurn]:
    """Every turn was classified."""
    return await judged(a_conversation(*labels), *map(classified, choices))


def a_judged(label: str = "agent", chosen: str = "agent", confidence: float = 0.9, **changed: Any) -> Judged:
    usual: dict[str, Any] = {"text": "Hi", "language": "en", "modality": None, "source": "dev", "hard": False}
    return Judged(Labelled(label=label, **usual | changed), chosen, confidence)
