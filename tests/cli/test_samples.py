"""What happened between two looks at `/stats`."""

from typing import Any

import pytest

from smart_router.cli.samples import Sample, began_anew, pace


def a_sample(at: float, **stats: Any) -> Sample:
    counts = {"total_requests": 0, "failed_requests": 0, "bypass_requests": 0, "full_routing_requests": 0}
    return Sample(at, counts | {"use_cases": {}, "models": {}} | stats, {"status": "healthy"})


BEFORE = a_sample(
    100.0, total_requests=10, failed_requests=1, bypass_requests=4, full_routing_requests=6,
    average_routing_time=0.010, average_bypass_time=0.001, average_total_time=1.0,
    use_cases={"agent": {"requests": 10}}, models={"a": {"requests": 10}},
)  # fmt: skip
NOW = a_sample(
    102.0, total_requests=30, failed_requests=3, bypass_requests=14, full_routing_requests=16,
    average_routing_time=0.020, average_bypass_time=0.002, average_total_time=2.0,
    use_cases={"agent": {"requests": 26}, "tts": {"requests": 4}}, models={"a": {"requests": 30}},
)  # fmt: skip


def test_rates_are_of_the_time_in_between() -> None:
    found = pace(BEFORE, NOW)
    assert (found.requests, found.errors, found.per_s, found.errors_per_s) == (20, 2, 10.0, 1.0)
    assert found.bypassed == 0.5
    assert (found.use_cases, found.models) == ({"agent": 8.0, "tts": 2.0}, {"a": 10.0})


def test_means_are_of_the_time_in_between_too() -> None:
    found = pace(BEFORE, NOW)
    assert found.routing_ms == pytest.approx((16 * 20 - 6 * 10) / 10)
    assert found.bypass_ms == pytest.approx((14 * 2 - 4 * 1) / 10)
    assert found.total_ms == pytest.approx((30 * 2000 - 10 * 1000) / 20)


def test_where_nothing_happened_nothing_is_known_of_times() -> None:
    found = pace(NOW, a_sample(104.0, **NOW.stats))
    assert (found.per_s, found.bypassed, found.routing_ms, found.bypass_ms, found.total_ms) == (
        0,
        None,
        None,
        None,
        None,
    )


def test_after_counting_began_anew_all_that_is_counted_came_since() -> None:
    fresh = a_sample(104.0, total_requests=6, use_cases={"agent": {"requests": 6}})
    assert began_anew(NOW, fresh)
    assert not began_anew(BEFORE, NOW)
    assert (pace(NOW, fresh).per_s, pace(NOW, fresh).use_cases) == (3.0, {"agent": 3.0})
