"""
A Redis cluster: one connection per node, and a call goes to the node that serves its slot. What a node's refusal means:

    MOVED                  the call goes once more, to the node it names; who serves what is asked anew
    ASK                    the call goes once more, to the node it names, after ASKING
    CLUSTERDOWN            its call fails; who serves what is asked anew
    TRYAGAIN, any other    its call fails: of several keys, some have been moved to another node already

A node that is gone or slow fails the calls of its own slots, and has the others asked who serves them now. A call waits
for a reply no longer than *timeout_s*, and as long again if it was sent on.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from random import sample
from typing import Any

from msgspec.structs import replace

from smart_router.errors import StoreUnavailable
from smart_router.sessions.address import Address
from smart_router.sessions.batching import MOST_OUTSTANDING, BatchedConnection, Script
from smart_router.sessions.chart import Chart
from smart_router.sessions.link import Call, OnError, Part
from smart_router.sessions.search import CONNECT_S
from smart_router.sessions.slots import SLOTS, Place, Range, redirection, slot_of


class ClusterConnection:
    """
    See `Connection`. *seeds* are asked for the nodes, and give the others their credentials and options. A command
    without a key goes to every node, and is answered when all have.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        scripts: Iterable[Script] = (),
        *,
        timeout_s: float = 0.05,
        most_outstanding: int = MOST_OUTSTANDING,
    ) -> None:
        self._seeds = seeds
        self._scripts = tuple(scripts)
        self._timeout_s = timeout_s
        self._most_outstanding = most_outstanding  # calls, of each node
        self._chart = Chart(self._candidates, self._adopt)
        self._nodes: dict[Place, BatchedConnection] = {}
        self._serving: list[BatchedConnection | None] = []  # by slot; empty while nobody has said
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def open(self) -> None:
        self._closed = False
        self._chart.start()
        await self._chart.end_of_round(within_s=CONNECT_S)
        if not self._serving:
            raise StoreUnavailable(self._chart.trouble)
        await asyncio.gather(*(node.open() for node in self._nodes.values()))

    async def close(self) -> None:
        self._closed = True
        await self._chart.close()
        nodes, self._nodes, self._serving = self._nodes, {}, []
        await asyncio.gather(*(node.close() for node in nodes.values()))
        if self._tasks:
            await asyncio.wait(self._tasks)  # each within its deadline

    def call(self, *parts: Part) -> Awaitable[Any]:
        slot = slot_of(parts)
        if slot is None or not self._serving:
            return self._begin(self._call_at_large(parts))
        return self._at(slot).call(*parts)

    def post(self, *parts: Part, on_error: OnError) -> None:
        slot = slot_of(parts)
        try:
            if slot is None or not self._serving:
                self._begin(self._post_at_large(parts, on_error))
            else:
                self._at(slot).post(*parts, on_error=on_error)
        except StoreUnavailable as exc:
            on_error(exc)

    def _at(self, slot: int) -> BatchedConnection:
        node = self._serving[slot]
        if node is None:
            self._chart.renew()
            raise StoreUnavailable(f"no node serves slot {slot}")
        return node

    # calls that begin before anybody has said who serves what, and those to all nodes

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        if len(self._tasks) >= self._most_outstanding:
            work.close()
            raise StoreUnavailable("too many calls are outstanding")
        return self._in_background(work)

    async def _call_at_large(self, parts: Sequence[Part]) -> Any:
        await self._until_charted()
        slot = slot_of(parts)
        if slot is not None:
            return await self._at(slot).call(*parts)
        replies = await asyncio.gather(*(_reply(node, parts) for node in self._nodes.values()))
        return replies[0]

    async def _post_at_large(self, parts: Sequence[Part], on_error: OnError) -> None:
        try:
            await self._call_at_large(parts)
        except StoreUnavailable as exc:
            on_error(exc)

    async def _until_charted(self) -> None:
        if self._closed:
            raise StoreUnavailable("the connection is closed")
        if not self._serving:
            self._chart.start()
        if not self._chart.asked:  # first calls wait for it, no others
            await self._chart.end_of_round(within_s=self._timeout_s)
        if not self._serving:
            raise StoreUnavailable(self._chart.trouble)

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # refusals

    def _refused(self, asked: Place, call: Call, error: str) -> bool:
        """Whether the call goes on to another node."""
        if error.startswith(("MOVED", "CLUSTERDOWN")):
            self._chart.renew()
        found = redirection(error, asked.host)
        if found is None or call.redirected or self._closed:
            return False
        call.redirected = True
        node = self._node(found.place)
        if not found.asking:
            self._serving[found.slot] = node
        node.take_over(call, asking=found.asking)
        return True

    # nodes

    def _candidates(self) -> Iterable[Address]:
        """Whom to ask who serves what: first who is there, as others may not answer; and not always the same one."""
        places = sample(list(self._nodes), len(self._nodes))
        places.sort(key=lambda place: not self._nodes[place].connected)
        return *map(self._address, places), *self._seeds

    def _address(self, place: Place) -> Address:
        return replace(self._seeds[0], host=place.host, port=place.port)

    def _adopt(self, ranges: list[Range]) -> None:
        """Connect to who serves a slot, also anew, so that no call must find out; leave who serves none."""
        self._serving = [None] * SLOTS
        for first, last, place in ranges:
            self._serving[first : last + 1] = [self._node(place)] * (last + 1 - first)
        masters = {one.place for one in ranges}
        for place in self._nodes.keys() - masters:
            self._in_background(self._nodes.pop(place).close())
        for node in self._nodes.values():
            self._in_background(_open(node))

    def _node(self, place: Place) -> BatchedConnection:
        if place not in self._nodes:
            self._nodes[place] = BatchedConnection(
                self._address(place),
                self._scripts,
                timeout_s=self._timeout_s,
                most_outstanding=self._most_outstanding,
                on_refused=partial(self._refused, place),
                on_lost=self._chart.renew,
            )
        return self._nodes[place]


async def _open(node: BatchedConnection) -> None:
    with suppress(StoreUnavailable):  # it has told `on_lost`
        await node.open()


async def _reply(node: BatchedConnection, parts: Sequence[Part]) -> Any:
    return await node.call(*parts)
