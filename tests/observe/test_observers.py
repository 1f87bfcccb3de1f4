"""One record per finished exchange feeds metrics, statistics and logs."""

import json
from typing import Any

import pytest

from smart_router.observe.finished import Finished
from smart_router.observe.logs import RequestLog, configure_logs
from smart_router.observe.metrics import Metrics
from smart_router.observe.stats import Stats
from smart_router.types import Usage


def a_finished(**changed: Any) -> Finished:
    """A first turn that went well."""
    usual: dict[str, Any] = {
        "request_id": "r1",
        "session_id": "s1",
        "outcome": "ok",
        "total_s": 1.0,
        "use_case": "agent",
        "model": "m",
        "endpoint": "http://a:8000",
        "reason": "classified",
        "confidence": 0.9,
        "encoded": True,
        "new_session": True,
        "routing_s": 0.01,
        "first_token_s": 0.2,
        "inference_s": 0.9,
        "usage": Usage(5, 2),
    }
    return Finished(**usual | changed)


A_BYPASS = a_finished(bypass=True, new_session=False, encoded=False, reason="session", routing_s=0.001)
A_SWITCH = a_finished(new_session=False, use_case="stt", previous_use_case="agent", reason="switched")
A_FAILURE = a_finished(outcome="upstream_error", first_token_s=None)
A_BAD_REQUEST = Finished("r2", "s1", "client_error", 0.001, status=400)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"smart_router_{name}", labels)


def test_metrics_count_what_happened() -> None:
    metrics = Metrics()
    for done in (a_finished(), A_BYPASS, A_SWITCH, A_FAILURE, A_BAD_REQUEST):
        metrics(done)
    first = {"use_case": "agent", "model": "m", "reason": "classified"}
    assert value(metrics, "requests_total", outcome="ok", **first) == 1
    assert value(metrics, "requests_total", outcome="upstream_error", **first) == 1
    nothing = {"use_case": "none", "model": "none", "reason": "none"}
    assert value(metrics, "requests_total", outcome="client_error", **nothing) == 1
    assert value(metrics, "bypass_total") == 1
    assert value(metrics, "sessions_created_total") == 1
    assert value(metrics, "context_changes_total", **{"from": "agent", "to": "stt"}) == 1
    assert value(metrics, "routing_seconds_count", path="bypass") == 1
    assert value(metrics, "routing_seconds_count", path="classified") == 3
    assert value(metrics, "time_to_first_token_seconds_count", model="m") == 3
    assert value(metrics, "tokens_total", model="m", kind="prompt") == 20
    assert value(metrics, "classifier_confidence_count") == 3


def test_overhead_is_what_the_upstream_did_not_take() -> None:
    metrics = Metrics()
    metrics(a_finished(total_s=1.0, inference_s=0.75))
    assert value(metrics, "overhead_seconds_sum") == 0.25


def test_a_fallback_is_told_from_and_to() -> None:
    metrics = Metrics()
    metrics(a_finished(fallback_from="big"))
    assert value(metrics, "fallbacks_total", **{"from": "big", "to": "m"}) == 1


def test_stats_of_nothing_are_zero() -> None:
    report = Stats().report()
    assert report["total_requests"] == 0
    assert report["bypass_rate_percent"] == 0.0
    assert report["average_total_time"] == 0.0


def test_stats_count_what_happened() -> None:
    stats = Stats()
    for done in (a_finished(), A_BYPASS, A_SWITCH, A_FAILURE, A_BAD_REQUEST):
        stats(done)
    report = stats.report()
    assert (report["total_requests"], report["bypass_requests"], report["full_routing_requests"]) == (5, 1, 3)
    assert (report["session_creations"], report["context_changes"], report["failed_requests"]) == (1, 1, 2)
    assert report["bypass_rate_percent"] == 25.0
    assert report["average_routing_time"] == pytest.approx(0.01)
    assert report["average_bypass_time"] == pytest.approx(0.001)
    assert report["use_cases"]["stt"]["requests"] == 1
    assert report["models"]["m"] == {"requests": 4, "errors": 1, "average_inference_time": pytest.approx(0.9)}


def test_a_log_line_is_json_with_ids_decision_and_timings(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    RequestLog()(a_finished())
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["request_id"], line["use_case"]) == ("request", "info", "r1", "agent")
    assert (line["routing_ms"], line["total_ms"], line["tokens"]) == (10.0, 1000.0, 7)


def test_a_failure_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning")
    RequestLog()(a_finished())
    RequestLog()(A_FAILURE)
    assert json.loads(capsys.readouterr().err)["outcome"] == "upstream_error"
