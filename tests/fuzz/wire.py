"""A connection whose server says given pieces, one whenever somebody waits, and no event loop: nothing takes time."""

import asyncio
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any, TypeVar, cast
from zlib import crc32

from smart_router.upstream.http1 import Connection
from smart_router.upstream.response import Header, Response
from tests.fakes import FakeTransport

T = TypeVar("T")


class Waiting:
    """A future of `Loop`: whoever awaits it hands it to `run`."""

    def __init__(self) -> None:
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, result: None) -> None:
        assert not self._done
        self._done = True

    def __await__(self) -> Generator["Waiting", None, None]:
        if not self._done:
            yield self


class Loop:
    """What a connection needs of an event loop."""

    def time(self) -> float:
        return 0.0

    def create_future(self) -> Waiting:
        return Waiting()


@dataclass
class Server:
    """
    Says the next of *pieces* whenever somebody waits, all that it is let when it *hurries*, and then closes. In the
    place of a pool: there is one connection, and one exchange on it.
    """

    pieces: list[bytes]
    hurries: bool = False
    released: int = 0
    lost: int = 0
    most_waiting: int = 0  # bytes that had arrived and nobody had asked for
    ended: bool = False
    transport: FakeTransport = field(default_factory=FakeTransport)

    def __post_init__(self) -> None:
        self.pieces.reverse()
        loop = cast(asyncio.AbstractEventLoop, Loop())
        self.connection = Connection(loop, self._on_release, self._on_lost)
        self.connection.connection_made(cast(asyncio.Transport, self.transport))
        self.response: Response | None = None

    def to(self, endpoint: str) -> "Server":
        return self

    async def request(
        self, method: bytes, path: bytes, headers: Sequence[Header] = (), body: object = b"", **more: object
    ) -> Response:
        response = self.response = self.connection.send(b"", b"")
        try:
            if self.hurries:
                self._say_all()
            await response.head(1.0)
        except BaseException:
            response.close()
            raise
        return response

    def go_on(self) -> None:
        """Whoever waits has to be told something in the end."""
        assert not self.transport.paused, "somebody waits for a server that is made to wait"
        if self.pieces and not self.transport.aborted:
            self._say()
            if self.hurries:
                self._say_all()
        elif not self.ended:
            self._end()
        else:
            raise AssertionError("somebody waits, though the connection has ended")

    def _say_all(self) -> None:
        while self.pieces and not self.transport.paused and not self.transport.aborted:
            self._say()

    def _say(self) -> None:
        self.connection.data_received(self.pieces.pop())
        if self.response is not None:
            self.most_waiting = max(self.most_waiting, self.response.waiting)

    def _end(self) -> None:
        self.ended = True
        if not self.transport.aborted:
            self.connection.eof_received()
        self.connection.connection_lost(None)

    def _on_release(self, _: Connection) -> None:
        self.released += 1

    def _on_lost(self, _: Connection) -> None:
        self.lost += 1


def run(coroutine: Coroutine[Any, Any, T], server: Server) -> T:
    """The result of what waits for nothing but *server*."""
    try:
        while True:
            waiting = coroutine.send(None)
            while not waiting.done():
                server.go_on()
    except StopIteration as done:
        return cast(T, done.value)
    finally:
        coroutine.close()


def cut(data: bytes) -> list[bytes]:
    """*data* in pieces: anywhere or, of one in ten, everywhere; for the same data the same."""
    chance, size = Random(crc32(data)), len(data)
    if size < 2 or chance.random() < 0.1:
        return every(data, 1)
    edges = sorted(chance.sample(range(1, size), min(size - 1, chance.choice((1, 2, 5, 20)))))
    return [data[start:end] for start, end in pairwise([0, *edges, size])]


def every(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
