"""A model server on a raw socket, which answers byte for byte what a test told it to."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Stall:
    """Send nothing more until the client leaves or the test says `resume`."""


@dataclass(frozen=True)
class HangUp:
    """Close the connection, whatever has been promised."""


@dataclass(frozen=True)
class Reset:
    """Break the connection: the client sees ECONNRESET."""


STALL, HANG_UP, RESET = Stall(), HangUp(), Reset()
Step = bytes | Stall | HangUp | Reset


@dataclass
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ScriptedServer:
    """
    Answers each request with the next script; records requests. `asked` is set by the first, `left` when a client
    hangs up.
    """

    requests: list[Received] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    resume: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    _scripts: list[tuple[Step, ...]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _handlers: set["asyncio.Task[None]"] = field(default_factory=set)

    def enqueue(self, *steps: Step) -> None:
        self._scripts.append(steps)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            while (received := await _request(reader)) is not None:
                self.requests.append(received)
                self.asked.set()
                if not await self._answer(self._scripts.pop(0), reader, writer):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.left.set()
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(
        self, steps: tuple[Step, ...], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """False when the connection is over."""
        for step in steps:
            if isinstance(step, HangUp):
                return False
            if isinstance(step, Reset):
                reset(writer)
                return False
            if isinstance(step, Stall):
                if not await self._stalled(reader):
                    return False
            else:
                writer.write(step)
                await writer.drain()
                await asyncio.sleep(0)
        return True

    async def _stalled(self, reader: asyncio.StreamReader) -> bool:
        gone, resumed = asyncio.create_task(reader.read(1)), asyncio.create_task(self.resume.wait())
        try:
            await asyncio.wait((gone, resumed), return_when=asyncio.FIRST_COMPLETED)
            return resumed.done()
        finally:
            for task in (gone, resumed):
                task.cancel()
            await asyncio.gather(gone, resumed, return_exceptions=True)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close without goodbye, and without what was not sent yet."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return Received(method, path, headers, await _body(reader, headers))


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


# what servers say


def answer(status: int, body: bytes = b"", media_type: str = "application/json", **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def completion(text: object = "Hello", **changed: Any) -> bytes:
    """A plain chat completion."""
    body: dict[str, Any] = {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }
    return json.dumps(body | changed).encode()


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()) + b"\n\n"


def delta(text: str | None = None, finish: str | None = None) -> bytes:
    return event({"choices": [{"delta": {} if text is None else {"content": text}, "finish_reason": finish}]})


USAGE = event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
DONE = event(b"[DONE]")


@contextlib.asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """One that runs while the block does."""
    found = ScriptedServer()
    await found.start()
    yield found
    await found.close()
