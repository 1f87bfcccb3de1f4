"""
uvicorn's HTTP protocol with one system call per answer: it writes head and body apart, and each write to a socket costs
as much as all of our decisions. A head waits for what follows it, all else leaves at once.
"""

import asyncio
from typing import Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_JOINED_BYTES = 64 * 1024  # a longer part is not copied
CLOSE_S = 10.0
_HEAD = b"HTTP/1.1 "


class HttpProtocol(HttpToolsProtocol):
    """For uvicorn's `http=`."""

    _running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        self._gathered = GatheredWrites(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._gathered))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells the newest request of the connection; with pipelining another one is being answered."""
        super().connection_lost(exc)
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
