"""A run's figures as JSON: what the report is made of."""

from typing import Any

from loadtests.tables import kinds_rows
from loadtests.tally import Slice, Tally, percent


def figures(tally: Tally) -> dict[str, Any]:
    """The table by kind, and the plots' points over time."""
    times = range(max(tally.slices, default=-1) + 1)
    points = [_point(number * tally.slice_s, tally.slice_s, tally.slices.get(number, Slice())) for number in times]
    return {"kinds": [list(row) for row in kinds_rows(tally)], "points": points, "errors": dict(tally.errors)}


def _point(at_s: float, length_s: float, slice: Slice) -> dict[str, float | None]:
    counts = slice.counts
    return {
        "at_s": at_s,
        "users": slice.users,
        "per_second": counts.requests / length_s,
        "errors_per_second": counts.errors / length_s,
        "p50_ms": counts.latency_ms.percentile(50),
        "p95_ms": counts.latency_ms.percentile(95),
        "first_token_p50_ms": counts.first_token_ms.percentile(50),
        "routing_p95_ms": counts.routing_ms.percentile(95),
        "bypassed_percent": percent(counts.bypassed, counts.follow_ups),
        "right_percent": percent(counts.judged - counts.wrong, counts.judged),
    }
