"""
`/stats` over all routers: each adds what it counted to Redis once a second, and reads the sums.

What could not be added is added later. Without Redis, this process speaks for itself alone, and says so.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from time import time
from typing import Any

from msgspec import Struct

from smart_router.errors import StoreUnavailable
from smart_router.observe.stats import Counts, Stats, growth, report
from smart_router.sessions.base import SharedCounts

ADD_EVERY_S = 1.0


class _Pending(Struct, frozen=True):
    """An addition that is not confirmed: it must be sent again as it was. *afterwards*: all that the sums hold then."""

    counts: Counts
    afterwards: Counts


class SharedStats:
    """*shared*: None where sessions live in this process alone. Use `start()` and `close()`."""

    def __init__(self, stats: Stats, shared: SharedCounts | None) -> None:
        self._stats = stats
        self._shared = shared
        self._started = time()
        self._forgotten: Counts = {}  # what had been counted here at the last reset
        self._added: Counts = {}  # what of this process is in the sums
        self._pending: _Pending | None = None
        self._number = 0
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._shared is not None:
            self._task = asyncio.get_running_loop().create_task(self._keep_adding(self._shared))

    async def close(self) -> None:
        """Add what is left, if Redis takes it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._shared is not None:
            with suppress(StoreUnavailable):
                await self._add(self._shared)

    async def report(self) -> dict[str, Any]:
        """With `scope`: `cluster` if the numbers are those of all routers, else `replica`."""
        try:
            if self._shared is not None:
                await self._add(self._shared)
                sums = await self._shared.read()
                return {"scope": "cluster", "since": _iso(sums.since or time()), **report(sums.counts)}
        except StoreUnavailable:
            pass
        counted = growth(self._forgotten, self._stats.counts())
        return {"scope": "replica", "since": _iso(self._started), **report(counted)}

    async def reset(self) -> None:
        """
        Begin anew, for all routers. What others have counted but not added yet still counts.

        Raises:
            StoreUnavailable: nothing was forgotten.
        """
        if self._shared is not None:
            await self._add(self._shared)
            await self._shared.clear()
        self._forgotten, self._started = self._stats.counts(), time()

    async def _keep_adding(self, shared: SharedCounts) -> None:
        while True:
            await asyncio.sleep(ADD_EVERY_S)
            with suppress(StoreUnavailable):  # the session store's own calls tell the operator
                await self._add(shared)

    async def _add(self, shared: SharedCounts) -> None:
        """First what a lost reply left in doubt, under its old number, then what has been counted since."""
        async with self._turn:
            await self._send(shared)
            now = self._stats.counts()
            if grown := growth(self._added, now):
                self._number += 1
                self._pending = _Pending(grown, now)
                await self._send(shared)

    async def _send(self, shared: SharedCounts) -> None:
        if self._pending is not None:
            await shared.add(self._number, self._pending.counts)
            self._added, self._pending = self._pending.afterwards, None


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
