"""Opens an answer: one replica after the other is asked, until one accepts. A model that sleeps is woken first."""

import asyncio
from collections.abc import Awaitable, Sequence
from time import monotonic
from typing import Generic, Protocol, TypeVar

import structlog
from msgspec.structs import replace

from smart_router.decide import memory
from smart_router.errors import (
    BackendAsleep,
    BackendBusy,
    BackendRejected,
    BackendUnreachable,
    ContextOverflow,
    NoModelAvailable,
    RouterError,
    UpstreamError,
)
from smart_router.observe.metrics import Metrics
from smart_router.place_search import PlaceSearch, sooner
from smart_router.registry import Model
from smart_router.sessions.base import Begun
from smart_router.settings import Settings
from smart_router.types import Ask, Headers, Session, Trace
from smart_router.upstream.base import Answer, Call
from smart_router.upstream.fleet import Fleet, Lease, NoReplica

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


class Waker(Protocol):
    """Of models that come and go: `lifecycle/manager.py`."""

    async def awake(self, model: str, within_s: float) -> None:
        """
        Return when *model* is awake.

        Raises:
            ModelNotReady, Overloaded: it is not, in time.
        """

    def used(self, model: str, session: str) -> None:
        """It answers *session* now. With PREDICTIVE_WAKE it is told of models that are always awake, too."""


class Opened(Generic[_A]):
    """A model server accepted the request."""

    __slots__ = ("answer", "lease")

    def __init__(self, lease: Lease, answer: _A) -> None:
        self.lease = lease
        self.answer = answer


class Opener:
    """Knows the fleet and the deadlines; counts failures, retries and waits. Without a *waker* nothing is woken."""

    def __init__(self, fleet: Fleet, settings: Settings, metrics: Metrics, waker: Waker | None = None) -> None:
        self._fleet = fleet
        self._settings = settings
        self._metrics = metrics
        self._waker = waker

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
        search = PlaceSearch(self._fleet, ask, candidates, session, wakes=self._waker is not None)
        self._fleet.note_request()
        while lease := await self._next(search, until):
            found = await self._attempt(lease, attempt, until - monotonic(), ask.trace)
            if isinstance(found, Opened):
                self._note_use(lease.model, ask)
                return found
            if isinstance(found, BackendAsleep):
                search.unasked(lease)
            failure = _worth_telling(failure, found)
            if not attempt.again or monotonic() >= until:
                break
        else:
            for trouble in (search.busy, search.not_ready):
                failure = _worth_telling(failure, trouble) if trouble is not None else failure
        raise failure or NoModelAvailable("no model server is reachable for this use case; try again shortly")

    async def _next(self, search: PlaceSearch, until: float) -> Lease | None:
        """A place for one more attempt, if there is any, and the traffic bears it; else nobody is woken, either."""
        lease, again = search.next(), search.attempts > 0
        if again and (lease or search.full or search.cold) and not self._fleet.may_retry():
            if lease is not None:
                lease.release()
            return None
        lease = await self._awake(search, lease, until)
        while lease is None and search.full:
            lease = await self._waited_for(search, until) or await self._awake(search, search.next(), until)
        if lease is not None:
            search.attempt(lease)
            if again:
                self._metrics.retries.inc()
        return lease

    async def _awake(self, search: PlaceSearch, lease: Lease | None, until: float) -> Lease | None:
        """The *lease* that was found, or what is once what was found asleep is awake."""
        while search.cold is not None and self._waker is not None:
            started, model = monotonic(), search.cold.id
            within_s = min(self._settings.model_switch_timeout, max(0.0, until - started))
            try:
                await search.woken(self._waker.awake(model, within_s))
            finally:
                self._metrics.model_wait.add((model,), monotonic() - started)
            lease = search.next()
        return lease

    async def _waited_for(self, search: PlaceSearch, until: float) -> Lease | None:
        """None where there is nothing to wait for, any more."""
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
        lease.ask()
        try:
            answer = await (attempt(lease, within_s) if trace is None else _traced(trace, lease, attempt, within_s))
        except UpstreamError as exc:
            return self._failed(lease, exc)
        except asyncio.CancelledError:
            if not _taken_back(lease):
                lease.release()
                raise
            return self._failed(lease, BackendAsleep("the model server sleeps"))
        except BaseException:
            lease.release()
            raise
        finally:
            lease.asked()
        lease.answered()
        return Opened(lease, answer)

    def _failed(self, lease: Lease, trouble: UpstreamError) -> UpstreamError:
        lease.blame(trouble)
        lease.release()
        if isinstance(trouble, BackendRejected):
            raise trouble
        self._metrics.failures.add((lease.model.id, trouble.code))
        log.warning("attempt failed", model=lease.model.id, replica=lease.endpoint, error=trouble.message)
        return trouble

    def _note_use(self, model: Model, ask: Ask) -> None:
        if self._waker is not None and (model.managed or self._settings.predictive_wake):
            self._waker.used(model.id, f"{ask.caller}/{ask.session_id}")


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


def _taken_back(lease: Lease) -> bool:
    """It was its replica, and nobody else, that cancelled this task."""
    task = asyncio.current_task()
    return lease.taken_back and task is not None and not task.uncancel()


def _worth_telling(before: RouterError | None, failure: RouterError) -> RouterError | None:
    """The last failure; of two that say "busy", the one that says for how short; that nobody is there says least."""
    if isinstance(failure, BackendUnreachable):
        return before
    if isinstance(before, BackendBusy) and isinstance(failure, BackendBusy):
        return sooner(before, failure)
    return failure
