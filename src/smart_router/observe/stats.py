"""The numbers of `GET /stats`: counted in this process, and what is said of them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smart_router.observe.finished import Finished

Counts = dict[str, float]  # name -> sum; those of one use case or model are called use_cases|agent|requests


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.count += 1


@dataclass(slots=True)
class _Part:
    """One use case or one model."""

    requests: int = 0
    errors: int = 0
    inference: _Mean = field(default_factory=_Mean)

    def add(self, failed: bool, inference_s: float | None) -> None:
        self.requests += 1
        self.errors += failed
        self.inference.add(inference_s)

    def counts(self) -> Counts:
        return {"requests": self.requests, "errors": self.errors, **_named("inference", self.inference)}


class Stats:
    """
    Call it with each finished exchange, of whichever path. Requests that never reached a decision count in the totals
    alone.
    """

    def __init__(self) -> None:
        self._total = self._bypassed = self._routed = self._sessions = self._changes = self._errors = 0
        self._checked = self._disagreed = 0
        self._routing, self._bypass, self._inference, self._whole = _Mean(), _Mean(), _Mean(), _Mean()
        self._use_cases: dict[str, _Part] = defaultdict(_Part)
        self._models: dict[str, _Part] = defaultdict(_Part)

    def __call__(self, done: Finished) -> None:
        failed, use_case, model = done.outcome != "ok", done.use_case, done.model
        self._total += 1
        self._errors += failed
        if use_case is not None:
            self._decided(done, failed)
            self._use_cases[use_case].add(failed, done.inference_s)
        if model is not None:
            self._inference.add(done.inference_s)
            self._models[model].add(failed, done.inference_s)

    def checked(self, disagreed: bool) -> None:
        """A bypassed turn was classified afterwards."""
        self._checked += 1
        self._disagreed += disagreed

    def _decided(self, done: Finished, failed: bool) -> None:
        self._whole.add(done.total_s)
        if done.bypass:
            self._bypassed += 1
            self._bypass.add(done.routing_s)
        else:
            self._routed += 1
            self._routing.add(done.routing_s)
        if done.new_session and not failed:
            self._sessions += 1
        if done.previous_use_case is not None:
            self._changes += 1

    def counts(self) -> Counts:
        """All sums since this process started."""
        parts = {"use_cases": self._use_cases, "models": self._models}
        return {
            "total": self._total,
            "bypassed": self._bypassed,
            "routed": self._routed,
            "failed": self._errors,
            "sessions": self._sessions,
            "changes": self._changes,
            "shadow_checked": self._checked,
            "shadow_disagreed": self._disagreed,
            **_named("routing", self._routing),
            **_named("bypass", self._bypass),
            **_named("inference", self._inference),
            **_named("whole", self._whole),
            **{
                f"{kind}|{id}|{name}": value
                for kind, of_kind in parts.items()
                for id, part in of_kind.items()
                for name, value in part.counts().items()
            },
        }


def growth(before: Mapping[str, float], now: Mapping[str, float]) -> Counts:
    """What has to be added to *before* to have *now*."""
    return {name: value - before.get(name, 0) for name, value in now.items() if value != before.get(name, 0)}


def report(counts: Mapping[str, float]) -> dict[str, Any]:
    """The contract's fields. Times in seconds."""
    decided = _whole(counts, "bypassed") + _whole(counts, "routed")
    return {
        "total_requests": _whole(counts, "total"),
        "bypass_requests": _whole(counts, "bypassed"),
        "full_routing_requests": _whole(counts, "routed"),
        "failed_requests": _whole(counts, "failed"),
        "session_creations": _whole(counts, "sessions"),
        "context_changes": _whole(counts, "changes"),
        "shadow_checks": _whole(counts, "shadow_checked"),
        "shadow_disagreements": _whole(counts, "shadow_disagreed"),
        "bypass_rate_percent": round(100 * _whole(counts, "bypassed") / decided, 2) if decided else 0.0,
        "average_routing_time": _mean(counts, "routing"),
        "average_bypass_time": _mean(counts, "bypass"),
        "average_inference_time": _mean(counts, "inference"),
        "average_total_time": _mean(counts, "whole"),
        "use_cases": _parts(counts, "use_cases"),
        "models": _parts(counts, "models"),
    }


def _named(name: str, mean: _Mean) -> Counts:
    return {f"{name}_s": mean.total, f"{name}_n": mean.count}


def _whole(counts: Mapping[str, float], name: str) -> int:
    return round(counts.get(name, 0))


def _mean(counts: Mapping[str, float], name: str) -> float:
    number = counts.get(f"{name}_n", 0)
    return counts.get(f"{name}_s", 0.0) / number if number > 0 else 0.0


def _parts(counts: Mapping[str, float], kind: str) -> dict[str, Any]:
    found: dict[str, Counts] = defaultdict(dict)
    for key, value in counts.items():
        of_kind, _, rest = key.partition("|")
        id, _, name = rest.rpartition("|")
        if of_kind == kind and id:
            found[id][name] = value
    return {id: _part(of_one) for id, of_one in found.items()}


def _part(counts: Mapping[str, float]) -> dict[str, Any]:
    return {
        "requests": _whole(counts, "requests"),
        "errors": _whole(counts, "errors"),
        "average_inference_time": _mean(counts, "inference"),
    }
