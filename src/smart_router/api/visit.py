"""One request at the data plane's door: its headers and ids, its refusal, and the record of a failure."""

import asyncio
import re
from random import getrandbits
from time import perf_counter

import structlog

from smart_router.access.places import Place, Places
from smart_router.api import wire
from smart_router.api.armour import Armour
from smart_router.api.asgi import ClientGone, Receive, Scope, Send, read_body, send_json
from smart_router.api.auth import Door
from smart_router.api.envelopes import Dialect, advice, envelope, stream_error
from smart_router.api.presence import Presence, Visitor
from smart_router.errors import (
    BackendTimeout,
    BadRequest,
    MethodNotAllowed,
    NoModelAvailable,
    RouterError,
    UnsupportedMedia,
    UpstreamError,
)
from smart_router.observe.finished import Finished, Observer, Outcome, tell
from smart_router.observe.tracing import Tracing
from smart_router.settings import Settings
from smart_router.types import Ask, Decision, Grant

log = structlog.get_logger("api")

_JSON = b"application/json"
LEFT = 499  # nginx's status, for the log, of a client that did not wait for its answer
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Visit:
    """
    Knows what is common to all paths of the data plane. `started`: headers are out, the status is said; `waited`: they
    began a stream of events before anybody had answered.
    """

    __slots__ = (
        "ask", "dialect", "headers", "path", "place", "presence", "received", "request_id", "session_given", "started",
        "trace", "waited",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        presence: Presence,
        dialect: Dialect = "ours",
        tracing: Tracing | None = None,
    ) -> None:
        self.received = perf_counter()
        self.trace = None if tracing is None else tracing.begin(scope)
        self.headers: dict[bytes, bytes] = dict(scope["headers"])  # of a name that comes twice, the last
        self.path: str = scope["path"]
        self.dialect = dialect
        self.presence: Visitor = presence.enter(receive)
        given = self.header(b"x-request-id")
        # An id, not a secret: nothing can be had by guessing it.
        self.request_id = given if given and _REQUEST_ID.fullmatch(given) else f"{getrandbits(128):032x}"
        self.ask: Ask | None = None
        self.session_given = False
        self.started = self.waited = False
        self.place: Place | None = None  # of a caller who may have but so many

    def leave(self) -> None:
        """At the end, whatever happened."""
        self.presence.leave()
        if self.place is not None:
            self.place.leave()
        if self.trace is not None:
            self.trace.end()

    @property
    def debug(self) -> bool:
        """The client asks why, with `X-Route-Debug: 1`."""
        return self.headers.get(b"x-route-debug", b"0").lower() not in (b"0", b"false", b"")

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def session(self, in_body: str | None) -> str | None:
        """
        The session's id as the client gives it, first in the body, then as a header.

        Raises:
            BadRequest: it is not well formed.
        """
        given = in_body if in_body is not None else self.header(b"x-session-id")
        self.session_given = given is not None
        return None if given is None else wire.checked_session_id(given)

    async def json_body(self, receive: Receive, settings: Settings) -> bytes:
        """
        Raises:
            UnsupportedMedia, BodyTooLarge, ClientGone; a body that is too slow cancels this task.
        """
        given = self.headers.get(b"content-type", _JSON)
        if given != _JSON and given.partition(b";")[0].strip().lower() != _JSON:
            raise UnsupportedMedia("send JSON with `Content-Type: application/json`")
        self.expect_body(settings)
        body = await read_body(self.headers.get(b"content-length"), receive, settings.max_body_bytes)
        self.presence.all_read()
        return body

    def expect_body(self, settings: Settings) -> None:
        """
        Raises:
            UnsupportedMedia: it is compressed.
        """
        if b"content-encoding" in self.headers and self.headers[b"content-encoding"].lower() != b"identity":
            raise UnsupportedMedia("send the body uncompressed, without Content-Encoding")
        within_s = settings.body_timeout
        self.presence.expect(
            within_s, lambda: BadRequest(f"the body did not arrive within {within_s:g} s; send it faster")
        )

    def own_headers(self) -> list[tuple[bytes, bytes]]:
        found = [(b"x-request-id", self.request_id.encode())]
        return [*found, (b"x-session-id", self.ask.session_id.encode())] if self.ask and self.session_given else found

    async def refuse(self, send: Send, error: Exception) -> None:
        """Say what went wrong, to a client that is still there and has not been told a status."""
        if isinstance(error, ClientGone) or self.started:
            return
        if not isinstance(error, RouterError):
            log.error("internal error", request_id=self.request_id, exc_info=error)
        body = wire.encode(envelope(error, self.request_id, self.dialect))
        await send_json(send, getattr(error, "status", 500), body, [*self.own_headers(), *advice(error)])

    async def break_off(self, send: Send, error: Exception, within_s: float) -> None:
        """Say what went wrong, to a client whose stream has begun with comments."""
        if not isinstance(error, RouterError):
            log.error("internal error", request_id=self.request_id, exc_info=error)
        event = stream_error(error, self.request_id, self.dialect)
        await self.presence.send(send, {"type": "http.response.body", "body": event}, within_s)

    def record(self, error: Exception) -> Finished:
        """Of a request that never became an exchange."""
        ours = error if isinstance(error, RouterError) else RouterError("internal error")
        decision = ours.decision
        return Finished(
            request_id=self.request_id,
            session_id=self.ask.session_id if self.ask else "",
            outcome=_outcome(error),
            total_s=perf_counter() - self.received,
            use_case=decision.use_case if decision else None,
            reason=decision.reason if decision else None,
            confidence=decision.confidence if decision else 0.0,
            bypass=decision.bypass if decision else False,
            encoded=bool(decision and decision.scores),
            routing_s=ours.routing_s,
            status=LEFT if isinstance(error, ClientGone) else ours.status,
            path=self.ask.path if self.ask else "none",
            trace_id=self.trace.id if self.trace is not None else None,
            limit=ours.limit,
        )

    def decided(self, decision: Decision, model: str) -> Finished:
        """Of a request that asked for the decision alone."""
        return Finished(
            request_id=self.request_id,
            session_id=self.ask.session_id if self.ask else "",
            outcome="ok",
            total_s=perf_counter() - self.received,
            use_case=decision.use_case,
            model=model,
            reason=decision.reason,
            confidence=decision.confidence,
            bypass=decision.bypass,
        )


