"""
The path of a request, top-down:

    answer(ask)           in our own words, with the conversation so far
    forward(ask, attempt) as the client sent it
      begin      one round trip: the session, counted, and its conversation
      use case   explicit -> media -> session (bypass) -> guard -> classify
      rules      what the key is for, and what the operator lets requests ask for
      open       opening.py: model by preference, replica by affinity; the next one until somebody accepts
      pin        commit the choice if it changed, now that it is known to work
    finish(exchange)
      remember   append the exchange to the conversation
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any, Protocol, TypeVar

import structlog
from msgspec.structs import replace

from smart_router.chooser import Chooser
from smart_router.decide import memory
from smart_router.decide.switch import PINNED, Standing
from smart_router.errors import NoModelAvailable, PolicyRefused, RouterError, StoreUnavailable, TooManyRequests
from smart_router.exchange import Exchange, Passage, Reply, Timing
from smart_router.observe.finished import Observer
from smart_router.observe.metrics import Metrics
from smart_router.opening import Attempt, Opened, Opener, OwnWords
from smart_router.registry import Model
from smart_router.rulebook import applied
from smart_router.sessions.base import Begun, Held, Key, Pin, SessionStore
from smart_router.settings import Settings
from smart_router.shadow import Shadow
from smart_router.types import Admission, Ask, Decision, Lane, Message, Session
from smart_router.upstream.base import Forwarded
from smart_router.upstream.fleet import Fleet

log = structlog.get_logger("pipeline")

_E = TypeVar("_E", Reply, Passage)
_Attempts = Callable[[Begun, int | None], Attempt[Any]]  # by the tokens to ask for where the client leaves it open


class Onwards(Attempt[Forwarded], Protocol):
    """Passes a request on as it came."""

    def filled(self, most_tokens: int) -> Attempt[Forwarded]:
        """With the longest answer that is allowed, which the client left open."""


class Pipeline:
    """Ties the decisions to the session store, the classifier and the model servers."""

    def __init__(
        self,
        settings: Settings,
        chooser: Chooser,
        store: SessionStore,
        fleet: Fleet,
        opener: Opener,
        metrics: Metrics,
        observers: Sequence[Observer],
        shadow: Shadow | None = None,
    ) -> None:
        self._settings = settings
        self._chooser = chooser
        self._store = store
        self._fleet = fleet
        self._opener = opener
        self._metrics = metrics
        self._observers = observers
        self._shadow = shadow
        store.on_trouble = self._store_failed

    async def answer(self, ask: Ask) -> Reply:
        """
        Route *ask* and open its answer. The caller must close the exchange.

        Raises:
            RouterError: nothing was pinned, and nothing is held.
        """
        history = self._settings.memory_turns > 0

        def own_words(begun: Begun, most: int | None) -> OwnWords:
            said = ask if most is None else replace(ask, max_tokens=min(ask.max_tokens, most))
            return OwnWords(said, begun, self._settings)

        return await self._serve(ask, history, own_words, Reply)

    async def forward(self, ask: Ask, attempt: Onwards) -> Passage:
        """As `answer`, for a request that *attempt* passes on as it came."""
        passage = await self._serve(
            ask, False, lambda _, most: attempt if most is None else attempt.filled(most), Passage
        )
        try:
            self._note(passage)
        except BaseException:
            passage.abandon()
            raise
        return passage

    def _note(self, passage: Passage) -> None:
        ask, answer, lease = passage.ask, passage.answer, passage.lease
        if answer.events:
            passage.timing.first_token = perf_counter()
        if answer.response_id is not None:
            held = Held(session_id=ask.session_id, model=lease.model.id, replica=lease.endpoint)
            self._store.hold(Key(ask.caller, answer.response_id), held)

    def finish(self, reply: Reply) -> None:
        """Remember a complete exchange, if its caller wants that; before the client learns that it is complete."""
        ask = reply.ask
        if reply.complete and ask.remember and self._settings.memory_turns:
            room = self._settings.memory_bytes
            said = Message("user", ask.query, ask.attachments), Message("assistant", reply.text)
            self._store.remember(_key(ask), [memory.trimmed(message, room) for message in said])

    async def classify(self, ask: Ask) -> tuple[Decision, Model, Admission | None]:
        """
        The decision alone, for a query or inside a live session: nothing is stored or prolonged, nor counted but by the
        caller's limit.
        """
        admission = await self._admit(ask)
        session = await self._store.get(_key(ask))
        history = await self._store.history(_key(ask)) if session else ()
        decision = await self._choosing(ask, standing_of(session), _previous(ask, history), explain=True)
        try:
            candidates = self._chooser.candidates(ask, decision)
            await self._most_tokens(ask, decision)
        except RouterError as exc:
            exc.decision = decision
            raise
        return decision, next((m for m in candidates if self._fleet.can_answer(m.id)), candidates[0]), admission

    async def held(self, caller: str, response_id: str) -> Held | None:
        """
        Where an answer is kept that a client wants to go on from; None if nobody knows it.

        Raises:
            NoModelAvailable: the store, which would know, does not answer.
        """
        try:
            return await self._store.held(Key(caller, response_id))
        except StoreUnavailable as exc:
            raise NoModelAvailable("where that response is kept cannot be looked up now; try again shortly") from exc

    async def _serve(self, ask: Ask, history: bool, attempt: _Attempts, kind: type[_E]) -> _E:
        timing = Timing(perf_counter())
        beginning = self._begin(ask, history)
        if self._needs_no_session(ask):
            return await self._serve_meanwhile(ask, beginning, timing, attempt, kind)
        begun = await self._begun(ask, beginning, timing.started)
        admission = _admitted(begun.admission)
        standing, previous = standing_of(begun.session), _previous(ask, begun.history)
        decision = await self._choosing(ask, standing, previous)
        timing.decided = timing.asked = perf_counter()
        self._watch(ask, decision, standing, previous)
        opened, preferred = await self._open(ask, decision, begun, timing, attempt, admission)
        exchange = kind(ask, decision, opened.lease, opened.answer, timing, begun.session, preferred, self._observers)
        exchange.admission = admission
        return await self._pinned(exchange)

    def _needs_no_session(self, ask: Ask) -> bool:
        model = ask.model
        if model is None or ask.rate is not None or not self._fleet.is_alone(model):
            return False
        return self._chooser.ruled_alike(ask, model)

    async def _serve_meanwhile(
        self, ask: Ask, beginning: Coroutine[Any, Any, Begun], timing: Timing, attempt: _Attempts, kind: type[_E]
    ) -> _E:
        """The client named a model that has one server: there is nothing to choose, so nobody waits for the session."""
        try:
            decision = await self._chooser.choose(ask, None)
            timing.decided = timing.asked = perf_counter()
            opened, preferred = await self._open(ask, decision, _NOTHING, timing, attempt)
        except BaseException:
            await self._begun(ask, beginning)  # it is under way, within its deadline
            raise
        exchange = kind(ask, decision, opened.lease, opened.answer, timing, None, preferred, self._observers)
        try:
            exchange.before = (await self._begun(ask, beginning)).session
            exchange.decision = await self._chooser.choose(ask, standing_of(exchange.before))
        except BaseException:
            exchange.abandon()
            raise
        return await self._pinned(exchange)

    async def _open(
        self,
        ask: Ask,
        decision: Decision,
        begun: Begun,
        timing: Timing,
        attempt: _Attempts,
        admission: Admission | None = None,
    ) -> tuple[Opened[Any], str]:
        """The accepted answer, and the model that should have given it."""
        try:
            candidates = self._chooser.candidates(ask, decision)
            saying = attempt(begun, await self._most_tokens(ask, decision))
            if ask.patience is not None:
                ask.patience.decided(decision, candidates[0].id, admission)
            return await self._opener.open(ask, candidates, begun.session, saying), candidates[0].id
        except RouterError as exc:
            exc.decision, exc.routing_s, exc.admission = decision, timing.routing_s, admission
            raise

    async def _most_tokens(self, ask: Ask, decision: Decision) -> int | None:
        """
        The tokens to ask for in place of a client that leaves it open; None: nothing is to be filled in.

        Raises:
            PolicyRefused: *ask* breaks an operator's rule; the log says which, and nothing of what was asked.
        """
        rules = self._chooser.rules(ask, decision)
        if rules is None or ask.wants is None:
            return None
        try:
            return await applied(rules, ask.wants)
        except PolicyRefused as exc:
            log.warning(
                "refused by policy",
                request_id=ask.request_id,
                caller=ask.caller,
                use_case=decision.use_case,
                rule=exc.rule,
            )
            raise

    def _begin(self, ask: Ask, history: bool) -> Coroutine[Any, Any, Begun]:
        """Is under way when this returns."""
        if ask.keeps != "session":
            return self._glance(ask)
        return self._store.begin(_key(ask), history=history, rate=ask.rate)

    async def _begun(self, ask: Ask, beginning: Coroutine[Any, Any, Begun], started: float | None = None) -> Begun:
        """*started* where nothing else was done meanwhile: then it is a round trip that ends here."""
        trace = None if ask.keeps == "nothing" else ask.trace
        begun = await (beginning if trace is None else trace.session(beginning))
        if started is not None and self._store.kind == "redis" and not self._store.degraded:
            self._metrics.redis.observe(perf_counter() - started)
        return begun

    async def _glance(self, ask: Ask) -> Begun:
        admission = await self._admit(ask)
        return Begun(await self._store.get(_key(ask)) if ask.keeps == "peek" else None, admission=admission)

    async def _admit(self, ask: Ask) -> Admission | None:
        """
        Count *ask* where no turn begins.

        Raises:
            TooManyRequests: before the session is looked up.
        """
        return None if ask.rate is None else _admitted(await self._store.admit(ask.caller, ask.rate))

    async def _pinned(self, exchange: _E) -> _E:
        try:
            await self._pin(exchange)
        except BaseException:
            exchange.abandon()
            raise
        return exchange

    async def _pin(self, exchange: Exchange[Any]) -> None:
        """Commit where the session stands, unless it stands there already, or the server refused the request."""
        decision, model, before = exchange.decision, exchange.lease.model, exchange.before
        lane = Lane(decision.use_case, model.id, exchange.lease.endpoint, decision.confidence)
        sure = decision.reason in ("explicit", "modality")
        unchanged = before is not None and before.group == model.lane and before.lane == lane
        unchanged = unchanged and not (sure and self._store.degraded)  # it may stand otherwise where this is not known
        if unchanged or exchange.ask.keeps != "session" or exchange.status >= 400:
            return
        pin = Pin(model.lane, lane, before.turn if before else 0, sure=sure)
        exchange.after = await self._store.commit(_key(exchange.ask), pin)

    def _choosing(
        self, ask: Ask, standing: Standing | None, previous: str, *, explain: bool = False
    ) -> Awaitable[Decision]:
        choosing = self._chooser.choose(ask, standing, previous, explain=explain)
        return choosing if ask.trace is None else ask.trace.classifying(choosing)

    def _watch(self, ask: Ask, decision: Decision, standing: Standing | None, previous: str) -> None:
        """What is worth knowing of a decision, beside what becomes of it."""
        if decision.bypass and self._shadow is not None and decision.because.note != PINNED:
            self._shadow.bypassed(ask, standing, previous)
        if conflict := decision.because.conflict:
            log.info("text and attachment disagree", request_id=ask.request_id, went=decision.use_case, text=conflict)

    def _store_failed(self, exc: StoreUnavailable) -> None:
        log.warning("the session store does not answer: sessions are kept in this process", error=str(exc))


_NOTHING = Begun()


def _admitted(admission: Admission | None) -> Admission | None:
    """
    Raises:
        TooManyRequests: the caller has to wait.
    """
    if admission is None or admission.admitted:
        return admission
    raise TooManyRequests(
        f"too many requests: at most {admission.rate.per_minute} a minute are taken, {admission.rate.burst} of them at "
        f"once; try again in {admission.retry_after_s:.3g} s",
        "rate",
        retry_after_s=admission.retry_after_s,
        admission=admission,
    )


def _key(ask: Ask) -> Key:
    return Key(ask.caller, ask.session_id)


def _previous(ask: Ask, history: Sequence[Message]) -> str:
    """What the user said in the turn before, as far as that is known."""
    return ask.previous or memory.last_said(history)


def standing_of(session: Session | None) -> Standing | None:
    """What the switch needs to know of a session."""
    if session is None:
        return None
    lane = session.lane
    earlier = frozenset(other.use_case for other in session.lanes.values() if other is not lane)
    steer = session.steer
    return Standing(lane.use_case, lane.confidence, earlier, steer.pinned, steer.bypass)
