"""A TCP balancer that sends new connections to routers that say they are ready, as one in production does."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType

ASKS_EVERY_S = 0.5
ANSWERS_WITHIN_S = 5.0
CONNECTS_WITHIN_S = 5.0
READ_BYTES = 65_536
ASKING = b"GET /ready HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n"


class Balancer:
    """In turn; a router that refuses the connection is stepped over. Connections made are not moved."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._ready = dict.fromkeys(ports, False)
        self._next = 0
        self._serving: dict[int, int] = {}  # the client's port -> the router's
        self._server: asyncio.Server
        self._watching: list[asyncio.Task[None]] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Balancer":
        await asyncio.gather(*map(self._look, self._ports))
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self._watching = [asyncio.create_task(self._watch(port)) for port in self._ports]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        tasks = {*self._watching, *self._connections}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def serving(self, client_port: int) -> int | None:
        """The port of the router that the connection from *client_port* went to last."""
        return self._serving.get(client_port)

    def sends_to(self, port: int) -> bool:
        return self._ready[port]

    # whom to send connections to

    async def _watch(self, port: int) -> None:
        while True:
            await asyncio.sleep(ASKS_EVERY_S)
            await self._look(port)

    async def _look(self, port: int) -> None:
        """A router that is too slow to say so keeps its connections: on a busy machine all of them may be."""
        with suppress(TimeoutError):
            self._ready[port] = await _is_ready(port)

    def _in_turn(self) -> Iterator[int]:
        self._next += 1
        for step in range(len(self._ports)):
            port = self._ports[(self._next + step) % len(self._ports)]
            if self._ready[port]:
                yield port

    # connections

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connected(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: writer.close())

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in self._in_turn():
            try:
                theirs = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), CONNECTS_WITHIN_S)
            except (OSError, TimeoutError):
                continue
            self._serving[writer.get_extra_info("peername")[1]] = port
            await _joined((reader, writer), theirs)
            return


_End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _joined(client: _End, router: _End) -> None:
    """Until either leaves; what it had said still reaches the other."""
    copying = {asyncio.create_task(_copy(client[0], router[1])), asyncio.create_task(_copy(router[0], client[1]))}
    try:
        await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in copying:
            task.cancel()
        await asyncio.gather(*copying, return_exceptions=True)
        router[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while said := await reader.read(READ_BYTES):
            writer.write(said)
            await writer.drain()


async def _is_ready(port: int) -> bool:
    """
    Raises:
        TimeoutError: it does not say.
    """
    async with asyncio.timeout(ANSWERS_WITHIN_S):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return False
        try:
            writer.write(ASKING)
            return (await reader.readline()).split()[1:2] == [b"200"]
        except ConnectionError:
            return False
        finally:
            writer.close()
