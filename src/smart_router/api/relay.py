"""
Sends an open exchange to the client, whole or as server-sent events, and closes it exactly once.

The exchange is closed here, in the response's own `__call__`, and not in a generator's `finally`, which does not run
when the client leaves before the first chunk.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any

from smart_router.api import wire
from smart_router.api.asgi import Headers, Send, send_json, send_start
from smart_router.errors import RouterError, UpstreamError
from smart_router.exchange import Exchange
from smart_router.types import Decision

Finish = Callable[[Exchange], Awaitable[None]]

_EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Relay:
    """An ASGI response. *finish* runs when the answer is complete, before the client learns that it is."""

    def __init__(self, exchange: Exchange, finish: Finish) -> None:
        self._exchange = exchange
        self._finish = finish
        self.started = False  # a stream's headers are out: an error can no longer change the status

    async def __call__(self, send: Send) -> None:
        """
        Cancelled when the client leaves.

        Raises:
            UpstreamError: the answer broke off before anything was sent.
        """
        try:
            await (self._stream(send) if self._exchange.ask.stream else self._whole(send))
        finally:
            await self._exchange.close()

    async def _whole(self, send: Send) -> None:
        exchange = self._exchange
        async for _ in exchange.pieces():
            pass
        await self._finish(exchange)
        await exchange.close()  # before the client can ask how it went
        await send_json(send, 200, wire.encode(_response(exchange, result=exchange.text)), _headers(exchange))

    async def _stream(self, send: Send) -> None:
        exchange, self.started = self._exchange, True
        await send_start(send, 200, _EVENT_STREAM, [*_headers(exchange), (b"cache-control", b"no-cache")])
        async for chunk in self._events():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _events(self) -> AsyncIterator[bytes]:
        exchange = self._exchange
        yield _event(wire.encode(_route_event(exchange)), b"route")
        try:
            async for text in exchange.pieces():
                yield _event(wire.encode(wire.Delta(text)))
        except UpstreamError as exc:
            yield _event(wire.encode(error_response(exc, exchange.ask.request_id)), b"error")
            return
        await self._finish(exchange)
        await exchange.close()
        yield _event(wire.encode(_response(exchange)), b"done")


def _event(data: bytes, name: bytes = b"") -> bytes:
    """JSON has no line breaks, so text that looks like an event stays data."""
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"


def error_response(error: Exception, request_id: str) -> wire.ErrorResponse:
    """What a client may know of *error*: the message of ours, nothing of anybody else's."""
    if not isinstance(error, RouterError):
        error = RouterError("something went wrong here; the log knows more")
    return wire.ErrorResponse(
        success=False,
        error_message=error.message,
        error_code=error.code,
        request_id=request_id,
        use_case=error.decision.use_case if error.decision else None,
        routing_time=error.routing_s,
    )


def _route_event(exchange: Exchange) -> wire.RouteEvent:
    return wire.RouteEvent(**_decided(exchange))


def _response(exchange: Exchange, **result: Any) -> wire.RouteResponse:
    usage, timing = exchange.usage, exchange.timing
    return wire.RouteResponse(
        success=True,
        inference_time=timing.inference_s,
        total_time=timing.total_s,
        usage=wire.UsageOut(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        finish_reason=exchange.finish_reason,
        **_decided(exchange),
        **result,
    )


def _decided(exchange: Exchange) -> dict[str, Any]:
    """The fields that a stream's first event and the full record share."""
    decision = exchange.decision
    return {
        "use_case": decision.use_case,
        "selected_model": exchange.lease.model.id,
        "confidence": decision.confidence,
        "reason": decision.reason,
        "bypass_used": decision.bypass,
        "context_changed": decision.context_changed,
        "session_id": exchange.ask.session_id,
        "new_session": exchange.new_session,
        "routing_time": exchange.timing.routing_s,
        "request_id": exchange.ask.request_id,
    }


def _headers(exchange: Exchange) -> Headers:
    decision, timing = exchange.decision, exchange.timing
    waited = (timing.ended or perf_counter()) - timing.asked
    return [
        (b"x-session-id", exchange.ask.session_id.encode()),
        (b"x-request-id", exchange.ask.request_id.encode()),
        *decision_headers(decision, exchange.lease.model.id),
        (b"server-timing", f"routing;dur={timing.routing_s * 1e3:.3f}, inference;dur={waited * 1e3:.3f}".encode()),
    ]


def decision_headers(decision: Decision, model: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-route-use-case", decision.use_case.encode()),
        (b"x-route-model", model.encode()),
        (b"x-route-reason", decision.reason.encode()),
        (b"x-route-bypass", b"true" if decision.bypass else b"false"),
        (b"x-route-confidence", f"{decision.confidence:.4f}".encode()),
    ]
