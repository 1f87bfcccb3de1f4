"""
The path of a request, top-down:

    serve(ask)
      begin      one round trip: the session and its conversation
      use case   explicit -> media -> session (bypass) -> guard -> classify
      open       opening.py: model by preference, replica by affinity; the next one until somebody accepts
      pin        commit the choice, now that it is known to work
    finish(exchange)
      remember   append the exchange to the conversation
"""

from collections.abc import Sequence
from time import perf_counter

import structlog

from smart_router.chooser import Chooser
from smart_router.decide import memory
from smart_router.decide.switch import Standing
from smart_router.errors import BadRequest, RouterError, StoreUnavailable
from smart_router.exchange import Exchange, Timing
from smart_router.observe.finished import Observer
from smart_router.observe.metrics import Metrics
from smart_router.opening import Opener
from smart_router.registry import Model, Registry
from smart_router.sessions.base import Begun, Key, Pin, SessionStore
from smart_router.settings import Settings
from smart_router.types import Ask, Decision, Lane, Message, Session
from smart_router.upstream.fleet import Fleet

log = structlog.get_logger("pipeline")


class Pipeline:
    """Ties the decisions to the session store, the classifier and the model servers."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        chooser: Chooser,
        store: SessionStore,
        fleet: Fleet,
        opener: Opener,
        metrics: Metrics,
        observers: Sequence[Observer],
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._chooser = chooser
        self._store = store
        self._fleet = fleet
        self._opener = opener
        self._metrics = metrics
        self._observers = observers

    async def serve(self, ask: Ask) -> Exchange:
        """
        Route *ask* and open its answer. The caller must close the exchange.

        Raises:
            RouterError: nothing was stored, and nothing is held.
        """
        timing = Timing(perf_counter())
        begun = await self._begin(ask)
        decision = await self._chooser.choose(ask, _standing(begun.session))
        timing.decided = timing.asked = perf_counter()
        try:
            candidates = self._candidates(ask, decision)
            opened = await self._opener.open(ask, candidates, begun)
        except RouterError as exc:
            exc.decision, exc.routing_s = decision, timing.routing_s
            raise
        exchange = Exchange(
            ask, decision, opened.lease, opened.answer, timing, begun.session, candidates[0].id, self._observers
        )
        try:
            exchange.after = await self._pin(exchange)
        except BaseException:
            await exchange.abandon()
            raise
        return exchange

    async def finish(self, exchange: Exchange) -> None:
        """Remember a complete exchange, if its caller wants that; before the client learns that it is complete."""
        ask = exchange.ask
        if not (exchange.complete and ask.remember and self._settings.memory_turns):
            return
        room = self._settings.memory_bytes
        said = Message("user", ask.query, ask.attachments), Message("assistant", exchange.text)
        try:
            await self._store.remember(_key(ask), [memory.trimmed(message, room) for message in said])
        except StoreUnavailable as exc:
            self._store_failed(exc)

    async def classify(self, ask: Ask) -> tuple[Decision, Model]:
        """The decision alone, for a query or inside a live session: nothing is stored, counted or prolonged."""
        try:
            session = await self._store.get(_key(ask))
        except StoreUnavailable:
            session = None
        decision = await self._chooser.choose(ask, _standing(session), explain=True)
        candidates = self._candidates(ask, decision)
        return decision, next((m for m in candidates if self._fleet.can_answer(m.id)), candidates[0])

    async def _begin(self, ask: Ask) -> Begun:
        started = perf_counter()
        try:
            begun = await self._store.begin(_key(ask), history=self._settings.memory_turns > 0)
        except StoreUnavailable as exc:
            self._store_failed(exc)
            return Begun()
        if self._store.kind == "redis":
            self._metrics.redis.observe(perf_counter() - started)
        self._metrics.redis_degraded.set(0)
        return begun

    def _candidates(self, ask: Ask, decision: Decision) -> tuple[Model, ...]:
        candidates = self._registry.candidates(decision.use_case, ask.attached)
        if not candidates:
            kinds = ", ".join(sorted(ask.attached))
            raise BadRequest(f"attachments: no model of use case {decision.use_case} takes {kinds}")
        return candidates

    async def _pin(self, exchange: Exchange) -> Session | None:
        """The session as it stands afterwards, None if that cannot be said."""
        decision, model = exchange.decision, exchange.lease.model
        lane = Lane(decision.use_case, model.id, exchange.lease.endpoint, decision.confidence)
        turn = exchange.before.turn if exchange.before else 0
        try:
            return await self._store.commit(_key(exchange.ask), Pin(model.lane, lane, turn))
        except StoreUnavailable as exc:
            self._store_failed(exc)
            return None

    def _store_failed(self, exc: StoreUnavailable) -> None:
        self._metrics.redis_degraded.set(1)
        log.warning("session store unavailable, routing goes on without it", error=str(exc))


def _key(ask: Ask) -> Key:
    return Key(ask.caller, ask.session_id)


def _standing(session: Session | None) -> Standing | None:
    return Standing(session.lane.use_case, session.lane.confidence) if session else None
