"""A way to Redis that is as long as a test wants it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from typing import Any


class SlowRedis:
    """Passes bytes on as they come, replies *late* by so many seconds; in their order, however much that differs."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self.late: Callable[[], float] = lambda: 0.0
        self.connections = 0  # that were made so far
        self._port = port
        self._serving: dict[asyncio.Task[Any], set[asyncio.Task[None]]] = {}  # and the two ways of each

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with closing(writer), suppress(ConnectionError):  # nobody is there
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            with closing(back):
                await self._connect({_pass_on(reader, back), self._pass_back(there, writer)})

    async def end(self) -> None:
        for serving, ways in list(self._serving.items()):
            for way in ways:
                way.cancel()
            await asyncio.wait({serving})

    async def _connect(self, ways: set[Coroutine[Any, Any, None]]) -> None:
        task, passing = asyncio.current_task(), {asyncio.create_task(way) for way in ways}
        assert task is not None
        self._serving[task] = passing
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for way in passing:
            way.cancel()
        del self._serving[task]

    async def _pass_back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, due = asyncio.get_running_loop(), 0.0
        while data := await _some(there):
            due = max(due, loop.time() + self.late())
            loop.call_at(due, _write, writer, data)
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await _some(reader):
        writer.write(data)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():  # the other end may have left meanwhile
        writer.write(data)


async def _some(reader: asyncio.StreamReader) -> bytes:
    """Empty at the end, whoever brought it about."""
    try:
        return await reader.read(65_536)
    except ConnectionError:
        return b""


@asynccontextmanager
async def slow_redis(port: int) -> AsyncIterator[SlowRedis]:
    """In front of the Redis on *port*; not slow until it is told to be."""
    found = SlowRedis(port)
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0) as server:
        found.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield found
        await found.end()
