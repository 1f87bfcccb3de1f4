"""
All replicas of all models: who is asked next, and how often may be tried again.

A lease is a place in a replica's in-flight count. Choosing and leasing happen without an `await` in between, so that
nobody can take the place that was chosen.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

from smart_router.decide.budget import RetryBudget
from smart_router.decide.health import tried
from smart_router.decide.replica import AllBusy, NoReplica, pick, wait_s
from smart_router.errors import UpstreamError
from smart_router.registry import Registry
from smart_router.settings import Settings
from smart_router.upstream import kind as kind_called
from smart_router.upstream.addresses import Resolve, resolve
from smart_router.upstream.base import Upstream
from smart_router.upstream.lease import Lease
from smart_router.upstream.queue import Queue, wait
from smart_router.upstream.replicas import Replicas, Server
from smart_router.upstream.reports import ReplicaReport, report_of
from smart_router.upstream.watch import Watch

NOBODY: frozenset[str] = frozenset()


class Fleet:
    """Knows every replica of the registry. Use `start()` and `close()`."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        *,
        now: Callable[[], float] = time.monotonic,
        resolve: Resolve = resolve,
    ) -> None:
        self.now = now
        self._settings = settings
        self._slack = settings.replica_slack
        self.may_wake: Callable[[str], bool] = lambda _: False  # is this model, which comes and goes, to be had?
        self.on_asleep: Callable[[str, str], None] = lambda *_: None  # hears of such a model's replica found asleep
        self._budget = RetryBudget(settings.retry_budget)
        self._upstreams = {kind: kind_called(kind)(settings, self.may_retry) for kind in _kinds(registry)}
        self._models: Mapping[str, Replicas] = {
            model.id: Replicas(model, self._upstreams[model.backend]) for model in registry.models.values()
        }
        self._left: tuple[Replicas, ...] = ()  # of models that are gone, while requests are in flight
        self._watch = Watch(tuple(self._models.values()), settings, now, resolve, self.note_asleep)

    async def start(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.start()
        await self._watch.start()

    async def close(self) -> None:
        await self._watch.close()
        await asyncio.gather(*(upstream.close() for upstream in self._upstreams.values()), return_exceptions=True)

    async def change(self, registry: Registry) -> None:
        """
        Serve also the models of *registry*, as they are there. What it leaves as it was keeps its state; requests at
        replicas that are gone finish there. Returns when it is known whether new ones answer.
        """
        for kind in _kinds(registry) - self._upstreams.keys():
            self._upstreams[kind] = kind_called(kind)(self._settings, self.may_retry)
            await self._upstreams[kind].start()
        before, now = self._models, self.now()
        models: dict[str, Replicas] = {}
        new: list[tuple[Replicas, Server]] = []
        for model in registry.models.values():
            known = before.get(model.id)
            if known is not None and known.model.backend == model.backend:
                left_alone = known.model.managed and not model.managed  # nobody else will say that it is awake
                replicas, came = known, known.become(model, now)
                came = list(known.servers) if left_alone else came
            else:
                replicas = Replicas(model, self._upstreams[model.backend])
                came = list(replicas.servers)
            models[model.id] = replicas
            new += [(replicas, server) for server in came]
        self._become({**before, **models})
        await self._watch.change(tuple(self._models.values()), new)

    async def keep(self, models: Collection[str]) -> None:
        """All others get no more requests."""
        self._become({id: replicas for id, replicas in self._models.items() if id in models})
        await self._watch.change(tuple(self._models.values()), ())

    def _become(self, models: Mapping[str, Replicas]) -> None:
        known, self._models = {*self._left, *self._models.values()}, models
        self._left = tuple(replicas for replicas in known - set(models.values()) if replicas.in_flight)

    def lease(self, model: str, warm: str | None, key: str, without: frozenset[str] = NOBODY) -> Lease:
        """
        Take a place at a replica of *model*, none of *without*.

        Raises:
            AllBusy: some are fit, but each of them is at its limit or rests; says for how long.
            NoReplica: none is usable.
        """
        queue = self._replicas(model).queue
        if queue:
            queue.serve()  # whoever still waits then does so because there is no place
        return self._take(model, warm, key, without)

    async def wait(self, models: Mapping[str, str | None], key: str, caller: str, within_s: float) -> Lease:
        """
        Take a place at the first of *models* (id -> warm replica) that has one when it is *caller*'s turn there.

        Raises:
            Overloaded, AllBusy, NoReplica: see `queue.wait`.
        """
        queues: list[tuple[Queue[Lease], Callable[[], Lease]]] = [
            (self._replicas(model).queue, partial(self._take, model, warm, key, NOBODY))
            for model, warm in models.items()
        ]
        return await wait(queues, caller, within_s)

    def waiting(self, model: str) -> int:
        """Requests that wait for a place."""
        return len(self._models[model].queue) if model in self._models else 0

    def _take(self, model: str, warm: str | None, key: str, without: frozenset[str]) -> Lease:
        servers, now = self._replicas(model).servers, self.now()
        server = pick(servers, warm, key, self._slack, now, without)
        if not server.sound and len(servers) > 1:
            server.health = tried(server.health, now)
            server.settle()
        return Lease(server, self)

    def lease_at(self, model: str, endpoint: str) -> Lease:
        """
        Take a place at the one replica that can answer, such as that which stored a response. Being ejected does not
        matter, as there is nobody else.

        Raises:
            AllBusy: it is at its limit or rests; says for how long.
            NoReplica: there is no such replica (any more), it is unhealthy, or sleeps.
        """
        server, now = self._replicas(model).find(endpoint.rstrip("/")), self.now()
        if server is None or server.shut or not server.health.usable(now):
            raise NoReplica
        if server.in_flight >= server.limit or server.resting_until > now:
            raise AllBusy(wait_s(server, now))
        return Lease(server, self)

    def is_shut(self, model: str) -> bool:
        """All of its replicas sleep, or are about to: it has to be woken."""
        return model in self._models and bool(found := self._models[model].servers) and all(s.shut for s in found)

    def endpoints(self, model: str) -> tuple[str, ...]:
        """Of its replicas, as they are known now."""
        return tuple(server.endpoint for server in self._models[model].servers) if model in self._models else ()

    def models_at(self, endpoint: str) -> set[str]:
        """Whose requests that server answers."""
        return {id for id, replicas in self._models.items() if replicas.find(endpoint) is not None}

    def in_flight(self, model: str) -> int:
        """Requests that this router has at its replicas, or had before they were gone, or the whole model was."""
        here = self._models[model].in_flight if model in self._models else 0
        return here + sum(replicas.in_flight for replicas in self._left if replicas.model.id == model)

    def upstream(self, model: str) -> Upstream:
        """
        Raises:
            NoReplica: the registry knows the model no more.
        """
        return self._replicas(model).upstream

    def shut(self, model: str, endpoint: str) -> None:
        """No more requests for that replica; those that are there go on."""
        for replicas, server in self._found(model, endpoint):
            replicas.shut(server)

    def admit(self, model: str, endpoint: str) -> None:
        """That replica is awake, and begins anew."""
        for replicas, server in self._found(model, endpoint):
            replicas.admit(server)

    def found_asleep(self, model: str, endpoint: str) -> None:
        """What waits there for its answer to begin would wait for ever: it is taken back, to be asked again."""
        for replicas, server in self._found(model, endpoint):
            replicas.slept(server)

    def note_asleep(self, replicas: Replicas, server: Server) -> None:
        """As the watch has seen it."""
        if replicas.model.managed:
            self.on_asleep(replicas.model.id, server.endpoint)

    def _found(self, model: str, endpoint: str) -> Iterator[tuple[Replicas, Server]]:
        replicas = self._models.get(model)
        server = replicas.find(endpoint) if replicas is not None else None
        if replicas is not None and server is not None:
            yield replicas, server

    def is_alone(self, model: str) -> bool:
        """*model* has one replica: there is no choice."""
        return model in self._models and len(self._models[model].servers) == 1

    def note_request(self) -> None:
        """A request begins: it earns its share of a retry."""
        self._budget.first(self.now())

    def may_retry(self) -> bool:
        """Does the traffic of late bear one more attempt? If so, it is counted."""
        return self._budget.retry(self.now())

    def answered(self, server: Server) -> None:
        server.replicas.answered(server, self.now())

    def blamed(self, server: Server, error: UpstreamError) -> None:
        server.replicas.blamed(server, error, self.now())

    def can_answer(self, model: str) -> bool:
        """A replica of *model* has answered, and not failed since; or it sleeps, and can be woken."""
        if model not in self._models:
            return False
        replicas = self._models[model]
        awake = any(server.health.healthy and not server.shut for server in replicas.servers)
        return awake or (replicas.model.managed and self.may_wake(model))

    def _replicas(self, model: str) -> Replicas:
        """
        Raises:
            NoReplica: the registry knows the model no more.
        """
        found = self._models.get(model)
        if found is None:
            raise NoReplica
        return found

    def report(self) -> tuple[ReplicaReport, ...]:
        now = self.now()
        return tuple(report_of(server, now) for replicas in self._models.values() for server in replicas.servers)

    async def check_all(self) -> None:
        """Ask every replica for its health."""
        await self._watch.check_all()

    async def look_for_sleepers(self) -> None:
        """Ask replicas that keep requests waiting whether they sleep."""
        await self._watch.look_for_sleepers()

    async def read_loads(self) -> None:
        """Ask replicas between which there is a choice for their load."""
        await self._watch.read_loads()


def _kinds(registry: Registry) -> set[str]:
    return {model.backend for model in registry.models.values()}


__all__ = ["AllBusy", "Fleet", "Lease", "NoReplica", "ReplicaReport"]
