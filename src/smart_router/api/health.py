"""`/health`: from the state of each replica to one word for all."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from smart_router.decide.swap import State
from smart_router.lifecycle.base import ModelReport
from smart_router.lifecycle.standing import ALWAYS
from smart_router.registry import Model, Registry
from smart_router.upstream.fleet import ReplicaReport

ReplicaStatus = Literal["healthy", "asleep", "unknown", "unhealthy"]
BEST_FIRST: tuple[ReplicaStatus, ...] = ("healthy", "asleep", "unknown", "unhealthy")

COMING: tuple[State, ...] = ("waking", "loading")
NOT_TO_BE_HAD = "it sleeps, and is not woken: those that are kept awake leave no room, or what it needs is missing"
CanAnswer = Callable[[str], bool]  # or be woken


class EndpointHealth(BaseModel):
    """
    A backend group: the best of its replicas speaks for it. One that is asleep will be woken by a request: that is
    healthy. `response_time` in seconds.
    """

    status: Literal["healthy", "degraded", "unhealthy", "unknown"]
    endpoint: str
    response_time: float | None
    replicas: list[dict[str, Any]]


class ClassifierHealth(BaseModel):
    """`hybrid` with the encoder, `lexical` without (`trouble` says why), or what one of others calls itself."""

    kind: str
    trouble: str


class Health(BaseModel):
    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: str
    bypass_router: Literal["connected", "degraded", "embedded"]
    classifier: ClassifierHealth
    model_endpoints: dict[str, EndpointHealth]


@dataclass(frozen=True)
class Seen:
    """A replica, as it counts where its model may sleep."""

    replica: ReplicaReport
    status: ReplicaStatus
    trouble: str

    @classmethod
    def of(cls, replica: ReplicaReport, model: ModelReport, had: bool) -> "Seen":
        """
        *had*: the model answers, or can be woken. What a health check says of a server that sleeps, or could not be
        woken, depends on its kind.
        """
        if model.lifecycle == ALWAYS or model.state not in (*COMING, "sleeping", "failed"):
            return cls(replica, replica.status, replica.trouble)
        if model.state in COMING or (model.state == "sleeping" and had):
            return cls(replica, "asleep", "")
        return cls(replica, "unhealthy", model.trouble or replica.trouble or NOT_TO_BE_HAD)

    @property
    def up(self) -> bool:
        """It answers, or will when it is needed."""
        return self.status in ("healthy", "asleep")


def seen_all(replicas: Iterable[ReplicaReport], models: Iterable[ModelReport], can_answer: CanAnswer) -> list[Seen]:
    """The *models* are those of the *replicas*, at least."""
    reports = {report.id: report for report in models}
    return [Seen.of(replica, reports[replica.model], can_answer(replica.model)) for replica in replicas]


def endpoints_health(
    registry: Registry, replicas: Iterable[ReplicaReport], models: Iterable[ModelReport], can_answer: CanAnswer
) -> dict[str, EndpointHealth]:
    """By backend group, in the registry's order."""
    groups: dict[str, list[Seen]] = {}
    for seen in seen_all(replicas, models, can_answer):
        groups.setdefault(seen.replica.group, []).append(seen)
    return {model.lane: _endpoint_health(groups.get(model.lane, []), model) for model in registry.models.values()}


def _endpoint_health(replicas: Sequence[Seen], model: Model) -> EndpointHealth:
    if not replicas:  # a name that no address is known for
        return EndpointHealth(status="unhealthy", endpoint=model.endpoints[0], response_time=None, replicas=[])
    best = min(replicas, key=lambda seen: (BEST_FIRST.index(seen.status), seen.replica.resting))
    mixed = best.up and any(seen.replica.resting or not seen.up for seen in replicas)
    return EndpointHealth(
        status="degraded" if mixed else "healthy" if best.status == "asleep" else best.status,
        endpoint=best.replica.endpoint,
        response_time=best.replica.response_time_s,
        replicas=[_shown(seen) for seen in replicas],
    )


def _shown(seen: Seen) -> dict[str, Any]:
    replica = seen.replica
    return {
        "model": replica.model,
        "endpoint": replica.endpoint,
        "status": seen.status,
        "in_flight": replica.in_flight,
        "resting": replica.resting,
        "ejected": replica.ejected,
        "trouble": seen.trouble.partition("\n")[0],  # what follows may be the end of a log, and all may ask here
    }


def overall(
    endpoints: Iterable[EndpointHealth], sessions: str, classifier: ClassifierHealth
) -> Literal["healthy", "degraded", "unhealthy"]:
    statuses = [endpoint.status for endpoint in endpoints]
    if not any(status in ("healthy", "degraded") for status in statuses):
        return "unhealthy"
    whole = all(status == "healthy" for status in statuses) and sessions != "degraded" and classifier.kind != "lexical"
    return "healthy" if whole else "degraded"
