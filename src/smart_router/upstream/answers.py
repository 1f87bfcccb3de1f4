"""Answers to our own requests: whole, or as a stream of deltas."""

from collections.abc import AsyncIterator, Callable
from time import monotonic

from smart_router.decide import sse
from smart_router.errors import BackendBroke, BackendTimeout
from smart_router.types import Usage
from smart_router.upstream import payload
from smart_router.upstream.base import Piece
from smart_router.upstream.response import Response

MOST_STREAM_BYTES = 512 * 1024 * 1024  # some hundred bytes a token


class WholeAnswer:
    """An answer that arrived in one piece; its connection is back in the pool already."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece

    async def pieces(self) -> AsyncIterator[Piece]:
        yield self._piece

    def close(self) -> None:
        """Nothing is held."""


class StreamedAnswer:
    """
    Chat or transcription deltas, read as they arrive. The stream must end with `[DONE]`, else it broke; empty deltas
    and comments do not reset the deadline between chunks.
    """

    def __init__(self, response: Response, between_s: float, counted: Callable[[Usage], None] = lambda _: None) -> None:
        """*counted* hears of its tokens, where the server tells them."""
        self._response = response
        self._between_s = between_s
        self._counted = counted
        self._parser = sse.Parser()
        self._ready: list[Piece] = []
        self._received = 0
        self._complete = False

    async def await_first(self, until: float) -> None:
        """Hold back until the first content, or the end: until then another replica can still take over."""
        while not self._complete and not any(piece.text for piece in self._ready):
            await self._more(until)

    async def pieces(self) -> AsyncIterator[Piece]:
        while True:
            ready, self._ready = self._ready, []
            for piece in ready:
                yield piece
            if self._complete:
                return
            await self._next()

    def close(self) -> None:
        self._response.close()

    async def _next(self) -> None:
        until = monotonic() + self._between_s
        while not self._ready and not self._complete:
            await self._more(until)

    async def _more(self, until: float) -> None:
        left = until - monotonic()
        if left <= 0:
            raise BackendTimeout("the model server sent no content in time")
        chunk = await self._response.chunk(left)
        self._received += len(chunk)
        if self._received > MOST_STREAM_BYTES:
            raise BackendBroke(f"the model server's stream exceeds {MOST_STREAM_BYTES} bytes")
        try:
            events = self._parser.feed(chunk)
        except ValueError as exc:
            raise BackendBroke("the model server's stream cannot be read") from exc
        for event in events:
            self._take(event)
        if not chunk and not self._complete:
            raise BackendBroke("the model server's answer ended without its end")

    def _take(self, event: sse.Event) -> None:
        if event.data == "[DONE]":
            self._complete = True
        elif not self._complete:
            piece = payload.piece_of_stream(event.data)
            if piece != Piece():
                self._ready.append(piece)
            if piece.usage is not None:
                self._counted(piece.usage)
