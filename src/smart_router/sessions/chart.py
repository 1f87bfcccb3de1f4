"""Who serves which slot of a cluster, asked again when told to and now and then: one round at a time, and paced."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic

from smart_router.errors import StoreUnavailable
from smart_router.sessions.address import Address
from smart_router.sessions.asking import ask
from smart_router.sessions.slots import Range, ranges_of

PAUSE_S = 0.5  # between two rounds, at least
RENEW_S = 30.0  # and at most, beyond the pause
PATIENCE_S = 0.3  # with one node


class Chart:
    """
    A round asks *candidates* in turn until one answers, and hands what it said to *on_read*. If nobody did, another
    round follows. Use `start()` and `close()`.
    """

    def __init__(self, candidates: Callable[[], Iterable[Address]], on_read: Callable[[list[Range]], None]) -> None:
        self.trouble = "not connected yet"  # of the latest question that was not answered
        self.asked = False  # a round has ended
        self._candidates = candidates
        self._on_read = on_read
        self._task: asyncio.Task[None] | None = None
        self._due: asyncio.Event
        self._round: asyncio.Future[None]
        self._began: float  # the round

    def start(self) -> None:
        if self._task is None:
            self._due, self.asked = asyncio.Event(), False
            self._begin_round()
            self._task = asyncio.get_running_loop().create_task(self._keep())

    def renew(self) -> None:
        """Ask again, as soon as the pause allows."""
        if self._task is not None:
            self._due.set()

    async def end_of_round(self, *, within_s: float) -> None:
        """Return when no round is under way, or the one that is began so long ago."""
        left_s = self._began + within_s - monotonic()
        if not self._round.done() and left_s > 0:
            await asyncio.wait({self._round}, timeout=left_s)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _keep(self) -> None:
        while True:
            self._due.clear()
            if not await self._read():
                self._due.set()
            self._round.set_result(None)
            self.asked = True
            await asyncio.sleep(PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), RENEW_S)
            self._begin_round()

    def _begin_round(self) -> None:
        self._began, self._round = monotonic(), asyncio.get_running_loop().create_future()

    async def _read(self) -> bool:
        for address in self._candidates():
            try:
                async with asyncio.timeout(PATIENCE_S):
                    ranges = ranges_of(await ask(address, "CLUSTER", "SLOTS"), address.host)
            except (OSError, ValueError, StoreUnavailable) as exc:
                reason = str(exc) or type(exc).__name__
                self.trouble = f"cannot learn of the cluster from {address.host} port {address.port}: {reason}"
            else:
                self._on_read(ranges)
                return True
        return False
