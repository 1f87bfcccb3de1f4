"""
A model server that only streams: `python -m benchmarks.stream_upstream PORT CHUNKS PER_SECOND`.

Every POST gets CHUNKS server-sent chat completion chunks, the first one at once, each with its number and the
moment it was sent (`@number:nanoseconds@`, of the monotonic clock that all processes of a machine share). One timer
drives all streams: as they all have the same pace, the next one due is always the first in the queue.
"""

import asyncio
import sys
from collections import deque
from time import monotonic_ns
from typing import cast

import uvloop

from benchmarks.nginx import MODEL, MODELS

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
BEFORE = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"'
    + MODEL.encode()
    + b'","choices":[{"index":0,"delta":{"content":"'
)
AFTER = b'"},"finish_reason":null}]}\n\n'
LAST = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"'
    + MODEL.encode()
    + b'","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    + b'"usage":{"prompt_tokens":24,"completion_tokens":50,"total_tokens":74}}\n\ndata: [DONE]\n\n'
)
LISTED = (
    '{"object":"list","data":[' + ",".join(f'{{"id":"{name}","object":"model"}}' for name in MODELS) + "]}"
).encode()


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


END = _chunked(LAST) + b"0\r\n\r\n"


class Conductor:
    """Sends every stream's next chunk when it is due."""

    def __init__(self, chunks: int, per_second: float) -> None:
        self._chunks = chunks
        self._every_s = 1 / per_second
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, Connection, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: "Connection") -> None:
        connection.send(HEAD)
        self._advance(self._loop.time(), connection, 0)
        self._rearm()

    def _advance(self, due: float, connection: "Connection", number: int) -> None:
        connection.send(_chunked(BEFORE + b"@%d:%d@" % (number, monotonic_ns()) + AFTER))
        if number + 1 == self._chunks:
            connection.send(END)
        else:
            self._queue.append((due + self._every_s, connection, number + 1))

    def _rearm(self) -> None:
        if self._timer is None and self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._play)

    def _play(self) -> None:
        self._timer, now = None, self._loop.time()
        while self._queue and self._queue[0][0] <= now:
            due, connection, number = self._queue.popleft()
            if connection.open:
                self._advance(due, connection, number)
        self._rearm()


class Connection(asyncio.Protocol):
    """One client, one request at a time, as much HTTP as that takes."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.open = cast(asyncio.Transport, transport), True  # uvloop's has another base class

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False

    def send(self, data: bytes) -> None:
        if self.open and self._transport:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, mark, rest = self._received.partition(b"\r\n\r\n")
        if mark and _is_complete(head.lower(), rest):
            self._received = b""
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"POST"):
            self._conductor.begin(self)
        else:
            self.send(_whole(LISTED if b"/models" in head else b"{}"))


def _is_complete(head: bytes, body: bytes) -> bool:
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    _, _, length = head.partition(b"content-length:")
    return len(body) >= int(length.split(b"\r\n")[0] or 0)


async def _serve(port: int, chunks: int, per_second: float) -> None:
    conductor = Conductor(chunks, per_second)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(conductor), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
