"""
All replicas of all models: their health, their load, and who is asked next.

A lease is a place in a replica's in-flight count. Choosing and leasing happen without an `await` in between, so that
nobody can take the place that was chosen.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import structlog

from smart_router.decide.health import Health, failed, succeeded
from smart_router.decide.replica import NoReplica, Replica, pick
from smart_router.errors import ConfigurationError, UpstreamError
from smart_router.registry import Model, Registry
from smart_router.settings import Settings
from smart_router.upstream import KINDS
from smart_router.upstream.base import Upstream

log = structlog.get_logger("fleet")

Status = Literal["healthy", "unhealthy", "unknown"]


@dataclass(slots=True)
class _Server:
    """One replica of one model."""

    model: Model
    endpoint: str
    upstream: Upstream
    health: Health = field(default_factory=Health)
    in_flight: int = 0

    def view(self, now: float) -> Replica:
        return Replica(self.endpoint, self.in_flight, self.model.max_in_flight, self.health.usable(now))


class AllBusy(NoReplica):
    """There are healthy replicas, but all are at their limit."""


class Lease:
    """A place at a replica. Release it exactly once, whatever happened; a second time does nothing."""

    def __init__(self, server: _Server, fleet: "Fleet") -> None:
        self._server = server
        self._fleet = fleet
        self._held = True
        server.in_flight += 1

    @property
    def model(self) -> Model:
        return self._server.model

    @property
    def endpoint(self) -> str:
        return self._server.endpoint

    @property
    def upstream(self) -> Upstream:
        return self._server.upstream

    def answered(self) -> None:
        """The replica did its work."""
        self._server.health = succeeded(self._server.health)

    def blame(self, error: UpstreamError) -> None:
        """Only what says that nobody can be served there counts against the replica."""
        if error.replica_at_fault:
            self._server.health = failed(self._server.health, self._fleet.now(), error.message)

    def release(self) -> None:
        if self._held:
            self._held = False
            self._server.in_flight -= 1


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """How a replica stands, for people: `status` is healthy, unhealthy or unknown."""

    model: str
    group: str
    endpoint: str
    status: Status
    response_time_s: float | None
    in_flight: int
    trouble: str


class Fleet:
    """Knows every replica of the registry. Use `start()` and `close()`."""

    def __init__(self, registry: Registry, settings: Settings, *, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._settings = settings
        self._upstreams = _upstreams(registry, settings)
        self._servers: Mapping[str, tuple[_Server, ...]] = {
            model.id: tuple(_Server(model, e.rstrip("/"), self._upstreams[model.backend]) for e in model.endpoints)
            for model in registry.models.values()
        }
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.start()
        self._watch = asyncio.create_task(self._watch_health(), name="health")

    async def close(self) -> None:
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await asyncio.gather(*(upstream.close() for upstream in self._upstreams.values()), return_exceptions=True)

    def lease(self, model: str, warm: str | None, key: str, without: frozenset[str] = frozenset()) -> Lease:
        """
        Take a place at a replica of *model*, none of *without*.

        Raises:
            NoReplica: none is usable.
            AllBusy: some are, but each has all the requests that it may have.
        """
        now = self.now()
        able = {s.endpoint: s for s in self._servers[model] if s.endpoint not in without}
        pool = [server.view(now) for server in able.values()]
        try:
            chosen = pick(pool, warm, key, self._settings.replica_slack)
        except NoReplica:
            if any(replica.healthy for replica in pool):
                raise AllBusy from None
            raise
        return Lease(able[chosen.id], self)

    def can_answer(self, model: str) -> bool:
        """A replica of *model* has answered, and not failed since."""
        return any(server.health.healthy for server in self._servers[model])

    def report(self) -> tuple[ReplicaReport, ...]:
        return tuple(_report(server) for servers in self._servers.values() for server in servers)

    async def check_all(self) -> None:
        """Ask every replica for its health, all at once."""
        await asyncio.gather(*(self._check(server) for servers in self._servers.values() for server in servers))

    async def _watch_health(self) -> None:
        while True:
            await self.check_all()
            await asyncio.sleep(self._settings.health_interval)

    async def _check(self, server: _Server) -> None:
        started = self.now()
        try:
            await server.upstream.check(server.endpoint)
        except UpstreamError as exc:
            server.health = failed(server.health, self.now(), exc.message)
        except Exception as exc:  # the watch must go on for the others
            server.health = failed(server.health, self.now(), "the health check failed")
            log.error("health check failed", replica=server.endpoint, exc_info=exc)
        else:
            server.health = succeeded(server.health, self.now() - started)


def _upstreams(registry: Registry, settings: Settings) -> dict[str, Upstream]:
    wanted = {model.backend for model in registry.models.values()}
    if missing := wanted - set(KINDS):
        raise ConfigurationError(
            f"{registry.source}: models[].backend: this version has no {', '.join(sorted(missing))}; "
            f"it has {', '.join(KINDS)}"
        )
    return {kind: KINDS[kind](settings) for kind in wanted}


def _report(server: _Server) -> ReplicaReport:
    healthy = server.health.healthy
    return ReplicaReport(
        model=server.model.id,
        group=server.model.lane,
        endpoint=server.endpoint,
        status="unknown" if healthy is None else "healthy" if healthy else "unhealthy",
        response_time_s=server.health.response_time_s,
        in_flight=server.in_flight,
        trouble=server.health.trouble,
    )


__all__ = ["AllBusy", "Fleet", "Lease", "NoReplica", "ReplicaReport"]
