"""
The way to Redis: looked for by a task of its own, one attempt at a time and paced by the breaker, until there is one.
It takes no traffic to find it, and no call waits for it.

A connection is good when it is made and greeted within CONNECT_S, and answers PING within the deadline of a call.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from smart_router.decide.breaker import Breaker
from smart_router.errors import StoreUnavailable
from smart_router.sessions.address import Destination
from smart_router.sessions.link import LOST, Link, Part

CONNECT_S = 1.0
GRACE_S = 0.005  # for a reply that has come when its deadline has passed, but was not read: the loop was late itself
SPACING_S = 0.05  # between two PINGs of one attempt


class Search:
    """
    *made* makes a link; *on_found* takes it once it is good, and then there is no search until it is `lost` or too
    `slow`. *on_failed* hears why an attempt did not succeed. *greeting*: commands that a link begins with.
    """

    def __init__(
        self,
        address: Destination,
        greeting: Sequence[tuple[Part, ...]],
        made: Callable[[], Link],
        *,
        timeout_s: float,
        on_found: Callable[[Link], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._address = address
        self._greeting = greeting
        self._made = made
        self._timeout_s = timeout_s
        self._on_found = on_found
        self._on_failed = on_failed
        self._breaker = Breaker()
        self._task: asyncio.Task[None] | None = None
        self._hurry: asyncio.Event
        self._ended: asyncio.Future[None]  # the attempt that is under way, else the next one

    def begin(self) -> None:
        """Unless it has begun."""
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._hurry, self._ended = asyncio.Event(), loop.create_future()
            self._task = loop.create_task(self._until_found())

    def lost(self) -> None:
        self._breaker.lost(monotonic())
        self.begin()

    def slow(self) -> None:
        self._breaker.slow(monotonic())
        self.begin()

    async def attempt(self) -> None:
        """Return at the end of the attempt that is under way, else of one that begins now."""
        self.begin()
        self._breaker.hurry()
        self._hurry.set()
        await asyncio.wait({self._ended})

    async def stop(self) -> None:
        """Until `begin`; what was known of Redis is forgotten."""
        self._breaker = Breaker()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._end()

    async def _until_found(self) -> None:
        while (link := await self._attempt()) is None:
            self._ended.set_result(None)
            self._ended = asyncio.get_running_loop().create_future()
        self._end()
        self._on_found(link)  # who may lose it at once, and have another search begin

    def _end(self) -> None:
        self._task = None
        self._ended.set_result(None)

    async def _attempt(self) -> Link | None:
        await self._until_due()
        link, found = self._made(), False
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._address.open(link, self._greeting)
            await self._prove(link)
            found = True
        except Exception as exc:  # whatever it is that answers there, the search goes on
            self._on_failed(f"cannot connect: {str(exc) or type(exc).__name__}")
            return None
        finally:
            if found:
                self._breaker.succeeded(monotonic())
            else:
                self._breaker.failed()
                link.abort()
        return link

    async def _until_due(self) -> None:
        """Until a probe is due, and begins."""
        while not self._breaker.probe(monotonic()):
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._breaker.wait_s(monotonic())):
                    await self._hurry.wait()

    async def _prove(self, link: Link) -> None:
        """
        Raises:
            StoreUnavailable: it did not answer in time, or is lost.
        """
        for left in reversed(range(self._breaker.proofs)):
            await self._ping(link)
            if left:
                await asyncio.sleep(SPACING_S)
        if link.lost:
            raise StoreUnavailable(LOST)

    async def _ping(self, link: Link) -> None:
        [answer] = link.ask([("PING",)])
        for patience_s in (self._timeout_s, GRACE_S):
            if not answer.done():
                await asyncio.wait({answer}, timeout=patience_s)
        if not answer.done():
            raise StoreUnavailable(f"no answer to PING within {self._timeout_s * 1000:.0f} ms")
        answer.result()
