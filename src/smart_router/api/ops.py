"""For operators: health, readiness, statistics, metrics, and what can be routed to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from smart_router.api.auth import Door
from smart_router.api.health import ClassifierHealth, Health, endpoints_health, overall, seen_all
from smart_router.classify.classifier import Classifier
from smart_router.decide.swap import STATES
from smart_router.errors import StoreUnavailable
from smart_router.lifecycle.base import ModelReport
from smart_router.lifecycle.standing import GroupReport, Standing
from smart_router.observe.metrics import Metrics
from smart_router.observe.shared_stats import SharedStats
from smart_router.process import Drain
from smart_router.registry import Registry
from smart_router.sessions.base import SessionStore
from smart_router.upstream.fleet import Fleet, ReplicaReport


class Ops:
    """Knows every part that has a state worth showing."""

    def __init__(
        self,
        registry: Registry,
        fleet: Fleet,
        store: SessionStore,
        classifier: Classifier,
        stats: SharedStats,
        metrics: Metrics,
        drain: Drain,
        standing: Standing,
    ) -> None:
        self._registry = registry
        self._fleet = fleet
        self._store = store
        self._classifier = classifier
        self._stats = stats
        self._metrics = metrics
        self._drain = drain
        self._standing = standing

    async def health(self) -> Health:
        endpoints = endpoints_health(self._registry, self._replicas(), self._standing.models(), self._fleet.can_answer)
        sessions = await self._sessions()
        classifier = ClassifierHealth(kind=self._classifier.kind, trouble=self._classifier.trouble)
        return Health(
            status=overall(endpoints.values(), sessions, classifier),
            timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
            bypass_router=sessions,
            classifier=classifier,
            model_endpoints=endpoints,
        )

    def unready(self) -> str:
        """Why no requests should be sent here; empty if they should."""
        if self._drain.begun:
            return "about to stop"
        able = any(self._fleet.can_answer(model) for model in self._registry.models)
        return "" if able else "no model can answer yet"

    async def stats(self) -> dict[str, Any]:
        """With how the models stand, as this router sees it."""
        models = self._standing.models()
        standing = {
            "model_states": {report.id: _state(report, self._standing.waiting(report.id)) for report in models},
            "model_groups": {group.id: _group(group) for group in self._standing.groups(models)},
        }
        return await self._stats.report() | standing

    async def forget_stats(self) -> None:
        """
        Raises:
            StoreUnavailable: the shared numbers could not be reset; nothing was forgotten.
        """
        await self._stats.reset()

    def metrics(self, accept: str) -> tuple[bytes, str]:
        self._forget_who_may_be_gone()
        models = self._standing.models()
        self._count_replicas(models)
        self._count_models(models)
        self._metrics.redis_degraded.set(self._store.degraded)
        self._metrics.classifier_degraded.set(self._classifier.kind == "lexical")
        return self._metrics.exposition(accept)

    def _count_replicas(self, models: Sequence[ModelReport]) -> None:
        for seen in seen_all(self._replicas(), models, self._fleet.can_answer):
            replica, labels = seen.replica, (seen.replica.model, seen.replica.endpoint)
            self._metrics.in_flight.labels(*labels).set(replica.in_flight)
            self._metrics.replica_healthy.labels(*labels).set(seen.up)
            self._metrics.replica_ejected.labels(*labels).set(replica.ejected)

    def _count_models(self, models: Sequence[ModelReport]) -> None:
        metrics = self._metrics
        for report in models:
            for state in STATES:
                metrics.model_state.labels(report.id, state).set(report.state == state)
            metrics.queue_depth.labels(report.id).set(self._standing.waiting(report.id))
        for group in self._standing.groups(models):
            metrics.group_residents.labels(group.id).set(len(group.residents))
            metrics.group_max_resident.labels(group.id).set(group.max_resident)

    def _replicas(self) -> list[ReplicaReport]:
        """Also models that the registry knew until lately may still have requests."""
        return [replica for replica in self._fleet.report() if replica.model in self._registry.models]

    def _forget_who_may_be_gone(self) -> None:
        metrics = self._metrics
        of_replicas = metrics.in_flight, metrics.replica_healthy, metrics.replica_ejected
        of_models = metrics.model_state, metrics.queue_depth, metrics.group_residents, metrics.group_max_resident
        for gauge in (*of_replicas, *of_models):
            gauge.clear()

    def use_cases(self) -> list[dict[str, Any]]:
        return [
            {
                "id": use_case.id,
                "description": use_case.description,
                "models": list(use_case.models),
                "modalities": list(use_case.modalities),
                "default": use_case.id == self._registry.defaults.use_case,
                "available": any(self._fleet.can_answer(m.id) for m in self._registry.candidates(use_case.id)),
            }
            for use_case in self._registry.use_cases.values()
        ]

    async def _sessions(self) -> Literal["connected", "degraded", "embedded"]:
        if self._store.kind == "embedded":
            return "embedded"
        try:
            await self._store.ping()
        except StoreUnavailable:
            return "degraded"
        return "degraded" if self._store.degraded else "connected"


def _state(report: ModelReport, waiting: int) -> dict[str, Any]:
    return {
        "state": report.state,
        "group": report.group,
        "lifecycle": report.lifecycle,
        "in_flight": report.in_flight,
        "waiting": waiting,
    }


def _group(group: GroupReport) -> dict[str, Any]:
    return {"max_resident": group.max_resident, "residents": list(group.residents), "room": group.room}


def ops_routes(ops: Ops, door: Door) -> APIRouter:
    routes = APIRouter(tags=["operations"])

    @routes.get("/health")
    async def health() -> Health:
        """The state of every part. 200 as long as this process answers: see `status`, or ask `/ready`."""
        return await ops.health()

    @routes.get("/livez")
    async def livez() -> dict[str, str]:
        """This process is alive; depends on nothing else."""
        return {"status": "alive"}

    @routes.get("/ready")
    async def ready(response: Response) -> dict[str, str]:
        """
        200 when at least one model can answer, or sleeps and can be woken, and this process is not about to stop; else
        503.
        """
        unready = ops.unready()
        if unready:
            response.status_code = 503
        return {"status": unready or "ready"}

    @routes.get("/stats")
    async def stats(request: Request) -> dict[str, Any]:
        """
        Counts and averages (seconds) over all routers; `scope` is `replica` where it is this one's alone. How models
        stand (`model_states`) and who takes the room of each group (`model_groups`) is always as this router sees it.
        """
        door.enter(request.scope)
        return await ops.stats()

    @routes.delete("/stats")
    async def forget_stats(request: Request) -> dict[str, Any]:
        """Begin counting anew. Needs a key for it, so a router without one refuses."""
        door.enter(request.scope, "admin")
        await ops.forget_stats()
        return {"success": True, "message": "Statistics begin anew"}

    @routes.get("/use-cases")
    async def use_cases() -> dict[str, Any]:
        """What can be routed to, in the registry's order."""
        return {"use_cases": ops.use_cases()}

    @routes.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """
        Prometheus text format, or OpenMetrics with exemplars for who asks for it. Open to all unless keys have scopes.
        """
        door.metrics(request.scope)
        text, content_type = ops.metrics(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    return routes
