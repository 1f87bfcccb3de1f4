"""What a run must reach: each gate compares one figure with its limit."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, fields

from loadtests.tally import Counts, Tally, percent

DRIFT_OF_A_SOAK = 1.5
EARLY, LATE = (0.1, 0.3), (0.8, 1.0)  # shares of a run; before, its users are still arriving


@dataclass(frozen=True)
class Limits:
    """Percentages and milliseconds; None: not gated."""

    min_bypass: float | None = 85.0
    max_routing_p95_ms: float | None = 100.0
    max_p95_ms: float | None = 2000.0
    max_p99_ms: float | None = 4000.0
    max_errors: float | None = 1.0
    max_wrong: float | None = None
    max_drift: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A *value* of "-" means that the run had nothing to measure it by, which passes."""

    gate: str
    limit: str
    value: str
    passed: bool


def limits_from(options: argparse.Namespace) -> Limits:
    limits = {each.name: getattr(options, each.name) for each in fields(Limits)}
    if options.shape == "soak" and limits["max_drift"] is None:
        limits["max_drift"] = DRIFT_OF_A_SOAK
    return Limits(**limits)


def verdicts(tally: Tally, limits: Limits, seconds: float, broken: int = 0) -> list[Verdict]:
    """*broken*: how often a user failed by a mistake of the load test's own."""
    counts = tally.all()
    return [
        _least("requests", counts.requests, 1, ""),
        _most("mistakes of the load test", broken, 0, ""),
        *_figures(counts, limits),
        *_drifts(tally, limits, seconds),
    ]


def all_passed(verdicts: list[Verdict]) -> bool:
    return all(verdict.passed for verdict in verdicts)


def _figures(counts: Counts, limits: Limits) -> Iterator[Verdict]:
    if limits.min_bypass is not None:
        yield _least("follow-ups bypassed", percent(counts.bypassed, counts.follow_ups), limits.min_bypass, " %")
    for gate, value, limit, unit in (
        ("routing p95", counts.routing_ms.percentile(95), limits.max_routing_p95_ms, " ms"),
        ("latency p95", counts.latency_ms.percentile(95), limits.max_p95_ms, " ms"),
        ("latency p99", counts.latency_ms.percentile(99), limits.max_p99_ms, " ms"),
        ("errors", percent(counts.errors, counts.requests), limits.max_errors, " %"),
        ("wrong use case", percent(counts.wrong, counts.judged), limits.max_wrong, " %"),
    ):
        if limit is not None:
            yield _most(gate, value, limit, unit)


def _drifts(tally: Tally, limits: Limits, seconds: float) -> Iterator[Verdict]:
    """How many times as long as early answers late ones take."""
    if limits.max_drift is not None:
        stretches = [tally.between(begin * seconds, end * seconds) for begin, end in (EARLY, LATE)]
        early, late = (counts.latency_ms.percentile(95) for counts in stretches)
        yield _most("latency p95, late to early", late / early if early and late else None, limits.max_drift, "x")


def _least(gate: str, value: float | None, limit: float, unit: str) -> Verdict:
    return Verdict(gate, f"≥ {limit:g}{unit}", _shown(value, unit), value is None or value >= limit)


def _most(gate: str, value: float | None, limit: float, unit: str) -> Verdict:
    return Verdict(gate, f"≤ {limit:g}{unit}", _shown(value, unit), value is None or value <= limit)


def _shown(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{round(value, 2):g}{unit}"
