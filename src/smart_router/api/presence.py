"""
Clients that leave, and clients that are too slow: noticed for all requests by one timer, not by a task for each.

A request that is answered within a tick pays for nothing here but its entry in a set.
"""

import asyncio
from collections.abc import Callable
from math import inf

from smart_router.api.asgi import ClientGone, Receive, Send

TICK_S = 0.1  # how soon a client that left is noticed, and how exact deadlines are


class Presence:
    """The requests under way in one event loop."""

    def __init__(self) -> None:
        self._visitors: set[Visitor] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, receive: Receive) -> "Visitor":
        """The current task serves a request: it is cancelled when its client leaves or is too slow."""
        visitor = Visitor(receive, self._visitors)
        self._visitors.add(visitor)
        if self._timer is None:
            self._timer = visitor.loop.call_later(TICK_S, self._tick, visitor.loop)
        return visitor

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for visitor in list(self._visitors):
            visitor.look(now)
        self._timer = loop.call_later(TICK_S, self._tick, loop) if self._visitors else None


class Visitor:
    """
    One request. While its body is read `due` is a deadline; from `all_read` on, the client's leaving is watched for.
    Call `leave` at the end. A cancellation that came from here is told by `reason`.
    """

    __slots__ = ("_otherwise", "_receive", "_task", "_visitors", "_watch", "_watching", "due", "loop", "reason")

    def __init__(self, receive: Receive, visitors: "set[Visitor]") -> None:
        self.loop = asyncio.get_running_loop()
        self.due = inf  # of the loop's clock
        self.reason: Exception | None = None
        self._otherwise: Callable[[], Exception] = ClientGone
        self._receive = receive
        self._visitors = visitors
        self._task = asyncio.current_task(self.loop)
        self._watching = False
        self._watch: asyncio.Task[None] | None = None

    def expect(self, within_s: float, otherwise: Callable[[], Exception]) -> None:
        """What comes next must be over in time, or the request ends with what *otherwise* makes."""
        self.due, self._otherwise = self.loop.time() + within_s, otherwise

    def all_read(self) -> None:
        """Nothing but the client's leaving is still to be received."""
        self.due, self._watching = inf, True

    async def send(self, send: Send, message: dict[str, object], within_s: float) -> None:
        """Send to a client that takes it within *within_s*, or counts as gone."""
        self.due, self._otherwise = self.loop.time() + within_s, ClientGone
        await send(message)
        self.due = inf

    def leave(self) -> None:
        self._visitors.discard(self)
        self._task = None
        if self._watch is not None:
            self._watch.cancel()

    def explained(self) -> Exception | None:
        """Why this task was cancelled, if that came from here alone; it is not cancelled any more then."""
        if self.reason is not None and self._task is not None and self._task.uncancel() > 0:
            return None
        return self.reason

    def look(self, now: float) -> None:
        if self.due <= now:
            self._end(self._otherwise())
        elif self._watching and self._watch is None:
            self._watch = self.loop.create_task(self._until_it_leaves())

    async def _until_it_leaves(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end(ClientGone())

    def _end(self, reason: Exception) -> None:
        if self._task is not None and self.reason is None:
            self.reason, self.due = reason, inf
            self._task.cancel()
