"""Opens an answer: one replica after the other is asked, until one accepts."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from smart_router.decide import memory
from smart_router.errors import (
    BackendBusy,
    BackendRejected,
    BackendTimeout,
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
from smart_router.types import Ask, Session
from smart_router.upstream.base import Answer, Call
from smart_router.upstream.fleet import AllBusy, Fleet, Lease, NoReplica

log = structlog.get_logger("opening")


@dataclass(frozen=True, slots=True)
class Opened:
    """A model server accepted the request."""

    lease: Lease
    answer: Answer


class Opener:
    """Knows the fleet and the deadline; counts failures and retries."""

    def __init__(self, fleet: Fleet, settings: Settings, metrics: Metrics) -> None:
        self._fleet = fleet
        self._settings = settings
        self._metrics = metrics

    async def open(self, ask: Ask, candidates: Sequence[Model], begun: Begun) -> Opened:
        """
        Ask one replica after the other until one accepts, all within one deadline.

        Raises:
            RouterError: the last failure, or that there was nobody to ask.
        """
        failure: RouterError = NoModelAvailable("no model server is reachable for this use case; try again shortly")
        try:
            async with asyncio.timeout(self._settings.open_timeout):
                for lease in self._leases(ask, candidates, begun.session):
                    found = lease if isinstance(lease, BackendBusy) else await self._attempt(lease, ask, begun)
                    if isinstance(found, Opened):
                        return found
                    failure = failure if isinstance(found, BackendUnreachable) else found
        except TimeoutError:
            raise BackendTimeout("no model server answered in time") from None
        raise failure

    async def _attempt(self, lease: Lease, ask: Ask, begun: Begun) -> Opened | UpstreamError:
        try:
            answer = await self._ask(lease, self._call(ask, lease.model, begun))
        except UpstreamError as exc:
            lease.blame(exc)
            lease.release()
            if isinstance(exc, BackendRejected):
                raise
            self._metrics.failures.labels(lease.model.id, exc.code).inc()
            log.warning("attempt failed", model=lease.model.id, replica=lease.endpoint, error=exc.message)
            return exc
        except BaseException:
            lease.release()
            raise
        lease.answered()
        return Opened(lease, answer)

    async def _ask(self, lease: Lease, call: Call) -> Answer:
        """A conversation that has outgrown the model's context is sent with its later half, then less."""
        while True:
            try:
                return await lease.upstream.open(call, lease.endpoint)
            except ContextOverflow:
                if not call.history:
                    raise
                call = replace(call, history=memory.halved(call.history))

    def _leases(self, ask: Ask, candidates: Sequence[Model], session: Session | None) -> Iterator[Lease | BackendBusy]:
        """Places at one replica after the other, by model, then by affinity; each is taken when it is asked for."""
        first = True
        for model in candidates:
            warm = _warm_replica(session, model)
            tried: set[str] = set()
            while True:
                try:
                    lease = self._fleet.lease(model.id, warm, f"{ask.caller}/{ask.session_id}", frozenset(tried))
                except AllBusy:
                    yield BackendBusy("all servers of this model are busy; try again shortly")
                    break
                except NoReplica:
                    break
                tried.add(lease.endpoint)
                if not first:
                    self._metrics.retries.inc()
                first = False
                yield lease

    def _call(self, ask: Ask, model: Model, begun: Begun) -> Call:
        settings = self._settings
        history = memory.recalled(begun.history, settings.memory_turns, settings.memory_bytes, model.accepts)
        return Call(ask, model, history, stream=ask.stream)


def _warm_replica(session: Session | None, model: Model) -> str | None:
    lane = session.lanes.get(model.lane) if session else None
    return lane.replica if lane and lane.model == model.id else None
