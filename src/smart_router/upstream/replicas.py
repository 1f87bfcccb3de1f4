"""
The replicas of one model, and what became of the requests to them: who is healthy, rests, is ejected, comes and goes.

What follows from an event is decided in `decide/`; here it is remembered.
"""

from collections.abc import Iterator
from math import inf
from typing import Any, Protocol

import structlog

from smart_router.decide.health import Health, failed, succeeded
from smart_router.decide.load import Load, elsewhere
from smart_router.decide.outlier import Record, excess, may_eject
from smart_router.decide.replica import seed
from smart_router.errors import BackendAsleep, BackendBusy, BackendRejected, UpstreamError
from smart_router.registry import Model
from smart_router.upstream.addresses import Name, name_of
from smart_router.upstream.base import Upstream
from smart_router.upstream.queue import Queue

log = structlog.get_logger("fleet")


class Opening(Protocol):
    """A request that waits for its answer to begin, *since* so many seconds of the fleet's clock."""

    since: float

    def take_back(self) -> None:
        """It will not be answered here."""


class Server:
    """One replica of one model. `decide.replica.Replica` says what its numbers mean; change them through `Replicas`."""

    __slots__ = (
        "elsewhere",
        "endpoint",
        "fit_at",
        "health",
        "in_flight",
        "limit",
        "load",
        "load_until",
        "opening",
        "record",
        "replicas",
        "resting_until",
        "seed",
        "shut",
        "upstream",
        "usable_at",
    )

    def __init__(self, replicas: "Replicas", endpoint: str, upstream: Upstream) -> None:
        self.replicas = replicas
        self.endpoint = endpoint
        self.upstream = upstream
        self.seed = seed(endpoint)
        self.limit = replicas.model.max_in_flight
        self.in_flight = 0
        self.load = Load()
        self.elsewhere = 0
        self.load_until = self.fit_at = self.resting_until = self.usable_at = 0.0
        self.health = Health()
        self.record = Record()
        self.opening: set[Opening] = set()  # who waits here for an answer to begin
        self.shut = replicas.model.managed  # it sleeps, is about to, or nobody knows yet: no requests
        self.settle()

    @property
    def model(self) -> Model:
        return self.replicas.model

    @property
    def sound(self) -> bool:
        """Healthy or unknown: what ejection counts in and `tried` does without."""
        return self.health.healthy is not False

    def settle(self) -> None:
        """To be called when health, record, rest or `shut` have changed."""
        self.fit_at = inf if self.shut else max(self.health.retry_at, self.record.ejected_until)
        self.usable_at = max(self.fit_at, self.resting_until)


