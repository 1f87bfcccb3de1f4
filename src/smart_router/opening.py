"""Opens an answer: one replica after the other is asked, until one accepts."""

from collections.abc import Awaitable, Sequence
from time import monotonic
from typing import Generic, Protocol, TypeVar

import structlog
from msgspec.structs import replace

from smart_router.decide import memory
from smart_router.errors import (
    BackendBusy,
    BackendRejected,
    BackendUnreachable,
    ContextOverflow,
    NoModelAvailable,
    RouterError,
    UpstreamError,
)
from smart_router.observe.metrics import Metrics
from smart_router.registry import Model
from smart_router.sessions.base import Begun
from smart_router.settings import Settings
from smart_router.types import Ask, Headers, Session, Trace
from smart_router.upstream.base import Answer, Call
from smart_router.upstream.fleet import NOBODY, AllBusy, Fleet, Lease, NoReplica

log = structlog.get_logger("opening")

_A = TypeVar("_A")
_A_co = TypeVar("_A_co", covariant=True)


class Attempt(Protocol[_A_co]):
    """
    Asks the server of one lease, with *headers* beside the request's own. `again` is False once that cannot be repeated
    elsewhere.

    Raises:
        UpstreamError: it did not accept.
    """

    @property
    def again(self) -> bool: ...

    def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> Awaitable[_A_co]: ...


class Opened(Generic[_A]):
    """A model server accepted the request."""

    __slots__ = ("answer", "lease")

    def __init__(self, lease: Lease, answer: _A) -> None:
        self.lease = lease
        self.answer = answer


class Opener:
    """Knows the fleet and the deadlines; counts failures, retries and waits."""

    def __init__(self, fleet: Fleet, settings: Settings, metrics: Metrics) -> None:
        self._fleet = fleet
        self._settings = settings
        self._metrics = metrics

    async def open(
        self, ask: Ask, candidates: Sequence[Model], session: Session | None, attempt: Attempt[_A]
    ) -> Opened[_A]:
        """
        Ask one replica after the other until one accepts, all within one deadline and the fleet's retry budget. Where
        all are at their limits, wait for a place, once.

        Raises:
            RouterError: the last failure, or that there was nobody to ask.
        """
        failure: RouterError | None = None
        until = monotonic() + self._settings.open_timeout
        search = PlaceSearch(self._fleet, ask, candidates, session)
        self._fleet.note_request()
        while lease := await self._next(search, until):
            found = await self._attempt(lease, attempt, until - monotonic(), ask.trace)
            if isinstance(found, Opened):
                return found
            failure = _worth_telling(failure, found)
            if not attempt.again or monotonic() >= until:
                break
        else:
            failure = _worth_telling(failure, search.busy) if search.busy is not None else failure
        raise failure or NoModelAvailable("no model server is reachable for this use case; try again shortly")

    async def _next(self, search: "PlaceSearch", until: float) -> Lease | None:
        """A place for one more attempt, if there is any, and the traffic bears it."""
        lease, again = search.next(), search.attempts > 0
        if again and (lease or search.full) and not self._fleet.may_retry():
            if lease is not None:
                lease.release()
            return None
        lease = lease or await self._waited_for(search, until)
        if lease is not None:
            search.attempt(lease)
            if again:
                self._metrics.retries.inc()
        return lease

    async def _waited_for(self, search: "PlaceSearch", until: float) -> Lease | None:
        """None where there is nothing to wait for."""
        if not search.full:
            return None
        started, model = monotonic(), next(iter(search.full))
        try:
            return await search.turn(min(self._settings.queue_timeout, max(0.0, until - started)))
        except NoReplica:
            return None
        finally:
            self._metrics.queue_wait.add((model,), monotonic() - started)

    async def _attempt(
        self, lease: Lease, attempt: Attempt[_A], within_s: float, trace: Trace | None
    ) -> Opened[_A] | UpstreamError:
        try:
            answer = await (attempt(lease, within_s) if trace is None else _traced(trace, lease, attempt, within_s))
        except UpstreamError as exc:
            lease.blame(exc)
            lease.release()
            if isinstance(exc, BackendRejected):
                raise
            self._metrics.failures.add((lease.model.id, exc.code))
            log.warning("attempt failed", model=lease.model.id, replica=lease.endpoint, error=exc.message)
            return exc
        except BaseException:
            lease.release()
            raise
        lease.answered()
        return Opened(lease, answer)


