"""
One connection to Redis for a whole process. A command leaves at once if none is outstanding; the others of one tick of
the event loop leave in one write. Replies come in the order of the commands. What an error means:

    an error reply             its call fails, the connection stays
      NOSCRIPT                 the script is sent once more, in full; the caller does not see it
      READONLY                 the connection is dropped: a new one may find the master
      what `on_refused` takes  is another connection's to answer, such as another node's of a cluster
    no reply in time, a lost   all outstanding calls fail: later replies could not be told apart. A new connection is
      connection, nonsense     searched for without help; until there is one, calls fail at once
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

import msgspec
from hiredis import ReplyError, pack_command

from smart_router.errors import StoreUnavailable
from smart_router.sessions.address import Destination
from smart_router.sessions.link import Call, Link, OnError, Part
from smart_router.sessions.search import GRACE_S, Search

MOST_OUTSTANDING = 10_000  # calls

TakesOver = Callable[[Call, str], bool]  # whether somebody else sees to a call that was refused with that error


class WrongType(StoreUnavailable):
    """The key holds something of another type."""


class Script(msgspec.Struct, frozen=True):
    """Lua that Redis knows by its *sha*."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> "Script":
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class BatchedConnection:
    """
    Connects when it is first called, and again whenever it must. *timeout_s* is what a reply may take, and what the
    first calls wait for the first connection; from then on no call waits for one. To be used from one event loop at a
    time: `close` in the one, then `open` in the next.

    *on_lost* hears of each connection that broke or could not be made.
    """

    def __init__(
        self,
        address: Destination,
        scripts: Iterable[Script] = (),
        *,
        timeout_s: float = 0.05,
        most_outstanding: int = MOST_OUTSTANDING,
        on_refused: TakesOver = lambda call, error: False,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._scripts = {script.sha: script for script in scripts}
        self._timeout_s = timeout_s
        self._most_outstanding = most_outstanding
        self._on_refused = on_refused
        self._on_lost = on_lost
        self._loop: asyncio.AbstractEventLoop
        self._link: Link | None = None  # one that is ready
        self._search = Search(
            address,
            [("SCRIPT", "LOAD", script.text) for script in self._scripts.values()],
            lambda: Link(self._answered, self._lost),
            timeout_s=timeout_s,
            on_found=self._found,
            on_failed=self._not_found,
        )
        self._patience: asyncio.TimerHandle | None = None  # calls may wait for the first connection
        self._trouble: str = "not connected yet"
        self._began = self._closed = False
        self._flush_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._forget_calls()

    @property
    def connected(self) -> bool:
        return self._link is not None

    async def open(self) -> None:
        """
        Connect now, or learn that this does not work.

        Raises:
            StoreUnavailable: it did not; the search goes on.
        """
        self._closed = False
        if self._link is None:
            self._begin()
            await self._search.attempt()
        if self._link is None:
            raise StoreUnavailable(self._trouble)

    async def close(self) -> None:
        """Give what is outstanding its time, then disconnect. Later calls fail until `open`."""
        if self._calls:
            with suppress(StoreUnavailable):
                await self.call("PING")  # answered after all the others
        self._closed, self._began = True, False
        await self._search.stop()
        link, self._link = self._link, None
        self._give_up("the connection is closed")
        if link is not None:
            await link.close()

    def call(self, *parts: Part) -> asyncio.Future[Any]:
        """
        Send a command, with the others of this tick if any is outstanding; await the reply. Who is cancelled meanwhile
        does no harm.

        Raises:
            StoreUnavailable: no reply in time, or one that is an error; WrongType for that one.
        """
        packed = pack_command(parts)  # type: ignore[arg-type]  # the stub means a tuple of one
        if self._link is None or len(self._calls) >= self._most_outstanding:
            self._admit()
        waiter = self._loop.create_future()
        alone = not self._calls
        self._calls.append(Call(parts, waiter))
        self._buffer.append(packed)
        if alone:
            self._flush()  # nobody to share a write with
        else:
            self._flush_soon()
        return waiter

    def post(self, *parts: Part, on_error: OnError) -> None:
        """
        Send a command whose reply nobody awaits. It, and what waits before it, is with the kernel on return (with TLS
        at the end of the tick; as soon as there is a connection where there is none). *on_error* must not raise.
        """
        packed = pack_command(parts)  # type: ignore[arg-type]
        try:
            self._admit()
        except StoreUnavailable as exc:
            on_error(exc)
            return
        self._calls.append(Call(parts, None, on_error))
        self._buffer.append(packed)
        self._flush()

    def take_over(self, call: Call, *, asking: bool = False) -> None:
        """
        Send what another connection was refused; after ASKING if that is wanted, and then with its script in full: to
        learn that the script is not known there would take another ASKING.
        """
        try:
            self._admit()
        except StoreUnavailable as exc:
            call.fail(exc)
            return
        if asking:
            self._send(Call(("ASKING",)))
        self._send(self._in_full(call) if asking else call)

    def _admit(self) -> None:
        """Return if a call may queue."""
        if len(self._calls) >= self._most_outstanding:
            raise StoreUnavailable("too many calls are outstanding")
        if self._link is None and not self._closed:
            self._begin()
        if self._link is None and self._patience is None:
            raise StoreUnavailable(self._trouble)

    def _send(self, call: Call) -> None:
        self._calls.append(call)
        self._buffer.append(pack_command(call.parts))  # type: ignore[arg-type]
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._link is None or not self._buffer:
            return
        self._written += len(self._buffer)
        self._batches.append((self._written, monotonic() + self._timeout_s))
        data = b"".join(self._buffer)
        self._buffer.clear()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._look)
        self._link.write(data)

    # replies

    def _answered(self, call: Call, reply: object) -> None:
        if isinstance(reply, ReplyError):
            self._refused(call, str(reply))
        elif call.waiter is not None and not call.waiter.done():
            call.waiter.set_result(reply)

    def _refused(self, call: Call, error: str) -> None:
        if error.startswith("NOSCRIPT") and call.parts[0] == "EVALSHA":
            self._send(self._in_full(call))
            return
        if self._on_refused(call, error):
            return
        call.fail(WrongType(error) if "WRONGTYPE" in error else StoreUnavailable(error))
        if "READONLY" in error:  # at the start, or inside of a script's error
            self._drop(error, self._search.lost)

    def _in_full(self, call: Call) -> Call:
        """*call* with the text of its script, if it runs one."""
        if call.parts[0] != "EVALSHA":
            return call
        parts = ("EVAL", self._scripts[str(call.parts[1])].text, *call.parts[2:])
        return Call(parts, call.waiter, call.on_error, call.redirected)

    # deadlines

    def _look(self, graced: tuple[int, float] | None = None, answered_before: int = 0, until: float = 0.0) -> None:
        """
        Is the oldest call too old? What was written at once has one deadline. As the loop may have been late itself,
        what has come is read first: calls that are *graced* have their replies, one after the other, *until* then.
        """
        self._timer = None
        answered = self._written - (len(self._calls) - len(self._buffer))
        while self._batches and self._batches[0][0] <= answered:
            self._batches.popleft()
        if not self._batches:
            return
        oldest, now = self._batches[0], monotonic()
        if now < oldest[1]:
            self._timer = self._loop.call_later(oldest[1] - now, self._look)
        elif oldest is graced and (answered == answered_before or now > until):
            self._drop(f"no answer within {self._timeout_s * 1000:.0f} ms", self._search.slow)
        else:
            until = until if oldest is graced else now + self._timeout_s
            self._timer = self._loop.call_later(GRACE_S, self._look, oldest, answered, until)

    # connecting

    def _begin(self) -> None:
        if not self._began:
            self._began = True
            self._loop = asyncio.get_running_loop()
            self._flush_due = False
            self._patience = self._loop.call_later(self._timeout_s, self._give_up, "still connecting")
            self._search.begin()

    def _found(self, link: Link) -> None:
        self._lose_patience()
        self._link, link.awaiting = link, self._calls
        self._flush()

    def _not_found(self, reason: str) -> None:
        self._give_up(reason)
        self._on_lost()

    def _give_up(self, reason: str) -> None:
        """Nobody waits any more."""
        self._lose_patience()
        self._trouble = reason
        self._fail_all(reason)

    def _lose_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lost(self, link: Link, reason: str) -> None:
        if link is self._link:
            self._drop(reason, self._search.lost)

    def _drop(self, reason: str, search: Callable[[], None]) -> None:
        link, self._link = self._link, None
        if link is None:
            return  # by an earlier reply
        search()
        self._give_up(reason)
        link.abort()
        self._on_lost()

    def _fail_all(self, reason: str) -> None:
        calls = self._calls
        self._forget_calls()
        while calls:  # each once, whoever else holds them
            calls.popleft().fail(StoreUnavailable(reason))

    def _forget_calls(self) -> None:
        self._calls: deque[Call] = deque()  # oldest first
        self._buffer: list[bytes] = []  # commands of the latest calls, not written yet
        self._batches: deque[tuple[int, float]] = deque()  # calls written up to there, and their deadline
        self._written = 0  # calls
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
