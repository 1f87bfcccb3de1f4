"""What a router counted between two looks at its `/stats`: rates and means of that while, not since it started."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MS = 1000.0


@dataclass(frozen=True)
class Sample:
    """One look: *at* in seconds of any clock, *stats* and *health* as the router says them."""

    at: float
    stats: Mapping[str, Any]
    health: Mapping[str, Any]


@dataclass(frozen=True)
class Pace:
    """Between two samples; None where nothing was measured. *bypassed* is a share; by id: requests a second."""

    requests: int
    errors: int
    per_s: float
    errors_per_s: float
    bypassed: float | None
    routing_ms: float | None
    bypass_ms: float | None
    total_ms: float | None
    use_cases: Mapping[str, float]
    models: Mapping[str, float]


def pace(before: Sample, now: Sample) -> Pace:
    """Where counting began anew in between, all that is counted came since."""
    seconds = max(now.at - before.at, 0.001)
    old = {} if began_anew(before, now) else before.stats

    def more(name: str) -> int:
        return int(now.stats.get(name, 0)) - int(old.get(name, 0))

    def mean(name: str, *counted: str) -> float | None:
        """In ms, of those that are *counted*."""
        sums = [sum(stats.get(one, 0) for one in counted) * stats.get(name, 0.0) for stats in (old, now.stats)]
        number = sum(map(more, counted))
        return max(0.0, sums[1] - sums[0]) / number * MS if number > 0 else None

    def rates(kind: str) -> dict[str, float]:
        known = old.get(kind, {})
        return {
            id: max(0, part["requests"] - known.get(id, {}).get("requests", 0)) / seconds
            for id, part in now.stats.get(kind, {}).items()
        }

    bypassed, routed = more("bypass_requests"), more("full_routing_requests")
    return Pace(
        requests=more("total_requests"),
        errors=more("failed_requests"),
        per_s=more("total_requests") / seconds,
        errors_per_s=more("failed_requests") / seconds,
        bypassed=bypassed / (bypassed + routed) if bypassed + routed > 0 else None,
        routing_ms=mean("average_routing_time", "full_routing_requests"),
        bypass_ms=mean("average_bypass_time", "bypass_requests"),
        total_ms=mean("average_total_time", "bypass_requests", "full_routing_requests"),
        use_cases=rates("use_cases"),
        models=rates("models"),
    )


def began_anew(before: Sample, now: Sample) -> bool:
    """The numbers were reset, or another router answers that has its own."""
    counts = ("total_requests", "failed_requests", "bypass_requests", "full_routing_requests")
    return any(now.stats.get(name, 0) < before.stats.get(name, 0) for name in counts)