class Desk:
    """What every handler of the data plane needs. *observers* hear of requests that never became an exchange."""

    def __init__(
        self, door: Door, settings: Settings, observers: tuple[Observer, ...], tracing: Tracing | None = None
    ) -> None:
        self.presence = Presence()
        self.places = Places()
        self.armour = Armour(settings)
        self.tracing = tracing
        self.door = door
        self.settings = settings
        self.observers = observers

    def admit(self, visit: Visit, scope: Scope) -> Grant:
        """
        Raises:
            MethodNotAllowed, Unauthorized, Forbidden, TooManyRequests
        """
        if scope["method"] != "POST":
            raise MethodNotAllowed(scope["path"], "POST")
        grant = self.door.enter(scope, "route")
        if grant.concurrency is not None:
            visit.place = self.places.take(grant.id, grant.concurrency)
        return grant

    async def failed(self, visit: Visit, send: Send, error: BaseException, *, observe: bool) -> None:
        """
        Answer for *error*, whatever it is.

        Raises:
            the error itself, where all that is left is to break the connection off, or the task was cancelled.
        """
        if isinstance(error, asyncio.CancelledError):
            explained = visit.presence.explained()
            if explained is None:
                raise error
            error = explained
        if not isinstance(error, Exception):
            raise error
        self._tell(visit, error, self.observers if observe else ())
        if visit.waited and observe and not isinstance(error, ClientGone):
            try:
                await visit.break_off(send, error, self.settings.send_timeout)
            except asyncio.CancelledError:
                if visit.presence.explained() is None:  # else the client left, or does not take it
                    raise
            return
        if visit.started and not isinstance(error, ClientGone):
            raise error  # the server closes the connection: the client sees that the answer is not complete
        await visit.refuse(send, error)

    def _tell(self, visit: Visit, error: Exception, observers: tuple[Observer, ...]) -> None:
        if visit.trace is not None:
            observers = (visit.trace, *observers)
        if observers:
            tell(observers, visit.record(error))


def _outcome(error: Exception) -> Outcome:
    if isinstance(error, ClientGone):
        return "aborted"
    if isinstance(error, BackendTimeout):
        return "timeout"
    if isinstance(error, NoModelAvailable):
        return "unavailable"
    if isinstance(error, UpstreamError):
        return "upstream_error" if error.status >= 500 else "client_error"
    return "client_error" if isinstance(error, RouterError) and error.status < 500 else "internal_error"
