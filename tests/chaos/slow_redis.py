"""A way to Redis that is as long as a test wants it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing


class SlowRedis:
    """Passes bytes on as they come, replies *late* by so many seconds; in their order, however much that differs."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self.late: Callable[[], float] = lambda: 0.0
        self.connections = 0  # that were made so far
        self._port = port
        self._ways: set[asyncio.Task[None]] = set()  # of connections that are open

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with closing(writer):
            try:
                there, back = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return  # nobody is there
            with closing(back):
                ways = {
                    asyncio.create_task(_pass_on(reader, back)),
                    asyncio.create_task(self._pass_back(there, writer)),
                }
                self._ways |= ways
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                self._ways -= ways

    def end(self) -> None:
        for way in self._ways:
            way.cancel()

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
        found.end()
