"""`POST /route` and `POST /classify`: plain ASGI, because every request pays for what stands here."""

import uuid
from time import perf_counter

from msgspec.structs import replace

from smart_router.api import wire
from smart_router.api.asgi import Receive, Scope, Send, send_json
from smart_router.api.envelopes import rate_headers
from smart_router.api.patience import with_patience
from smart_router.api.relay import Relay, decision_headers
from smart_router.api.visit import Desk, Visit
from smart_router.observe.finished import tell
from smart_router.pipeline import Pipeline
from smart_router.registry import Registry
from smart_router.types import Ask


class RouteApi:
    """The two handlers."""

    def __init__(self, pipeline: Pipeline, desk: Desk, registry: Registry) -> None:
        self._pipeline = pipeline
        self._desk = desk
        self._defaults = registry.defaults
        self._comes_and_goes = registry.comes_and_goes

    async def route(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit, relay = Visit(scope, receive, self._desk.presence, tracing=self._desk.tracing), None
        try:
            ask = await self._ask(visit, scope, receive)
            visit.ask = with_patience(ask, visit, send, self._desk.settings) if self._comes_and_goes else ask
            await self._desk.armour.admit(ask.attachments)
            relay = Relay(await self._pipeline.answer(visit.ask), self._pipeline, visit, self._desk.settings)
            await relay(send)
        except BaseException as exc:
            await self._desk.failed(visit, send, exc, observe=relay is None)
        finally:
            visit.leave()

    async def classify(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(scope, receive, self._desk.presence, tracing=self._desk.tracing)
        try:
            visit.ask = await self._ask(visit, scope, receive)
            await self._explain(visit, visit.ask, send)
        except BaseException as exc:
            await self._desk.failed(visit, send, exc, observe=False)
        finally:
            visit.leave()

    async def _explain(self, visit: Visit, ask: Ask, send: Send) -> None:
        decision, model, admission = await self._pipeline.classify(ask)
        if visit.trace is not None:
            tell((visit.trace,), visit.decided(decision, model.id))
        timing = f"routing;dur={(perf_counter() - visit.received) * 1e3:.3f}".encode()
        told = [*decision_headers(decision, model.id), *rate_headers(admission)]
        headers = [*visit.own_headers(), *told, (b"server-timing", timing)]
        answer = wire.ClassifyResponse(
            success=True,
            use_case=decision.use_case,
            confidence=decision.confidence,
            reason=decision.reason,
            selected_model=model.id,
            scores=dict(decision.scores),
            because=wire.because_out(decision.because),
            bypass_used=decision.bypass,
            context_changed=decision.context_changed,
            session_id=ask.session_id if visit.session_given else None,
            request_id=visit.request_id,
        )
        await send_json(send, 200, wire.encode(answer), headers)

    async def _ask(self, visit: Visit, scope: Scope, receive: Receive) -> Ask:
        grant, settings = self._desk.admit(visit, scope), self._desk.settings
        request = wire.decode_request(await visit.json_body(receive, settings))
        ask = wire.ask_from(
            request,
            request_id=visit.request_id,
            grant=grant,
            session_id=visit.session(request.session_id) or uuid.uuid4().hex,
            debug=visit.debug,
            settings=settings,
            defaults=self._defaults,
        )
        return ask if visit.trace is None else replace(ask, trace=visit.trace)
