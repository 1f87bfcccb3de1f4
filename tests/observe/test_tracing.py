"""What the spans of one request are, and when there are any."""

import ast
import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import monotonic, time_ns
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from smart_router.errors import BackendBusy, ConfigurationError, StoreUnavailable
from smart_router.observe import tracing as module
from smart_router.observe.finished import Finished
from smart_router.observe.spans import OpenTelemetry
from smart_router.observe.tracing import Complaints, open_tracing
from smart_router.types import Decision, Headers, Trace
from tests.fakes import a_decision

SOURCE = Path(module.__file__).parents[1]
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
COLLECTOR = "http://collector.example:4318"


class Traced:
    """Begins traces and keeps their spans."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self.kept = InMemorySpanExporter()
        provider = provider or TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self._tracing = OpenTelemetry(provider.get_tracer("test"), {"/route", "/classify"}, lambda: None)

    def begin(self, path: str = "/route", method: str = "POST", headers: list[tuple[str, str]] | None = None) -> Trace:
        given = [(name.encode(), value.encode("latin-1")) for name, value in headers or []]
        return self._tracing.begin({"method": method, "path": path, "scheme": "http", "headers": given})

    @property
    def names(self) -> list[str]:
        """In the order in which they ended."""
        return [span.name for span in self.kept.get_finished_spans()]

    def one(self, name: str) -> ReadableSpan:
        (found,) = (span for span in self.kept.get_finished_spans() if span.name == name)
        return found

    def about(self, name: str) -> dict[str, Any]:
        return dict(self.one(name).attributes or {})


@pytest.fixture
def traced() -> Traced:
    return Traced()


def a_record(**changed: Any) -> Finished:
    usual: dict[str, Any] = {
        "request_id": "r1",
        "session_id": "s1",
        "outcome": "ok",
        "total_s": 0.003,
        "use_case": "agent",
        "model": "m",
        "reason": "classified",
        "routing_s": 0.001,
    }
    return Finished(**usual | changed)


async def accepting(_: Headers) -> str:
    return "answer"


async def deciding(decision: Decision) -> Decision:
    return decision


async def failing(error: BaseException) -> Any:
    raise error


# whether there are any


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: ""},
        {"OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: COLLECTOR, "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: COLLECTOR, "OTEL_SDK_DISABLED": "true"},
        {"OTEL_SERVICE_NAME": "router"},
    ],
    ids=str,
)
def test_nothing_is_traced_unless_the_environment_says_so(variables: dict[str, str]) -> None:
    assert open_tracing(variables, ()) is None


def test_when_nothing_is_traced_nothing_is_imported() -> None:
    code = (
        "import sys; from smart_router.observe.tracing import open_tracing; assert open_tracing({}, ()) is None;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_spans_import_opentelemetry_with_their_module() -> None:
    using = {
        path.stem
        for path in SOURCE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(("opentelemetry", "smart_router.observe.spans"))
    }
    assert using == {"spans"}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, ("OTEL_TRACES_EXPORTER", "otlp", "console", "none", "zipkin")),
        ({ENDPOINT: COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("OTLP_PROTOCOL", "http/protobuf", "4318")),
        ({ENDPOINT: "collector:4318"}, (ENDPOINT, "http://", "collector:4318")),
        ({ENDPOINT: COLLECTOR, "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, ("OTEL_", "max_queue_size")),
    ],
)
def test_what_cannot_be_had_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: tuple[str, ...]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        open_tracing(variables, ())
    assert all(part in str(caught.value) for part in said), caught.value


def test_packages_that_are_missing_are_named_with_the_way_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, COLLECTOR)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'smart-router\[tracing\]'"):
        open_tracing({ENDPOINT: COLLECTOR}, ())


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "smart-router"),
        ({"OTEL_SERVICE_NAME": "router-eu"}, "router-eu"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=router-us"}, "router-us"),
    ],
)
def test_the_service_is_called_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert module._provider(()).resource.attributes["service.name"] == name


def test_variables_may_stand_in_dotenv(bare_environment: Path) -> None:
    (bare_environment / ".env").write_text("OTEL_TRACES_EXPORTER=console\nOTEL_SERVICE_NAME=router-of-dotenv\n")
    code = (
        "from smart_router.settings import environment; from smart_router.observe.tracing import open_tracing;"
        "tracing = open_tracing(environment(), {'/route'});"
        "tracing.begin({'method': 'POST', 'path': '/route', 'scheme': 'http', 'headers': []}).end(); tracing.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "router-of-dotenv" in done.stdout
    assert "POST /route" in done.stdout


# of what shape they are


async def test_a_request_is_a_span_and_its_parts_are_its_children(traced: Traced) -> None:
    trace = traced.begin()
    await trace.session(deciding(a_decision()))
    await trace.classifying(deciding(a_decision(scores={"agent": 0.9})))
    await trace.asking("m", "http://a:8000", accepting)
    trace(a_record())
    trace.end()
    assert traced.names == ["session", "classify", "upstream", "POST /route"]
    server, upstream = traced.one("POST /route"), traced.one("upstream")
    assert (server.kind, upstream.kind, server.parent) == (SpanKind.SERVER, SpanKind.CLIENT, None)
    assert server.context is not None
    children = [traced.one(name).parent for name in traced.names[:-1]]
    assert [child.span_id for child in children if child] == [server.context.span_id] * 3
    assert trace.id == f"{server.context.trace_id:032x}"


async def test_a_span_says_what_was_decided_and_how_it_went(traced: Traced) -> None:
    trace = traced.begin()
    await trace.asking("m", "http://a:8000", accepting)
    trace(a_record(bypass=True, reason="session", fallback_from="big"))
    trace.end()
    about = traced.about("POST /route")
    assert about.pop("smart_router.session") != "s1"
    assert about == {
        "http.request.method": "POST",
        "http.route": "/route",
        "url.path": "/route",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "smart_router.outcome": "ok",
        "smart_router.request_id": "r1",
        "smart_router.use_case": "agent",
        "smart_router.model": "m",
        "smart_router.reason": "session",
        "smart_router.bypass": True,
        "smart_router.fallback_from": "big",
    }
    told = {"smart_router.model": "m", "smart_router.replica": "http://a:8000", "smart_router.outcome": "ok"}
    assert traced.about("upstream") == told


def test_a_session_is_told_by_a_hash_that_anybody_who_knows_it_can_make(traced: Traced) -> None:
    trace = traced.begin()
    trace(a_record(session_id="abc"))
    trace.end()
    assert traced.about("POST /route")["smart_router.session"] == "ba7816bf8f01cfea"  # printf abc | sha256sum


@pytest.mark.parametrize(
    ("method", "path", "record", "name"),
    [
        ("POST", "/classify", {}, "POST /classify"),
        ("GET", "/v1/responses/resp_1", {"path": "/v1/responses/{id}"}, "GET /v1/responses/{id}"),
        ("POST", "/v1/my-secret", {"path": "none", "outcome": "client_error", "status": 404}, "POST"),
        ("BREW", "/route", {}, "_OTHER /route"),
    ],
)
def test_a_span_is_never_named_in_a_clients_words(
    traced: Traced, method: str, path: str, record: dict[str, Any], name: str
) -> None:
    trace = traced.begin(path, method)
    trace(a_record(**record))
    trace.end()
    assert traced.names == [name]
    assert "secret" not in traced.one(name).to_json()


async def test_a_decision_without_the_classifier_is_no_span(traced: Traced) -> None:
    trace = traced.begin()
    decision = a_decision(bypass=True)
    assert await trace.classifying(deciding(decision)) is decision
    trace.end()
    assert traced.names == ["POST /route"]


async def test_time_to_the_first_token_is_an_event_within_the_attempt(traced: Traced) -> None:
    trace, before = traced.begin(), time_ns()
    await trace.asking("m", "http://a:8000", accepting)
    started = monotonic()
    while (passed_s := monotonic() - started) < 0.002:
        pass
    trace(a_record(total_s=passed_s + 0.001, routing_s=0.001, first_token_s=0.001))
    trace.end()
    (event,) = traced.one("upstream").events
    assert event.attributes == {"smart_router.time_to_first_token": 0.001}
    assert before <= event.timestamp < time_ns() - 500_000


# how they end


@pytest.mark.parametrize(
    ("record", "status", "fault"),
    [
        ({"outcome": "ok"}, StatusCode.UNSET, None),
        ({"outcome": "aborted", "status": 499}, StatusCode.UNSET, None),
        ({"outcome": "client_error", "status": 400}, StatusCode.UNSET, None),
        ({"outcome": "unavailable", "status": 503}, StatusCode.ERROR, "unavailable"),
        ({"outcome": "timeout", "failure": "upstream_timeout"}, StatusCode.ERROR, "upstream_timeout"),
    ],
)
async def test_only_what_somebody_here_is_to_blame_for_is_an_error(
    traced: Traced, record: dict[str, Any], status: StatusCode, fault: str | None
) -> None:
    trace = traced.begin()
    await trace.asking("m", "http://a:8000", accepting)
    trace(a_record(**record))
    trace.end()
    for name in ("POST /route", "upstream"):
        assert (traced.one(name).status.status_code, traced.about(name).get("error.type")) == (status, fault)


async def test_each_attempt_is_a_span_with_how_it_ended(traced: Traced) -> None:
    trace = traced.begin()
    with pytest.raises(BackendBusy):
        await trace.asking("m", "http://a:8000", lambda _: failing(BackendBusy("busy")))
    await trace.asking("m", "http://b:8000", accepting)
    trace(a_record())
    trace.end()
    attempts = [dict(span.attributes or {}) for span in traced.kept.get_finished_spans() if span.name == "upstream"]
    ended = [(about["smart_router.replica"], about["smart_router.outcome"]) for about in attempts]
    assert ended == [("http://a:8000", BackendBusy.code), ("http://b:8000", "ok")]


async def test_an_accepted_attempt_lasts_as_long_as_its_answer(traced: Traced) -> None:
    trace = traced.begin()
    await trace.asking("m", "http://a:8000", accepting)
    assert traced.names == []
    trace(a_record())
    assert traced.names == ["upstream"]
    trace.end()


async def test_a_request_that_is_cancelled_ends_all_its_spans_once(traced: Traced) -> None:
    for step in ("session", "classifying", "asking"):
        trace, entered = traced.begin(), asyncio.Event()

        async def waiting(_: Headers = (), entered: asyncio.Event = entered) -> Any:
            entered.set()
            await asyncio.Event().wait()

        arguments = ("m", "http://a:8000", waiting) if step == "asking" else (waiting(),)
        task = asyncio.ensure_future(getattr(trace, step)(*arguments))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        trace.end()
    expected = ["session", "POST /route", "classify", "POST /route", "upstream", "POST /route"]
    assert traced.names == expected
    spans = traced.kept.get_finished_spans()
    assert {dict(span.attributes or {})["smart_router.outcome"] for span in spans} == {"aborted"}


async def test_a_request_that_nobody_told_of_still_ends_its_spans(traced: Traced) -> None:
    trace = traced.begin()
    await trace.asking("m", "http://a:8000", accepting)
    trace.end()
    assert traced.names == ["upstream", "POST /route"]


def test_of_two_records_the_first_counts(traced: Traced) -> None:
    trace = traced.begin()
    trace(a_record(outcome="aborted"))
    trace(a_record(outcome="internal_error"))
    trace.end()
    assert traced.about("POST /route")["smart_router.outcome"] == "aborted"


async def test_a_store_that_does_not_answer_is_told_without_its_words(traced: Traced) -> None:
    trace = traced.begin()
    with pytest.raises(StoreUnavailable):
        await trace.session(failing(StoreUnavailable("redis://:hunter2@h")))
    trace.end()
    assert traced.about("session")["error.type"] == "StoreUnavailable"
    assert "hunter2" not in traced.one("session").to_json()


# whose trace it is


def headers_of(traced: Traced, *given: tuple[str, str]) -> tuple[Trace, dict[bytes, bytes]]:
    """A trace begun with *given* headers, and what the model server is told."""
    trace = traced.begin(headers=list(given))
    told: dict[bytes, bytes] = {}

    async def note(headers: Headers) -> None:
        told.update(headers)

    asyncio.run(trace.asking("m", "http://a:8000", note))
    trace.end()
    return trace, told


def test_a_trace_of_the_clients_goes_on(traced: Traced) -> None:
    trace, told = headers_of(traced, ("traceparent", TRACEPARENT), ("tracestate", "a=1"), ("tracestate", "b=2"))
    server, upstream = traced.one("POST /route"), traced.one("upstream")
    assert server.parent is not None
    assert upstream.context is not None
    assert (trace.id, f"{server.parent.span_id:016x}") == (TRACE, PARENT)
    assert told[b"traceparent"].decode() == f"00-{TRACE}-{upstream.context.span_id:016x}-01"
    assert told[b"tracestate"] == b"a=1,b=2"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "hello",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"{TRACEPARENT}-more",
        "\xff" * 600,
    ],
)
def test_a_malformed_parent_is_ignored(traced: Traced, value: str) -> None:
    trace, told = headers_of(traced, ("traceparent", value), ("tracestate", "a=1"))
    assert traced.one("POST /route").parent is None
    assert trace.id != TRACE
    assert set(told) == {b"traceparent"}


def test_two_parents_are_none(traced: Traced) -> None:
    headers_of(traced, ("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT))
    assert traced.one("POST /route").parent is None


def test_a_trace_that_its_caller_does_not_keep_is_passed_on_and_not_kept(traced: Traced) -> None:
    trace, told = headers_of(traced, ("traceparent", f"00-{TRACE}-{PARENT}-00"))
    assert (trace.id, traced.names) == (None, [])
    assert told[b"traceparent"].decode().startswith(f"00-{TRACE}-")
    assert told[b"traceparent"].endswith(b"-00")


async def test_a_trace_that_is_not_kept_harms_nothing_that_it_waits_for() -> None:
    traced = Traced(TracerProvider(ALWAYS_OFF, shutdown_on_exit=False))
    trace, decision = traced.begin(), a_decision(scores={"agent": 0.9})
    assert await trace.session(deciding(decision)) is decision
    assert await trace.classifying(deciding(decision)) is decision
    assert await trace.asking("m", "http://a:8000", accepting) == "answer"
    with pytest.raises(BackendBusy):
        await trace.asking("m", "http://a:8000", lambda _: failing(BackendBusy("busy")))
    trace(a_record())
    trace.end()
    assert traced.names == []


def test_the_standard_sampler_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    traced = Traced(module._provider(()))
    traced.begin().end()
    assert traced.names == []
    traced.begin(headers=[("traceparent", TRACEPARENT)]).end()
    assert traced.names == ["POST /route"]


# a collector that is away


@pytest.fixture
def complaining() -> Iterator[logging.Logger]:
    logger, handler = logging.getLogger("a library"), Complaints()
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def test_complaints_are_one_line_a_minute(complaining: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    with capture_logs() as said:
        for _ in range(100):
            complaining.error("no connection to %s", "collector")
        now += module.COMPLAIN_EVERY_S
        complaining.error("x" * 10_000)
    first, second = said
    assert (first["said"], first["not_told_before"], first["log_level"]) == ("no connection to collector", 0, "warning")
    assert (len(second["said"]), second["not_told_before"]) == (module.MOST_OF_A_COMPLAINT, 99)


def test_the_end_waits_for_a_stalled_collector_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stalled:
        def __init__(self) -> None:
            self.may_go = Event()

        def shutdown(self) -> None:
            self.may_go.wait(40)

    stalled: Any = Stalled()
    monkeypatch.setattr(module, "LAST_WORDS_S", 0.01)
    started = monotonic()
    module._shut_down(stalled)
    assert monotonic() - started < 20
    stalled.may_go.set()