class Replicas:
    """All servers of *model*, in the registry's order. Whoever leaves keeps its count while requests are in flight."""

    __slots__ = ("_addresses", "_leaving", "model", "queue", "servers", "upstream")

    def __init__(self, model: Model, upstream: Upstream) -> None:
        self.model = model
        self.queue: Queue[Any] = Queue(model.id, model.max_queue)
        self.upstream = upstream
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._leaving: tuple[Server, ...] = ()
        self.servers: tuple[Server, ...] = ()
        self._place(model)
        self._arrange()

    def become(self, model: Model, now: float) -> list[Server]:
        """The same model as the registry now has it, of the same backend; returns who is new."""
        before = self.servers
        self.model = model
        self.queue.bound(model.max_queue)
        self._place(model)
        self._arrange()
        for server in self.servers:
            server.limit = model.max_in_flight
        self._readmit(now)
        self.queue.serve()  # there may be more room
        return [server for server in self.servers if server not in before]

    def names(self) -> Iterator[tuple[str, Name]]:
        """Endpoints that stand for addresses."""
        for endpoint in self._addresses:
            if name := name_of(endpoint):
                yield endpoint, name

    def resolved(self, endpoint: str, addresses: tuple[str, ...], now: float) -> list[Server]:
        """What *endpoint* stands for now; returns who is new."""
        if self._addresses[endpoint] == addresses:
            return []
        before = self.servers
        self._addresses[endpoint] = addresses
        self._arrange()
        self._readmit(now)
        new = [server for server in self.servers if server not in before]
        gone = [server.endpoint for server in before if server not in self.servers]
        log.info("replicas", model=self.model.id, new=[server.endpoint for server in new], gone=gone)
        return new

    @property
    def in_flight(self) -> int:
        return sum(server.in_flight for server in (*self.servers, *self._leaving))

    def find(self, endpoint: str) -> Server | None:
        return next((server for server in self.servers if server.endpoint == endpoint), None)

    def shut(self, server: Server) -> None:
        """No more requests; those that are there go on. Whoever waits for a place is told that there is none."""
        if not server.shut:
            server.shut = True
            server.settle()
            self.queue.serve()

    def admit(self, server: Server) -> None:
        """It is known to be awake."""
        if server.shut:
            server.shut = False
            server.health, server.record = succeeded(Health()), Record()
            server.settle()
            self.queue.serve()

    def slept(self, server: Server) -> None:
        """It was found asleep: what waits there for its answer to begin would wait for ever."""
        self.shut(server)
        for opening in tuple(server.opening):
            opening.take_back()

    def answered(self, server: Server, now: float) -> None:
        """A request was served."""
        server.record.succeeded(now)
        if not server.health.healthy or server.health.failures:
            server.health = succeeded(server.health)
            server.settle()

    def blamed(self, server: Server, error: UpstreamError, now: float) -> None:
        """
        1. Who refuses a request has done its work; who sleeps is not at fault.
        2. Who is busy rests for as long as it asks for, and is not at fault.
        3. All else is a failed request: too many of them eject. Some say that nobody can be served there.
        """
        if isinstance(error, BackendRejected | BackendAsleep):  # 1
            return
        if isinstance(error, BackendBusy):  # 2
            server.resting_until = max(server.resting_until, now + (error.retry_after_s or 0.0))
        else:  # 3
            if error.replica_at_fault:
                server.health = failed(server.health, now, error.message)
            server.record.failed(now)
            self._eject(server, now)
            self._readmit(now)
        server.settle()

    def check_passed(self, server: Server, response_time_s: float, remark: str = "") -> None:
        server.health = succeeded(server.health, response_time_s, remark)
        server.settle()

    def check_failed(self, server: Server, trouble: str, now: float) -> None:
        """Who is down has a fresh start when it is back."""
        server.health = failed(server.health, now, trouble)
        if not server.sound:
            server.record = Record()
            self._readmit(now)
        server.settle()

    def load_read(self, server: Server, load: Load, ours: int, until: float) -> None:
        """*ours*: our requests there when it was read."""
        server.load, server.elsewhere, server.load_until = load, elsewhere(load, ours), until

    def _place(self, model: Model) -> None:
        """What a name stands for, as far as that is known already, stays."""
        before, self._addresses = self._addresses, {}
        for endpoint in (found.rstrip("/") for found in model.endpoints):
            self._addresses[endpoint] = before.get(endpoint, ()) if name_of(endpoint) else (endpoint,)

    def _arrange(self) -> None:
        known = {server.endpoint: server for server in (*self._leaving, *self.servers)}
        wanted = dict.fromkeys(endpoint for found in self._addresses.values() for endpoint in found)
        self.servers = tuple(known.get(e) or Server(self, e, self.upstream) for e in wanted)
        self._leaving = tuple(s for s in known.values() if s.endpoint not in wanted and s.in_flight)

    def _eject(self, server: Server, now: float) -> None:
        if not server.sound or not server.record.is_outlier(now):
            return
        if may_eject(len(self._ejected(now)), sum(s.sound for s in self.servers)):
            server.record.eject(now)
            log.warning(
                "ejected: its requests fail",
                model=self.model.id,
                replica=server.endpoint,
                for_s=server.record.ejected_until - now,
            )

    def _readmit(self, now: float) -> None:
        """Fewer healthy replicas bear fewer ejections: who would be next to return does so now."""
        ejected = self._ejected(now)
        for server in ejected[: excess(len(ejected), sum(s.sound for s in self.servers))]:
            server.record.readmit()
            server.settle()

    def _ejected(self, now: float) -> list[Server]:
        """Those that are only ejected, the next to return first."""
        found = [s for s in self.servers if s.sound and s.record.ejected_until > now]
        return sorted(found, key=lambda server: server.record.ejected_until)
