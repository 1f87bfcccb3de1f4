"""
Sends an open exchange to the client, whole or as server-sent events, and closes it exactly once.

The exchange is closed here, in the response's own `__call__`, and not in a generator's `finally`, which does not run
when the client leaves before the first chunk.
"""

from collections.abc import AsyncIterator
from functools import lru_cache
from time import perf_counter
from typing import Any

from msgspec import UNSET

from smart_router.api import wire
from smart_router.api.asgi import Headers, Send, send_json
from smart_router.api.envelopes import rate_headers, stream_error
from smart_router.api.visit import Visit
from smart_router.errors import UpstreamError
from smart_router.exchange import Passage, Reply
from smart_router.pipeline import Pipeline
from smart_router.settings import Settings
from smart_router.types import Decision
from smart_router.upstream.response import Header

EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Relay:
    """An ASGI response. The exchange is remembered when the answer is complete, before the client learns that it is."""

    def __init__(self, reply: Reply, pipeline: Pipeline, visit: Visit, settings: Settings) -> None:
        self._reply = reply
        self._pipeline = pipeline
        self._visit = visit
        self._within_s = settings.send_timeout

    async def __call__(self, send: Send) -> None:
        """
        Cancelled when the client leaves.

        Raises:
            UpstreamError: the answer broke off before anything was sent.
        """
        try:
            await (self._stream(send) if self._reply.ask.stream else self._whole(send))
        finally:
            self._reply.close()

    async def _whole(self, send: Send) -> None:
        reply = self._reply
        async for _ in reply.pieces():
            pass
        self._pipeline.finish(reply)
        reply.close()  # before the client can ask how it went
        await send_json(send, 200, wire.encode(_response(reply, result=reply.text)), decided_headers(reply))

    async def _stream(self, send: Send) -> None:
        visit = self._visit
        if not visit.started:
            await self._begin(send)
        async for event, more in self._events():
            message = {"type": "http.response.body", "body": event, "more_body": more}
            await visit.presence.send(send, message, self._within_s)

    async def _begin(self, send: Send) -> None:
        visit, headers = self._visit, [*decided_headers(self._reply), (b"cache-control", b"no-cache")]
        visit.started = True
        start = {"status": 200, "headers": [(b"content-type", EVENT_STREAM), *headers]}
        await visit.presence.send(send, {"type": "http.response.start", **start}, self._within_s)

    async def _events(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Each with whether more follow."""
        reply = self._reply
        yield wire.event(_route_event(reply), b"route"), True
        try:
            async for text in reply.pieces():
                yield wire.event(wire.Delta(text)), True
        except UpstreamError as exc:
            yield stream_error(exc, reply.ask.request_id, "ours"), False
            return
        self._pipeline.finish(reply)
        reply.close()
        yield wire.event(_response(reply), b"done"), False


def _route_event(reply: Reply) -> wire.RouteEvent:
    return wire.RouteEvent(**_decided(reply))


def _response(reply: Reply, **result: Any) -> wire.RouteResponse:
    usage, timing = reply.usage, reply.timing
    return wire.RouteResponse(
        success=True,
        inference_time=timing.inference_s,
        total_time=timing.total_s,
        usage=wire.UsageOut(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        finish_reason=reply.finish_reason,
        **_decided(reply),
        **result,
    )


def _decided(reply: Reply) -> dict[str, Any]:
    """The fields that a stream's first event and the full record share."""
    decision = reply.decision
    return {
        "use_case": decision.use_case,
        "selected_model": reply.lease.model.id,
        "fallback_from": reply.fallback_from or UNSET,
        "confidence": decision.confidence,
        "reason": decision.reason,
        "bypass_used": decision.bypass,
        "context_changed": decision.context_changed,
        "session_id": reply.ask.session_id,
        "new_session": reply.new_session,
        "routing_time": reply.timing.routing_s,
        "request_id": reply.ask.request_id,
    }


def decided_headers(exchange: Reply | Passage) -> Headers:
    decision, timing = exchange.decision, exchange.timing
    waited = (timing.ended or perf_counter()) - timing.asked
    why = [(b"x-route-because", wire.explanation(decision))] if exchange.ask.debug else []
    if (instead_of := exchange.fallback_from) is not None:
        why.append((b"x-route-fallback", instead_of.encode()))
    return [
        *why,
        (b"x-session-id", exchange.ask.session_id.encode()),
        (b"x-request-id", exchange.ask.request_id.encode()),
        *decision_headers(decision, exchange.lease.model.id),
        *rate_headers(exchange.admission),
        (b"server-timing", b"routing;dur=%.3f, inference;dur=%.3f" % (timing.routing_s * 1e3, waited * 1e3)),
    ]


def decision_headers(decision: Decision, model: str) -> list[Header]:
    return [
        *_standing_headers(decision.use_case, model, decision.reason, decision.bypass),
        (b"x-route-confidence", b"%.4f" % decision.confidence),
    ]


@lru_cache(maxsize=4096)  # ids of the registry and our own words: there are not many
def _standing_headers(use_case: str, model: str, reason: str, bypass: bool) -> tuple[Header, ...]:
    return (
        (b"x-route-use-case", use_case.encode()),
        (b"x-route-model", model.encode()),
        (b"x-route-reason", reason.encode()),
        (b"x-route-bypass", b"true" if bypass else b"false"),
    )
