"""The numbers of `GET /stats`, counted since this process started."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from smart_router.observe.finished import Finished


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.count += 1

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else 0.0


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

    def report(self) -> dict[str, Any]:
        return {"requests": self.requests, "errors": self.errors, "average_inference_time": self.inference.value}


class Stats:
    """
    Call it with each finished exchange, of whichever path. Requests that never reached a decision count in the totals
    alone.
    """

    def __init__(self) -> None:
        self._total = self._bypassed = self._routed = self._sessions = self._changes = self._errors = 0
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

    def report(self) -> dict[str, Any]:
        decided = self._bypassed + self._routed
        return {
            "scope": "replica",
            "total_requests": self._total,
            "bypass_requests": self._bypassed,
            "full_routing_requests": self._routed,
            "failed_requests": self._errors,
            "session_creations": self._sessions,
            "context_changes": self._changes,
            "bypass_rate_percent": round(100 * self._bypassed / decided, 2) if decided else 0.0,
            "average_routing_time": self._routing.value,
            "average_bypass_time": self._bypass.value,
            "average_inference_time": self._inference.value,
            "average_total_time": self._whole.value,
            "use_cases": {name: part.report() for name, part in self._use_cases.items()},
            "models": {name: part.report() for name, part in self._models.items()},
        }