class PlaceSearch:
    """
    For places at one replica after the other, by model, then by affinity; each is taken when it is asked for.
    `attempts`: how many were made so far; `busy`: what there is to tell of models that had none; `full`: those that may
    be waited for, with the session's warm replica.
    """

    __slots__ = ("_ask", "_candidates", "_fleet", "_session", "_tried", "_waited", "attempts", "busy", "full")

    def __init__(self, fleet: Fleet, ask: Ask, candidates: Sequence[Model], session: Session | None) -> None:
        self._fleet = fleet
        self._ask = ask
        self._candidates = candidates
        self._session = session
        self._tried: dict[str, set[str]] = {}
        self._waited = False
        self.attempts = 0
        self.busy: BackendBusy | None = None
        self.full: dict[str, str | None] = {}

    def next(self) -> Lease | None:
        self.busy, self.full = None, {}
        for model in self._candidates:
            try:
                return self._lease(model)
            except AllBusy as exc:
                self._note_busy(model, exc)
            except NoReplica:
                continue
        return None

    async def turn(self, within_s: float) -> Lease:
        """As `Fleet.wait`. Any replica will do, also one that failed before."""
        self._waited = True
        return await self._fleet.wait(self.full, self._key, self._ask.caller, within_s)

    def attempt(self, lease: Lease) -> None:
        """One is made there."""
        self.attempts += 1
        self._tried.setdefault(lease.model.id, set()).add(lease.endpoint)

    @property
    def _key(self) -> str:
        return f"{self._ask.caller}/{self._ask.session_id}"

    def _lease(self, model: Model) -> Lease:
        tried, held_at = self._tried.get(model.id), self._ask.held_at
        if held_at is None:
            without = NOBODY if tried is None else frozenset(tried)
            return self._fleet.lease(model.id, _warm_replica(self._session, model), self._key, without)
        if tried is None:
            return self._fleet.lease_at(model.id, held_at)
        raise NoReplica

    def _note_busy(self, model: Model, trouble: AllBusy) -> None:
        message = "all servers of this model are busy; try again shortly"
        busy = BackendBusy(message, retry_after_s=trouble.retry_after_s)
        self.busy = busy if self.busy is None else _sooner(self.busy, busy)
        if trouble.full and model.max_queue and not self._waited:
            self.full[model.id] = _warm_replica(self._session, model)


class OwnWords:
    """
    A `/route` request, with as much of the conversation as the settings and the model's context allow: one that has
    outgrown the context is sent with its later half, then less.
    """

    again = True

    def __init__(self, ask: Ask, begun: Begun, settings: Settings) -> None:
        self._ask = ask
        self._begun = begun
        self._settings = settings

    async def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> Answer:
        call, until = self._call(lease.model, headers), monotonic() + within_s
        while True:
            try:
                return await lease.upstream.open(call, lease.endpoint, until - monotonic())
            except ContextOverflow:
                if not call.history:
                    raise
                call = replace(call, history=memory.halved(call.history))

    def _call(self, model: Model, headers: Headers) -> Call:
        settings, begun = self._settings, self._begun
        history = begun.history and memory.recalled(
            begun.history, settings.memory_turns, settings.memory_bytes, model.accepts
        )
        return Call(self._ask, model, history, stream=self._ask.stream, headers=headers)


def _traced(trace: Trace, lease: Lease, attempt: Attempt[_A], within_s: float) -> Awaitable[_A]:
    return trace.asking(lease.model.id, lease.endpoint, lambda headers: attempt(lease, within_s, headers))


def _worth_telling(before: RouterError | None, failure: RouterError) -> RouterError | None:
    """The last failure; of two that say "busy", the one that says for how short; that nobody is there says least."""
    if isinstance(failure, BackendUnreachable):
        return before
    if isinstance(before, BackendBusy) and isinstance(failure, BackendBusy):
        return _sooner(before, failure)
    return failure


def _sooner(one: BackendBusy, other: BackendBusy) -> BackendBusy:
    return min(one, other, key=lambda busy: busy.retry_after_s or 0.0)


def _warm_replica(session: Session | None, model: Model) -> str | None:
    lane = session.lanes.get(model.lane) if session else None
    return lane.replica if lane and lane.model == model.id else None
