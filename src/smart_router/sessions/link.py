"""One connection to Redis while it lasts: bytes out, replies in, each to the call that comes next."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec
from hiredis import ProtocolError, Reader, pack_command

from smart_router.errors import StoreUnavailable

CLOSE_S = 1.0
LOST = "the connection was lost"

Part = str | int | float | bytes
OnError = Callable[[StoreUnavailable], None]


class Call(msgspec.Struct, eq=False):
    """A command whose reply is outstanding: somebody waits for it, or wants to hear only of a failure."""

    parts: tuple[Part, ...]
    waiter: asyncio.Future[Any] | None = None
    on_error: OnError | None = None
    redirected: bool = False  # from one node of a cluster to another

    def fail(self, reason: StoreUnavailable) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(reason)
        if self.on_error is not None:
            self.on_error(reason)


class Link(asyncio.Protocol):
    """One connection from its beginning to its end."""

    def __init__(self, on_reply: Callable[[Call, object], None], on_lost: "Callable[[Link, str], None]") -> None:
        self.awaiting: deque[Call] = deque()  # whose reply comes next
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def lost(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    async def greet(self, commands: Iterable[tuple[Part, ...]]) -> list[Any]:
        """Send *commands*; their replies. Raises StoreUnavailable if one is refused."""
        return await asyncio.gather(*self.ask(commands))

    def ask(self, commands: Iterable[tuple[Part, ...]]) -> list[asyncio.Future[Any]]:
        """Send *commands*; what becomes of them. For as long as nobody else asks."""
        loop = asyncio.get_running_loop()
        asked = [(parts, loop.create_future()) for parts in commands]
        self.awaiting.extend(Call(parts, waiter) for parts, waiter in asked)
        self.write(b"".join(pack_command(parts) for parts, _ in asked))  # type: ignore[arg-type]
        return [waiter for _, waiter in asked]

    def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            self.end(LOST)
        else:
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._transport = None
        self.awaiting = deque()

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            await asyncio.wait({self.ended}, timeout=CLOSE_S)
            self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while self._transport is not None and (reply := self._reader.gets()) is not False:
                self._on_reply(self.awaiting.popleft(), reply)
        except (ProtocolError, IndexError):
            self.end("what answers is no Redis")

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(f"{LOST}: {exc}" if exc else LOST)
        if not self.ended.done():
            self.ended.set_result(None)

    def end(self, reason: str) -> None:
        """Give it up; what is outstanding fails for *reason*."""
        greeting, self.awaiting = self.awaiting, deque()
        self._on_lost(self, reason)  # whose calls they are by now, if it was ready
        for call in greeting:
            call.fail(StoreUnavailable(reason))
        self.abort()
