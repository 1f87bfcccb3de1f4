"""
The spans of a request in OpenTelemetry's words; imported only where tracing is on.

    POST /route                 server; the whole request, a stream to its end
        session                 waiting for the session store
        classify                only where the classifier ran
        upstream                one for each attempt; the accepted one lasts as long as its answer

Never in them: what was asked or answered, keys, and a session's id as it is.
"""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from hashlib import sha256
from time import time_ns
from typing import Any, TypeVar

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from smart_router.errors import RouterError
from smart_router.observe.finished import Finished
from smart_router.types import Decision, Headers

UNHARMED = ("ok", "aborted", "client_error")  # outcomes for which nobody here is to blame
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_T = TypeVar("_T")
_w3c = TraceContextTextMapPropagator()


class OpenTelemetry:
    """A `Tracing`. *routes*: the paths that may name a span; any other is a client's own words."""

    def __init__(self, tracer: Tracer, routes: Collection[str], close: Callable[[], None]) -> None:
        self._tracer = tracer
        self._routes = frozenset(routes)
        self.close = close

    def begin(self, scope: Mapping[str, Any]) -> "Spans | Unkept":
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        route = scope["path"] if scope["path"] in self._routes else None
        about = {"http.request.method": method, "url.scheme": scope["scheme"]}
        if route is not None:
            about["http.route"] = about["url.path"] = route
        caller = _w3c.extract(scope["headers"], Context(), _given_headers)
        name = f"{method} {route}" if route is not None else method
        server = self._tracer.start_span(name, caller, SpanKind.SERVER, about)
        return Spans(self._tracer, server, method, route) if server.is_recording() else Unkept(server)


class Spans:
    """A `Trace`. Each span ends exactly once: with its await, with the record of the request, or with `end`."""

    __slots__ = ("_asking", "_context", "_method", "_route", "_server", "_told", "_tracer", "id")

    def __init__(self, tracer: Tracer, server: Span, method: str, route: str | None) -> None:
        self._tracer = tracer
        self._server = server
        self._method = method
        self._route = route
        self._context = set_span_in_context(server, Context())
        self._asking: Span | None = None  # the attempt under way, or accepted and not yet over
        self._told = False
        self.id: str | None = format_trace_id(server.get_span_context().trace_id)

    def __call__(self, done: Finished) -> None:
        """The first record counts: an exchange knows more of itself than the error that its request ended with."""
        if self._told:
            return
        self._told = True
        if self._route is None and done.path.startswith("/"):
            self._server.update_name(f"{self._method} {done.path}")
            self._server.set_attribute("http.route", done.path)
        self._server.set_attributes(_about(done))
        _blame(self._server, done.failure or done.outcome)
        self._mark_first_token(done)
        self._answered(done.failure or done.outcome)

    async def session(self, awaited: Awaitable[_T]) -> _T:
        span = self._tracer.start_span("session", self._context)
        try:
            found = await awaited
        except BaseException as exc:
            _end(span, _outcome(exc))
            raise
        _end(span, "ok")
        return found

    async def classifying(self, awaited: Awaitable[Decision]) -> Decision:
        """Whether the classifier ran is known afterwards. Nothing else waits, so what is cancelled here was at it."""
        began = time_ns()
        try:
            decision = await awaited
        except CancelledError:
            _end(self._tracer.start_span("classify", self._context, start_time=began), "aborted")
            raise
        if decision.scores:
            span = self._tracer.start_span("classify", self._context, start_time=began)
            span.set_attributes({
                "smart_router.use_case": decision.use_case, "smart_router.confidence": decision.confidence,
            })  # fmt: skip
            _end(span, "ok")
        return decision

    async def asking(self, model: str, replica: str, attempt: Callable[[Headers], Awaitable[_T]]) -> _T:
        about = {"smart_router.model": model, "smart_router.replica": replica}
        self._asking = self._tracer.start_span("upstream", self._context, SpanKind.CLIENT, about)
        try:
            return await attempt(_headers_of(self._asking))
        except BaseException as exc:
            self._answered(_outcome(exc))
            raise

    def end(self) -> None:
        if not self._told:
            self._server.set_attribute("smart_router.outcome", "aborted")
        self._answered("aborted")
        self._server.end()

    def _answered(self, outcome: str) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            _end(asking, outcome)

    def _mark_first_token(self, done: Finished) -> None:
        """The record has durations alone; the last of them ended just now."""
        if self._asking is None or done.first_token_s is None or done.routing_s is None:
            return
        since_s = done.total_s - done.routing_s - done.first_token_s
        seconds = {"smart_router.time_to_first_token": done.first_token_s}
        self._asking.add_event("first token", seconds, time_ns() - int(since_s * 1e9))


class Unkept:
    """A `Trace` that the sampler or its caller does not keep: the model server is told so, and that is all."""

    def __init__(self, server: Span) -> None:
        self.id: str | None = None
        self._server = server

    def __call__(self, done: Finished) -> None:
        pass

    async def session(self, awaited: Awaitable[_T]) -> _T:
        return await awaited

    async def classifying(self, awaited: Awaitable[Decision]) -> Decision:
        return await awaited

    async def asking(self, model: str, replica: str, attempt: Callable[[Headers], Awaitable[_T]]) -> _T:
        return await attempt(_headers_of(self._server))

    def end(self) -> None:
        self._server.end()


def _about(done: Finished) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue | None] = {
        "http.response.status_code": done.status,
        "smart_router.outcome": done.outcome,
        "smart_router.request_id": done.request_id,
        "smart_router.session": sha256(done.session_id.encode()).hexdigest()[:16] if done.session_id else None,
        "smart_router.use_case": done.use_case,
        "smart_router.model": done.model,
        "smart_router.reason": done.reason,
        "smart_router.bypass": done.bypass if done.use_case else None,
        "smart_router.fallback_from": done.fallback_from,
    }
    return {name: value for name, value in found.items() if value is not None}


def _end(span: Span, outcome: str) -> None:
    span.set_attribute("smart_router.outcome", outcome)
    _blame(span, outcome)
    span.end()


def _blame(span: Span, outcome: str) -> None:
    if outcome not in UNHARMED:
        span.set_attribute("error.type", outcome)
        span.set_status(Status(StatusCode.ERROR))


def _outcome(exc: BaseException) -> str:
    """In one word: messages may quote what a client sent."""
    if isinstance(exc, CancelledError):
        return "aborted"
    return exc.code if isinstance(exc, RouterError) else type(exc).__name__


def _headers_of(span: Span) -> Headers:
    told: dict[str, str] = {}
    _w3c.inject(told, set_span_in_context(span, Context()))
    return tuple((name.encode(), value.encode("latin-1", "ignore")) for name, value in told.items())


class _GivenHeaders(Getter[Sequence[tuple[bytes, bytes]]]):
    """Of an ASGI request. A header that may come once, and came twice, counts as malformed."""

    def get(self, carrier: Sequence[tuple[bytes, bytes]], key: str) -> list[str] | None:
        found = [value.decode("latin-1") for name, value in carrier if name == key.encode()]
        return None if key == "traceparent" and len(found) > 1 else found or None

    def keys(self, carrier: Sequence[tuple[bytes, bytes]]) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_given_headers = _GivenHeaders()
