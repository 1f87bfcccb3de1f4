"""How replicas stand, for people."""

from dataclasses import dataclass
from typing import Literal

from smart_router.decide.load import Load
from smart_router.upstream.replicas import Server

Status = Literal["healthy", "unhealthy", "unknown"]


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """
    How a replica stands, for people: `status` is healthy, unhealthy or unknown; `ejected` that it answers its health
    check but fails requests; `resting` that it asked to be left alone; `load` is None where it is not known.
    """

    model: str
    group: str
    endpoint: str
    status: Status
    response_time_s: float | None
    in_flight: int
    trouble: str
    ejected: bool = False
    resting: bool = False
    load: Load | None = None


def report_of(server: Server, now: float) -> ReplicaReport:
    healthy = server.health.healthy
    return ReplicaReport(
        model=server.model.id,
        group=server.model.lane,
        endpoint=server.endpoint,
        status="unknown" if healthy is None else "healthy" if healthy else "unhealthy",
        response_time_s=server.health.response_time_s,
        in_flight=server.in_flight,
        trouble=server.health.trouble,
        ejected=server.record.ejected_until > now,
        resting=server.resting_until > now,
        load=server.load if now < server.load_until else None,
    )
