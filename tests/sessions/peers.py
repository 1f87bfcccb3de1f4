"""A peer that speaks Redis as far as it is told to, and others to wait for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hiredis import Reader

from smart_router.errors import StoreUnavailable
from smart_router.sessions.connection import Connection


class ScriptedPeer:
    """Records the commands of each write, and answers each with *reply*."""

    def __init__(self) -> None:
        self.url = ""
        self.reply = b"+OK\r\n"
        self.writes: list[list[list[bytes]]] = []
        self.connections = 0
        self._last_word = b""

    def hang_up_at(self, command: str) -> None:
        self._last_word = command.encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        replies: Any = Reader()
        while data := await reader.read(1_000_000):
            replies.feed(data)
            commands = []
            while command := replies.gets():
                commands.append(command)
            self.writes.append(commands)
            if any(command[0] == self._last_word for command in commands):
                break
            writer.write(self.reply * len(commands))
        writer.close()


@asynccontextmanager
async def peer_of() -> AsyncIterator[ScriptedPeer]:
    peer = ScriptedPeer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    async with server:
        peer.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield peer


async def answering(connection: Connection, *command: str | int) -> None:
    """
    Return when *connection* has found its way back and answers *command*, else PING; between attempts to connect,
    calls fail at once.
    """
    async with asyncio.timeout(30):
        while True:
            try:
                await connection.call(*(command or ("PING",)))
                return
            except StoreUnavailable:
                await asyncio.sleep(0.01)
