"""Ways to decide where a later turn goes: the router's own, and those that it is compared with."""

from collections.abc import Awaitable
from typing import Protocol

from msgspec.structs import replace

from smart_router.chooser import Chooser
from smart_router.decide.switch import Standing
from smart_router.types import Ask, Decision


class Policy(Protocol):
    """*standing* is where the session stands, None on its first turn; *previous* what the user had said."""

    name: str

    def decide(self, ask: Ask, standing: Standing | None, previous: str) -> Awaitable[Decision]: ...

    def lane(self, use_case: str) -> str:
        """Where a session's choice of *use_case* is kept."""


class _OfRouter:
    def __init__(self, name: str, chooser: Chooser) -> None:
        self.name = name
        self._chooser = chooser

    def lane(self, use_case: str) -> str:
        return self._chooser.lane(use_case)


class Router(_OfRouter):
    """As the router decides, in the mode that its chooser was made for."""

    async def decide(self, ask: Ask, standing: Standing | None, previous: str) -> Decision:
        return await self._chooser.choose(ask, standing, previous)


class EveryTurn(_OfRouter):
    """Every turn as if it were the first."""

    async def decide(self, ask: Ask, standing: Standing | None, previous: str) -> Decision:
        return await self._chooser.choose(ask, None)


class Sticky(_OfRouter):
    """A session stays for ever, unless something is attached."""

    async def decide(self, ask: Ask, standing: Standing | None, previous: str) -> Decision:
        if standing is None or ask.modality is not None:
            return await self._chooser.choose(ask, None)
        return Decision(standing.use_case, standing.confidence, "session", bypass=True)


class Margin(_OfRouter):
    """Every turn as if it were the first, but another use case must lead the standing one by *margin*."""

    def __init__(self, chooser: Chooser, margin: float) -> None:
        super().__init__(f"margin {margin:g}", chooser)
        self._margin = margin

    async def decide(self, ask: Ask, standing: Standing | None, previous: str) -> Decision:
        found = await self._chooser.choose(ask, None)
        if standing is None or ask.modality is not None or not found.scores:
            return found
        leads = found.confidence - found.scores.get(standing.use_case, 0.0)
        return found if leads >= self._margin else replace(found, use_case=standing.use_case, reason="session")


def policies(realtime: Chooser, standard: Chooser) -> tuple[Policy, ...]:
    """The router's two modes, and what they are compared with."""
    return (
        Router("realtime", realtime),
        Router("standard", standard),
        Sticky("sticky", realtime),
        EveryTurn("every turn", realtime),
        Margin(realtime, 0.4),
        Margin(realtime, 0.8),
    )
