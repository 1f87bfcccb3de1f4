"""One record per finished exchange feeds metrics, statistics and logs."""

import io
import json
import re
import sys
from typing import Any

import pytest
import structlog

from smart_router.observe.finished import Finished
from smart_router.observe.logs import RequestLog, configure_logs
from smart_router.observe.metrics import Metrics
from smart_router.observe.stats import Stats, report
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
A_BAD_REQUEST = Finished(request_id="r2", session_id="s1", outcome="client_error", total_s=0.001, status=400)


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
    told = report(Stats().counts())
    assert told["total_requests"] == 0
    assert told["bypass_rate_percent"] == 0.0
    assert told["average_total_time"] == 0.0


def test_stats_count_what_happened() -> None:
    stats = Stats()
    for done in (a_finished(), A_BYPASS, A_SWITCH, A_FAILURE, A_BAD_REQUEST):
        stats(done)
    told = report(stats.counts())
    assert (told["total_requests"], told["bypass_requests"], told["full_routing_requests"]) == (5, 1, 3)
    assert (told["session_creations"], told["context_changes"], told["failed_requests"]) == (1, 1, 2)
    assert told["bypass_rate_percent"] == 25.0
    assert told["average_routing_time"] == pytest.approx(0.01)
    assert told["average_bypass_time"] == pytest.approx(0.001)
    assert told["use_cases"]["stt"]["requests"] == 1
    assert told["models"]["m"] == {"requests": 4, "errors": 1, "average_inference_time": pytest.approx(0.9)}


def test_every_path_counts_alike_in_stats() -> None:
    stats = Stats()
    for path in ("/route", "/v1/chat/completions", "/v1/embeddings"):
        stats(a_finished(path=path))
    told = report(stats.counts())
    assert (told["total_requests"], told["full_routing_requests"], told["session_creations"]) == (3, 3, 3)
    assert told["models"]["m"]["requests"] == 3


def test_turns_that_were_checked_afterwards_are_counted_apart() -> None:
    stats = Stats()
    stats(A_BYPASS)
    for disagreed in (False, True, False):
        stats.checked(disagreed)
    told = report(stats.counts())
    assert (told["shadow_checks"], told["shadow_disagreements"]) == (3, 1)
    assert (told["total_requests"], told["bypass_requests"], told["failed_requests"]) == (1, 1, 0)


def test_of_nothing_nothing_was_checked() -> None:
    told = report(Stats().counts())
    assert (told["shadow_checks"], told["shadow_disagreements"]) == (0, 0)


def test_a_failure_in_mid_answer_is_counted_by_its_code() -> None:
    metrics = Metrics()
    metrics(a_finished(outcome="timeout", failure="upstream_timeout"))
    metrics.failures.labels("m", "upstream_timeout").inc()  # as the opener counts those before the answer
    assert value(metrics, "upstream_failures_total", model="m", kind="upstream_timeout") == 2


def test_a_failure_that_the_opener_has_counted_is_not_counted_again() -> None:
    metrics = Metrics()
    metrics(A_FAILURE)
    assert b"smart_router_upstream_failures_total{" not in metrics.exposition()[0]


def test_replicas_that_are_gone_leave_no_series() -> None:
    metrics = Metrics()
    metrics.in_flight.labels("m", "http://a:8000").set(1)
    metrics.in_flight.clear()
    metrics.in_flight.labels("m", "http://b:8000").set(2)
    assert value(metrics, "in_flight", model="m", replica="http://a:8000") is None
    assert value(metrics, "in_flight", model="m", replica="http://b:8000") == 2


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        a_finished().outcome = "aborted"  # type: ignore[misc]


A_LINE = {
    "event": "request",
    "level": "info",
    "request_id": "r1",
    "session_id": "s1",
    "outcome": "ok",
    "status": 200,
    "path": "/v1/responses",
    "use_case": "agent",
    "model": "m",
    "replica": "http://a:8000",
    "reason": "classified",
    "confidence": 0.9,
    "bypass": False,
    "routing_ms": 10.0,
    "first_token_ms": 200.0,
    "total_ms": 1000.0,
    "tokens": 7,
}


def test_a_log_line_is_json_with_ids_decision_and_timings(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    RequestLog()(a_finished(path="/v1/responses"))
    line = json.loads(capsys.readouterr().err)
    del line["timestamp"]
    assert line == A_LINE, "and nothing else: no text of a query or an answer"


def test_a_log_line_has_the_time_as_other_lines_have_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    RequestLog()(a_finished())
    structlog.get_logger("other").info("something else")
    ours, other = (json.loads(line)["timestamp"] for line in capsys.readouterr().err.splitlines())
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
    assert form.fullmatch(other)
    assert form.fullmatch(ours)
    assert ours <= other


def test_durations_are_rounded_to_microseconds(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    RequestLog()(a_finished(routing_s=0.0123456789, total_s=12.3456789, first_token_s=None, confidence=0.123456))
    line = json.loads(capsys.readouterr().err)
    assert (line["routing_ms"], line["total_ms"], line["confidence"]) == (12.346, 12345.679, 0.1235)
    assert line["first_token_ms"] is None


def test_a_failure_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning")
    RequestLog()(a_finished())
    RequestLog()(A_FAILURE)
    line = json.loads(capsys.readouterr().err)
    assert (line["outcome"], line["level"]) == ("upstream_error", "warning")


def test_at_level_error_no_exchange_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("error")
    RequestLog()(A_FAILURE)
    assert capsys.readouterr().err == ""


async def test_lines_of_others_come_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    requests, other = RequestLog(), structlog.get_logger("other")
    requests(a_finished(request_id="r1"))
    assert capsys.readouterr().err == "", "it waits for others"
    requests(a_finished(request_id="r2"))
    other.warning("attempt failed")
    requests(a_finished(request_id="r3"))
    requests.close()
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("request_id") or line["event"] for line in found] == ["r1", "r2", "attempt failed", "r3"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_people_at_a_terminal_read_each_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logs("info")
    log = RequestLog()
    log(a_finished())
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert "[info" in text
    assert "request_id=r1" in text
    assert "{" not in text
    log.close()


def test_lines_that_were_lost_are_a_warning_of_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    lines = structlog.get_config()["logger_factory"].lines
    lines._dropped = 3
    RequestLog()(a_finished())
    _, told = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (told["level"], told["lines"]) == ("warning", 3)
    assert told["timestamp"].endswith("Z")


def test_a_traced_request_is_an_exemplar_for_who_reads_openmetrics() -> None:
    metrics = Metrics()
    metrics(a_finished(trace_id="ab" * 16))
    plain, plain_type = metrics.exposition("text/plain")
    told, told_type = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert plain_type.startswith("text/plain")
    assert told_type.startswith("application/openmetrics-text")
    assert b"trace_id" not in plain
    for name in ("routing_seconds", "inference_seconds", "overhead_seconds", "time_to_first_token_seconds"):
        assert re.search(rb"smart_router_%s_bucket.* # {trace_id=\"(ab){16}\"}" % name.encode(), told)
