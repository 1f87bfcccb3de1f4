"""
An HTTP answer under way, as whoever asked for it sees it.

    await response.head(within_s)               status and headers have arrived
    await response.chunk(within_s)              what has arrived of the body; b"" at its end
    response.close()                            back to the pool if all of it came, else the connection is dropped
"""

from typing import Protocol

from smart_router.errors import BackendBroke, UpstreamError

Header = tuple[bytes, bytes]  # name in lower case, value


class Carrier(Protocol):
    """The connection that an answer comes on."""

    async def wait(self, within_s: float) -> None:
        """Until there is news."""

    def resume_reading(self) -> None:
        """There is room again."""

    def finish(self, response: "Response") -> None:
        """Nothing more of it is wanted."""


class Response:
    """An answer under way. Close it exactly when nothing more of it is wanted; a second close does nothing."""

    __slots__ = (
        "_chunks", "_closed", "_connection", "_head_told", "ended", "error", "headers", "received", "status", "waiting",
    )  # fmt: skip

    def __init__(self, connection: Carrier) -> None:
        self._connection = connection
        self._chunks: list[bytes] = []
        self._closed = False
        self._head_told = False
        self.status = 0
        self.headers: list[Header] = []
        self.received = False  # any byte at all
        self.ended = False  # the whole body has arrived
        self.waiting = 0  # bytes that have arrived and were not asked for yet
        self.error: UpstreamError | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first header called *name* (lower case)."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def media_type(self) -> bytes:
        """Of its Content-Type, without parameters; empty if there is none."""
        return (self.header(b"content-type") or b"").partition(b";")[0].strip()

    async def head(self, within_s: float) -> None:
        """
        Wait for status and headers.

        Raises:
            BackendTimeout, BackendLost, BackendBroke
        """
        if not self.status and self.error is None:
            await self._connection.wait(within_s)
        if not self.status and self.error is not None:
            raise self.error
        self._head_told = True

    async def chunk(self, within_s: float) -> bytes:
        """
        All bytes that have arrived since the last call, as soon as there are any; b"" when the body has ended.

        Raises:
            BackendTimeout, BackendLost, BackendBroke: after what came before it has been handed out.
        """
        if not self._chunks and not self.ended and self.error is None:
            await self._connection.wait(within_s)
        if chunks := self._chunks:
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._chunks, self.waiting = [], 0
            self._connection.resume_reading()
            return data
        if self.error is not None and not self.ended:
            raise self.error
        return b""

    async def read(self, most: int, within_s: float) -> bytes:
        """
        The whole body, *within_s* between its parts.

        Raises:
            BackendBroke: it exceeds *most* bytes.
        """
        parts, size = [], 0
        while data := await self.chunk(within_s):
            parts.append(data)
            size += len(data)
            if size > most:
                raise BackendBroke(f"the model server's answer exceeds {most} bytes")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._connection.finish(self)

    def take(self, data: bytes) -> None:
        """Part of the body, from the parser."""
        self._chunks.append(data)
        self.waiting += len(data)

    @property
    def has_news(self) -> bool:
        """Something that whoever waits has not been told: the head, a part, the end, or that it broke."""
        return bool(self._chunks) or self.ended or self.error is not None or (self.status > 0 and not self._head_told)
