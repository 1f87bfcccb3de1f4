"""
The master that sentinels name. They are asked before each attempt to connect, so that whatever breaks a connection (a
master that is gone, hangs, or was demoted: READONLY) leads to asking again. They are also asked while a connection
lasts: a master that was replaced while it was well, or cut off, goes on taking writes for seconds, and they are lost.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from smart_router.errors import StoreUnavailable
from smart_router.sessions.address import Address
from smart_router.sessions.asking import ask
from smart_router.sessions.link import Link, Part
from smart_router.sessions.places import Sentinels

PATIENCE_S = 0.25  # with one sentinel
WATCH_S = 0.5  # between two questions while a connection lasts


class SentinelMaster:
    """
    A `Destination`. A sentinel may know nothing new, being cut off from the others: whose word led to no master is
    asked last the next time.
    """

    def __init__(self, known: Sentinels) -> None:
        self._sentinels = deque(known.sentinels)  # the next to be asked first
        self._name = known.name
        self._master = known.master

    async def open(self, link: Link, commands: Sequence[tuple[Part, ...]] = ()) -> list[Any]:
        """
        Raises:
            StoreUnavailable: no sentinel knows the master, or who they named is none. See `Destination` for the others.
        """
        master = await self._whereabouts()
        role, *replies = await master.open(link, [("ROLE",), *commands])
        if role[0] != b"master":
            raise StoreUnavailable(f"{master.host} port {master.port}, which a sentinel named, is no master")
        self._sentinels.rotate(1)  # a word to rely on
        watch = asyncio.get_running_loop().create_task(self._watch(link, master))
        link.ended.add_done_callback(lambda _: watch.cancel())
        return replies

    async def _watch(self, link: Link, master: Address) -> None:
        """End *link* when *master* is not the one any more; that nobody can say is no reason."""
        named = master
        while named == master:
            await asyncio.sleep(WATCH_S)
            with suppress(StoreUnavailable):
                named = await self._whereabouts()
                self._sentinels.rotate(1)
        link.end(f"the sentinels name another master, {named.host} port {named.port}")

    async def _whereabouts(self) -> Address:
        troubles = []
        for _ in range(len(self._sentinels)):
            sentinel = self._sentinels[0]
            self._sentinels.rotate(-1)
            try:
                return await self._according_to(sentinel)
            except (OSError, ValueError, StoreUnavailable) as exc:
                troubles.append(f"{sentinel.host} port {sentinel.port}: {str(exc) or type(exc).__name__}")
        raise StoreUnavailable(f"no sentinel names a master; {'; '.join(troubles)}")

    async def _according_to(self, sentinel: Address) -> Address:
        async with asyncio.timeout(PATIENCE_S):
            found = await ask(sentinel, "SENTINEL", "get-master-addr-by-name", self._name)
        if not found:
            raise StoreUnavailable(f"it knows no master called {self._name}")
        return replace(self._master, host=found[0].decode(), port=int(found[1]))
