"""Fleets whose servers and names are dicts."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from smart_router.decide.load import Load
from smart_router.registry import Model
from smart_router.upstream import KINDS
from smart_router.upstream.addresses import Resolve
from smart_router.upstream.fleet import Fleet, Lease
from tests.fakes import Clock, FakeUpstream, a_registry, settings


class FakeServers(FakeUpstream):
    """Fails to say the load of whom `load_trouble` names; `hold()` makes every question wait, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.load_trouble: dict[str, Exception] = {}
        self.load_asked: list[str] = []
        self.waiting = self.most_waiting = 0
        self._may_go = asyncio.Event()
        self._may_go.set()

    def hold(self) -> None:
        self._may_go.clear()

    def let_go(self) -> None:
        self._may_go.set()

    async def check(self, model: Model, endpoint: str) -> str:
        await self._wait()
        return await super().check(model, endpoint)

    async def load(self, endpoint: str) -> Load:
        self.load_asked.append(endpoint)
        await self._wait()
        if endpoint in self.load_trouble:
            raise self.load_trouble[endpoint]
        return await super().load(endpoint)

    async def _wait(self) -> None:
        self.waiting += 1
        self.most_waiting = max(self.waiting, self.most_waiting)
        await self._may_go.wait()
        self.waiting -= 1


class FakeNames:
    """name -> its addresses, or the error of resolving it. `asked` counts."""

    def __init__(self, **known: Sequence[str] | Exception) -> None:
        self.known = known
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        found = self.known[host]
        if isinstance(found, Exception):
            raise found
        return found


class World:
    """One fake kind of server, a clock, and fleets on them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.servers = FakeServers()
        self.clock = Clock()
        self.names = FakeNames()
        monkeypatch.setitem(KINDS, "vllm", lambda *_: self.servers)

    def fleet(self, *models: Model, resolve: Resolve | None = None, **changed: Any) -> Fleet:
        return Fleet(a_registry(*models), settings(**changed), now=self.clock, resolve=resolve or self.names)


def take(
    fleet: Fleet, warm: str | None = None, *, without: frozenset[str] = frozenset(), model: str = "m", key: str = "ann"
) -> Lease:
    return fleet.lease(model, warm, key, without)


def in_flight(fleet: Fleet) -> dict[str, int]:
    return {replica.endpoint: replica.in_flight for replica in fleet.report()}


async def until(condition: Callable[[], object]) -> None:
    """For what the fakes only record."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
