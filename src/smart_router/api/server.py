"""
uvicorn's HTTP protocol with what it lacks:

- One system call per answer: it writes head and body apart, and each write to a socket costs as much as all of our
  decisions. A head waits for what follows it, all else leaves at once.
- A deadline for a request's head, from the connection's first moment or the head's first byte on: without one, whoever
  sends a byte now and then, or none at all, keeps a connection for ever.
- While the process drains, every answer is the last one on its connection: the client's next one goes elsewhere.
"""

import asyncio
from typing import Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from smart_router.process import Drain

MOST_JOINED_BYTES = 64 * 1024  # a longer part is not copied
CLOSE_S = 10.0
HEADER_TIMEOUT_S = 10.0
TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
# For browsers: an answer is what its type says, is shown in no other page's frame, and tells nobody where it was read.
SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'self'"),
    ("Referrer-Policy", "no-referrer"),
]
DRAIN = "drain"  # in the lifespan's state: this process's `Drain`
_HEAD = b"HTTP/1.1 "


class HttpProtocol(HttpToolsProtocol):
    """For uvicorn's `http=`."""

    _running: RequestResponseCycle | None = None
    _awaiting_head: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, header_timeout_s: float = HEADER_TIMEOUT_S, **options: Any) -> None:
        super().__init__(*args, **options)
        self._header_timeout_s = header_timeout_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        self._gathered = GatheredWrites(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._gathered))
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._awaiting_head is None:  # of these bytes no request came: its head is not complete, if they are one
            self._await_head()

    def _await_head(self) -> None:
        self._awaiting_head = self.loop.call_later(self._header_timeout_s, self._too_late)

    def _stop_waiting(self) -> None:
        if self._awaiting_head is not None:
            self._awaiting_head.cancel()
            self._awaiting_head = None

    def _too_late(self) -> None:
        self._awaiting_head = None
        if not self.transport.is_closing():
            self.transport.write(TOO_LATE)
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        drain: Drain | None = self.app_state.get(DRAIN)
        if drain is not None and drain.begun:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells the newest request of the connection; with pipelining another one is being answered."""
        super().connection_lost(exc)
        self._stop_waiting()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def on_response_complete(self) -> None:
        self._gathered.flush()  # nothing more is to come that could leave with it
        super().on_response_complete()


class GatheredWrites:
    """
    A transport that holds the head of an answer until something follows, or until the loop has run what is ready now;
    closing loses nothing.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            if len(data) < MOST_JOINED_BYTES:
                self._transport.write(held + data)
            else:
                self._transport.writelines((held, data))
        elif data.startswith(_HEAD):  # a part of a body that begins so comes to no harm by waiting, too
            self._held = data
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        """A client that does not take what is left of its answer is cut off."""
        self.flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(CLOSE_S, self._transport.abort)

    def write_eof(self) -> None:
        self.flush()
        self._transport.write_eof()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """For an upgrade, which talks to the transport itself."""
        self.flush()
        self._transport.set_protocol(protocol)

    def flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
