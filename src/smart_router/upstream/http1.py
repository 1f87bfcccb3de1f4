"""
One HTTP/1.1 connection to a model server. llhttp (by httptools) parses; framing, deadlines, back-pressure and whether
the connection may be used again are decided here (RFC 9112, sections 6 and 9).

    connection.send(head, body) -> Response     one exchange at a time, see response.py
"""

import asyncio
import re
from collections.abc import Callable
from math import inf
from typing import cast

import httptools

from smart_router.errors import BackendBroke, BackendLost, BackendTimeout, UpstreamError
from smart_router.upstream.response import Header, Response

MOST_HEAD_BYTES = 64 * 1024  # of a head, and of what else is no body: llhttp has no bound of its own
HIGH_WATER = 256 * 1024  # bytes of a body that wait here before the server is made to wait


class Connection(asyncio.Protocol):
    """
    A socket, its parser and the exchange under way. *release* hears of it when it may carry another exchange, *lost*
    when it never will. `deadline` is watched from outside (`pool.py`): one timer serves all connections.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        release: "Callable[[Connection], None]",
        lost: "Callable[[Connection], None]",
    ) -> None:
        self._loop = loop
        self._release = release
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response: Response | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._paused = False
        self._head_bytes = 0  # since the last part of a body: head, interim answers, frames of chunks, trailers
        self._headers: list[Header] = []
        self._framed = False  # the head says where the body ends; else the connection's end does
        self._interim = False  # a 1xx answer, which precedes the real one
        self._keep_alive = False
        self._sent = True  # the whole request is out of our hands
        self.closed = False
        self.deadline = inf  # of the loop's clock
        self.idle_since = 0.0
        self.idle_s = inf  # by the server's Keep-Alive header, if it sends one

    # the exchange

    def send(self, head: bytes, body: bytes, *, more: bool = False) -> Response:
        """Begin an exchange. *more*: the rest of the body follows by `write`, then `sent`."""
        response = self._response = Response(self)
        self._framed = self._interim = self._keep_alive = False
        self._head_bytes, self._headers, self._sent = 0, [], not more
        if self._transport is None or self.closed:
            response.error = BackendLost("the connection to the model server broke")
        elif len(body) < HIGH_WATER:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return response

    async def write(self, data: bytes, within_s: float) -> bool:
        """A further part of the body, when there is room for it; False when the server has answered or left already."""
        response, transport = self._response, self._transport
        if response is None or transport is None or response.status or response.error:
            return False
        transport.write(data)
        if self._drained is not None:
            self.deadline = self._loop.time() + within_s
            try:
                await self._drained
            finally:
                self.deadline = inf
        return not response.status and response.error is None

    def sent(self) -> None:
        self._sent = True

    async def wait(self, within_s: float) -> None:
        """Until there is news of the exchange, good or bad."""
        self.deadline = self._loop.time() + within_s
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter, self.deadline = None, inf

    def finish(self, response: Response) -> None:
        """The exchange is over for whoever began it."""
        if response is not self._response:
            return
        self._response = None
        usable = response.ended and self._keep_alive and self._sent and not self.closed and not self._paused
        if usable and self._transport is not None and not self._transport.get_write_buffer_size():
            self._release(self)
        else:
            self.abort()

    def overdue(self) -> None:
        self._fail(BackendTimeout("the model server did not go on in time"))

    def resume_reading(self) -> None:
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection: the server sees it at once."""
        if not self.closed:
            self.closed = True
            if self._transport is not None:
                self._transport.abort()
            self._lost(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in deed, but not by class

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or response.ended:  # nobody asked
            self._keep_alive = False
            if response is None:
                self.abort()
            return
        response.received = True
        waited, self._head_bytes = response.waiting, self._head_bytes + len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(BackendBroke("the model server wants another protocol"))
        except httptools.HttpParserError:
            self._misparsed(response)
        if response.waiting > waited:
            self._head_bytes = 0
            if response.waiting > HIGH_WATER:
                self._pause_reading()
        elif self._head_bytes > MOST_HEAD_BYTES and not response.ended:
            self._fail(BackendBroke("the head or the trailers of the model server's answer are too long"))
        self._tell(response)

    def eof_received(self) -> bool:
        """The transport closes, but tells so only when the server has read all of ours."""
        self._over(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(exc)
        if not self.closed:
            self.closed = True
            self._lost(self)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # httptools

    def on_message_begin(self) -> None:
        if self._response is None or self._response.ended:
            raise _Unasked

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is None or self._response.status:
            return  # a trailer
        name = name.lower()
        if name == b"content-length" or name == b"transfer-encoding":
            self._framed = True
        elif name == b"keep-alive":
            self.idle_s = _idle_s(value)
        self._headers.append((name, value.rstrip()))  # llhttp leaves the space at its end

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 100 or self._response is None:
            raise _Unasked
        self._interim = status < 200
        if self._interim:
            self._headers, self._framed = [], False
            return
        self._response.headers, self._response.status = self._headers, status

    def on_body(self, body: bytes) -> None:
        if self._interim or self._response is None:
            raise _Unasked
        self._response.take(body)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self._response is not None:
            self._response.ended = True
            self._keep_alive = self._parser.should_keep_alive()

    # inside

    def _misparsed(self, response: Response) -> None:
        if response.ended:
            self._keep_alive = False  # what follows a complete answer is not ours
        else:
            self._fail(BackendBroke("the model server's answer is not HTTP"))

    def _pause_reading(self) -> None:
        if not self._paused and not self.closed and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _over(self, exc: Exception | None) -> None:
        """Nothing more will come. That is the end of a body which has no other, unless it was us who broke it."""
        self._keep_alive = False
        response = self._response
        if response is None:
            return
        if not response.ended and response.error is None:
            if response.status and not self._framed and exc is None and not self.closed:
                response.ended = True
            else:
                response.error = BackendLost("the connection to the model server broke")
                response.error.__cause__ = exc
        self._tell(response)

    def _fail(self, error: UpstreamError) -> None:
        response = self._response
        if response is not None and response.error is None:
            response.error = error
        self.abort()
        if response is not None:
            self._tell(response)

    def _tell(self, response: Response) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done() and response.has_news:
            self.deadline = inf  # met, though whoever waits may wake after it
            waiter.set_result(None)
        elif self._drained is not None and (response.status or response.error is not None):
            self.resume_writing()  # no use to go on


class _Unasked(Exception):
    """Stops the parser: this is no answer to what was asked."""


_TIMEOUT = re.compile(rb"timeout\s*=\s*(\d{1,6})", re.IGNORECASE)


def _idle_s(keep_alive: bytes) -> float:
    """`timeout=5` of a Keep-Alive header, less a second for the way."""
    found = _TIMEOUT.search(keep_alive)
    return int(found[1]) - 1.0 if found else inf
