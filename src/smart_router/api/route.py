"""`POST /route` and `POST /classify`: plain ASGI, because every request pays for what stands here."""

import math
import re
import uuid
from time import perf_counter

import structlog

from smart_router.api import wire
from smart_router.api.asgi import (
    ClientGone,
    Headers,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    send_json,
    unless_client_leaves,
)
from smart_router.api.auth import Door
from smart_router.api.relay import Relay, decision_headers, error_response
from smart_router.errors import (
    BackendTimeout,
    BadRequest,
    NoModelAvailable,
    RouterError,
    UnsupportedMedia,
    UpstreamError,
)
from smart_router.observe.finished import Finished, Observer, Outcome, tell
from smart_router.pipeline import Pipeline
from smart_router.registry import Defaults
from smart_router.settings import Settings
from smart_router.types import Ask

log = structlog.get_logger("api")

LEFT = 499  # nginx's status, for the log, of a client that did not wait for its answer
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RouteApi:
    """The two handlers. *observers* hear of requests that never became an exchange."""

    def __init__(
        self, pipeline: Pipeline, door: Door, settings: Settings, defaults: Defaults, observers: tuple[Observer, ...]
    ) -> None:
        self._pipeline = pipeline
        self._door = door
        self._settings = settings
        self._defaults = defaults
        self._observers = observers

    async def route(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = _Visit(scope)
        try:
            visit.ask = await self._ask(visit, receive)
            await unless_client_leaves(self._answer(visit, visit.ask, send), receive)
        except Exception as exc:
            if visit.relay is None:  # an exchange speaks for itself when it is closed
                self._observe(visit, exc)
            if visit.relay is not None and visit.relay.started and not isinstance(exc, ClientGone):
                raise  # the server closes the connection: the client sees that the stream is not complete
            await visit.refuse(send, exc)

    async def _answer(self, visit: "_Visit", ask: Ask, send: Send) -> None:
        visit.relay = Relay(await self._pipeline.serve(ask), self._pipeline.finish)
        await visit.relay(send)

    async def classify(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = _Visit(scope)
        try:
            ask = visit.ask = await self._ask(visit, receive)
            decision, model = await self._pipeline.classify(ask)
        except Exception as exc:
            await visit.refuse(send, exc)
            return
        timing = f"routing;dur={(perf_counter() - visit.started) * 1e3:.3f}".encode()
        headers = [*visit.headers(), *decision_headers(decision, model.id), (b"server-timing", timing)]
        because = decision.because
        answer = wire.ClassifyResponse(
            success=True,
            use_case=decision.use_case,
            confidence=decision.confidence,
            reason=decision.reason,
            selected_model=model.id,
            scores=dict(decision.scores),
            because=wire.BecauseOut(list(because.hint), dict(because.cues), because.session, because.note),
            bypass_used=decision.bypass,
            context_changed=decision.context_changed,
            session_id=ask.session_id if visit.session_given else None,
            request_id=visit.request_id,
        )
        await send_json(send, 200, wire.encode(answer), headers)

    async def _ask(self, visit: "_Visit", receive: Receive) -> Ask:
        scope, settings = visit.scope, self._settings
        if scope["method"] != "POST":
            raise _MethodNotAllowed(f"{scope['path']} takes POST")
        caller = self._door.caller(scope)
        _check_content_type(scope)
        request = wire.decode_request(await read_body(scope, receive, settings.max_body_bytes, settings.body_timeout))
        return wire.ask_from(
            request,
            request_id=visit.request_id,
            caller=caller,
            session_id=visit.session(request.session_id),
            settings=settings,
            defaults=self._defaults,
        )

    def _observe(self, visit: "_Visit", exc: Exception) -> None:
        ours = exc if isinstance(exc, RouterError) else RouterError("internal error")
        decision = ours.decision
        done = Finished(
            request_id=visit.request_id,
            session_id=visit.ask.session_id if visit.ask else "",
            outcome=_outcome(exc),
            total_s=perf_counter() - visit.started,
            use_case=decision.use_case if decision else None,
            reason=decision.reason if decision else None,
            confidence=decision.confidence if decision else 0.0,
            bypass=decision.bypass if decision else False,
            encoded=bool(decision and decision.scores),
            routing_s=ours.routing_s,
            status=LEFT if isinstance(exc, ClientGone) else ours.status,
        )
        tell(self._observers, done)


class _MethodNotAllowed(BadRequest):
    status = 405
    code = "method_not_allowed"


class _Visit:
    """One request at the door: its ids, and its refusal."""

    def __init__(self, scope: Scope) -> None:
        given = header(scope, b"x-request-id") or ""
        self.scope = scope
        self.started = perf_counter()
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.ask: Ask | None = None
        self.relay: Relay | None = None
        self.session_given = False

    def session(self, in_body: str | None) -> str:
        given = in_body if in_body is not None else header(self.scope, b"x-session-id")
        self.session_given = given is not None
        return uuid.uuid4().hex if given is None else wire.checked_session_id(given)

    def headers(self) -> list[tuple[bytes, bytes]]:
        found = [(b"x-request-id", self.request_id.encode())]
        return [*found, (b"x-session-id", self.ask.session_id.encode())] if self.ask and self.session_given else found

    async def refuse(self, send: Send, exc: Exception) -> None:
        if isinstance(exc, ClientGone):
            return
        if not isinstance(exc, RouterError):
            log.error("internal error", request_id=self.request_id, exc_info=exc)
        body = wire.encode(error_response(exc, self.request_id))
        await send_json(send, getattr(exc, "status", 500), body, [*self.headers(), *_advice(exc)])


def _check_content_type(scope: Scope) -> None:
    given = (header(scope, b"content-type") or "application/json").partition(";")[0].strip().lower()
    if given != "application/json":
        raise UnsupportedMedia("send JSON with `Content-Type: application/json`")
    if (header(scope, b"content-encoding") or "identity").lower() != "identity":
        raise UnsupportedMedia("send the body uncompressed, without Content-Encoding")


def _advice(exc: Exception) -> Headers:
    if isinstance(exc, RouterError) and exc.retry_after_s is not None:
        return [(b"retry-after", str(max(1, math.ceil(exc.retry_after_s))).encode())]
    if isinstance(exc, _MethodNotAllowed):
        return [(b"allow", b"POST")]
    return [(b"www-authenticate", b"Bearer")] if getattr(exc, "status", 0) == 401 else []


def _outcome(exc: Exception) -> Outcome:
    if isinstance(exc, ClientGone):
        return "aborted"
    if isinstance(exc, BackendTimeout):
        return "timeout"
    if isinstance(exc, NoModelAvailable):
        return "unavailable"
    if isinstance(exc, UpstreamError):
        return "upstream_error" if exc.status >= 500 else "client_error"
    return "client_error" if isinstance(exc, RouterError) else "internal_error"
