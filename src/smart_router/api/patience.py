"""Keeps a client that takes a stream from giving up while its model wakes: comments, which readers of events skip."""

import asyncio
from collections.abc import Awaitable
from time import perf_counter
from typing import TypeVar

from msgspec.structs import replace

from smart_router.api.asgi import Headers, Send
from smart_router.api.envelopes import rate_headers
from smart_router.api.relay import EVENT_STREAM, decision_headers
from smart_router.api.visit import Visit
from smart_router.settings import Settings
from smart_router.types import Admission, Ask, Decision

_T = TypeVar("_T")


class StreamPatience:
    """
    See `types.Patience`. With the first comment the answer has begun: what goes wrong from then on is told by an event,
    and the headers name the model that is preferred, even where another is waited for, or answers in the end.
    """

    def __init__(self, visit: Visit, send: Send, settings: Settings) -> None:
        self._visit = visit
        self._send = send
        self._settings = settings
        self._decided: tuple[Decision, str, Admission | None] | None = None

    def decided(self, decision: Decision, model: str, admission: Admission | None) -> None:
        self._decided = decision, model, admission

    async def waiting(self, model: str, awaited: Awaitable[_T]) -> _T:
        began, waiting = perf_counter(), asyncio.ensure_future(awaited)
        try:
            while not (await asyncio.wait({waiting}, timeout=self._settings.wait_comment_interval))[0]:
                await self._begin()
                await self._say(f": {model} is being woken, {perf_counter() - began:.0f} s so far\n\n")
            return waiting.result()
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait({waiting})

    async def _begin(self) -> None:
        visit = self._visit
        if visit.started:
            return
        visit.started = visit.waited = True
        assert visit.ask is not None
        headers = [
            (b"content-type", EVENT_STREAM),
            (b"cache-control", b"no-cache"),
            (b"x-request-id", visit.request_id.encode()),
            (b"x-session-id", visit.ask.session_id.encode()),
            *self._told(),
        ]
        start: dict[str, object] = {"type": "http.response.start", "status": 200, "headers": headers}
        await visit.presence.send(self._send, start, self._settings.send_timeout)

    def _told(self) -> Headers:
        if self._decided is None:
            return []
        decision, model, admission = self._decided
        return [*decision_headers(decision, model), *rate_headers(admission)]

    async def _say(self, comment: str) -> None:
        message: dict[str, object] = {"type": "http.response.body", "body": comment.encode(), "more_body": True}
        await self._visit.presence.send(self._send, message, self._settings.send_timeout)


def with_patience(ask: Ask, visit: Visit, send: Send, settings: Settings) -> Ask:
    """Of a client that does not take a stream, nothing can be said before its answer."""
    return replace(ask, patience=StreamPatience(visit, send, settings)) if ask.stream else ask
