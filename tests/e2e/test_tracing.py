"""A traced router, seen from a collector: a real process, a real exporter, and the bytes that they send, decoded."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from smart_router.cli.processes import free_port, running, smart_router

from .asking import CHAT, FOLLOW_UP, PYTHON, a_session, a_sound, saying
from .models import AGENT, MULTIMODAL, SOON_S, Models
from .routers import KEY, Router, a_client, a_registry, environment

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
POLL_S = 0.02
QUICKLY = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
ENDS_WITHIN_S = 40


@dataclass
class Collector:
    """Stands in for an OpenTelemetry collector: keeps what it is sent, as bytes and decoded."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services.add(_attributes(resource.resource.attributes)["service.name"])
            self.spans += (span for scope in resource.scope_spans for span in scope.spans)

    def trace_of(self, request_id: str) -> "Trace":
        """All spans of a request, once its server span has come: that one ends last."""
        server = self.wait_for(lambda span: about(span).get("smart_router.request_id") == request_id)
        return Trace(server, [span for span in self.spans if span.trace_id == server.trace_id and span != server])

    def wait_for(self, wanted: Callable[[Span], bool]) -> Span:
        """Within five seconds, or the test fails."""
        deadline = time.monotonic() + SOON_S
        while not (found := [span for span in list(self.spans) if wanted(span)]):
            assert time.monotonic() < deadline, f"no such span came; there are {[span.name for span in self.spans]}"
            time.sleep(POLL_S)
        assert len(found) == 1, "a span was sent twice"
        return found[0]


@dataclass(frozen=True)
class Trace:
    server: Span
    others: Sequence[Span]

    @property
    def names(self) -> list[str]:
        return sorted(span.name for span in self.others)

    def all(self, name: str) -> list[Span]:
        return sorted((span for span in self.others if span.name == name), key=lambda span: span.start_time_unix_nano)

    def one(self, name: str) -> Span:
        (found,) = self.all(name)
        return found


def about(span: Span) -> dict[str, Any]:
    return _attributes(span.attributes)


def _attributes(given: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in given}


@contextmanager
def a_collector() -> Iterator[Collector]:
    class Receiving(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            stand_in.take(self.rfile.read(int(self.headers["content-length"])))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiving) as server:
        server.daemon_threads, server.block_on_close = True, False
        stand_in = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="collector", daemon=True)
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def a_process(registry: Path, log: Path | None = None, **variables: str) -> Iterator[Router]:
    """`smart-router serve` with *variables*; what it says goes to *log*."""
    port = free_port()
    command = smart_router("serve", "--port", str(port))
    if log is not None:
        command = ["/bin/sh", "-c", f'exec "$@" 2>{log}', "serve", *command]
    told = environment(**{"MODEL_REGISTRY": str(registry)} | QUICKLY | variables)
    with running(command, port, told, path="/ready") as url, a_client(url) as http:
        yield Router(url, http)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with a_collector() as found:
        yield found


@pytest.fixture(scope="module")
def traced(servers: Models, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    registry = a_registry(tmp_path_factory.mktemp("traced"), servers.endpoints, {AGENT: {"fallbacks": [MULTIMODAL]}})
    with a_process(registry, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as found:
        yield found


@pytest.fixture
def router(traced: Router, models: Models) -> Router:
    return traced


def upstream_headers(models: Models) -> Mapping[str, str]:
    found: dict[str, str] = {name.lower(): value for name, value in models.agent.requests()[-1]["headers"].items()}
    return found


def test_a_first_turn_is_a_tree_of_spans(router: Router, models: Models, collector: Collector) -> None:
    answer = router.answer(PYTHON)
    trace = collector.trace_of(answer["request_id"])
    assert (trace.server.name, trace.server.kind, trace.names) == (
        "POST /route",
        Span.SPAN_KIND_SERVER,
        ["classify", "session", "upstream"],
    )
    assert {span.parent_span_id for span in trace.others} == {trace.server.span_id}
    assert not trace.server.parent_span_id
    for span in trace.others:
        assert trace.server.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= trace.server.end_time_unix_nano
    told = about(trace.server)
    decided = {name: told[f"smart_router.{name}"] for name in ("use_case", "model", "reason", "bypass", "outcome")}
    assert decided == {"use_case": "agent", "model": AGENT, "reason": "classified", "bypass": False, "outcome": "ok"}
    assert (told["http.route"], told["http.response.status_code"]) == ("/route", 200)
    assert about(trace.one("upstream"))["smart_router.replica"] == models.agent.url
    assert "smart-router" in collector.services


def test_a_follow_up_has_no_classification(router: Router, collector: Collector) -> None:
    id = a_session()
    first, second = router.answer(PYTHON, session_id=id), router.answer(FOLLOW_UP, session_id=id)
    trace = collector.trace_of(second["request_id"])
    assert trace.names == ["session", "upstream"]
    told = about(trace.server)
    assert (told["smart_router.reason"], told["smart_router.bypass"]) == ("session", True)
    before = about(collector.trace_of(first["request_id"]).server)
    assert told["smart_router.session"] == before["smart_router.session"]


@pytest.mark.parametrize("path", ["/route", CHAT])
def test_the_clients_trace_goes_on_to_the_model_server(
    router: Router, models: Models, collector: Collector, path: str
) -> None:
    trace_id = f"{time.time_ns():032x}"
    body = {"query": PYTHON} if path == "/route" else saying()
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01", "tracestate": "vendor=x"}
    response = router.post(path, body, **headers)
    assert response.status_code == 200
    trace = collector.trace_of(response.headers["x-request-id"])
    assert (trace.server.trace_id.hex(), trace.server.parent_span_id.hex()) == (trace_id, PARENT)
    received, upstream = upstream_headers(models), trace.one("upstream")
    assert received["traceparent"] == f"00-{trace_id}-{upstream.span_id.hex()}-01"
    assert received["tracestate"] == "vendor=x"


def test_a_malformed_trace_of_the_client_is_not_passed_on(router: Router, models: Models, collector: Collector) -> None:
    response = router.post(CHAT, saying(), traceparent="00-nonsense", tracestate="vendor=x")
    trace = collector.trace_of(response.headers["x-request-id"])
    received = upstream_headers(models)
    ours = f"00-{trace.server.trace_id.hex()}-{trace.one('upstream').span_id.hex()}-"
    assert received["traceparent"].startswith(ours)
    assert "tracestate" not in received
    assert not trace.server.parent_span_id


def test_a_stream_is_traced_to_its_end(router: Router, collector: Collector) -> None:
    id, seen = "", b""
    with router.http.stream("POST", CHAT, json=saying(stream=True, max_tokens=20)) as response:
        id = response.headers["x-request-id"]
        for part in response.iter_raw():
            seen += part
        ended = time.time_ns()
    trace = collector.trace_of(id)
    upstream = trace.one("upstream")
    (event,) = upstream.events
    assert event.name == "first token"
    assert upstream.start_time_unix_nano <= event.time_unix_nano <= upstream.end_time_unix_nano
    assert upstream.end_time_unix_nano <= ended
    assert b"[DONE]" in seen
    assert about(trace.server)["smart_router.outcome"] == "ok"


def a_caller(router: Router, path: str, body: Mapping[str, Any], id: str) -> socket.socket:
    """A client that has asked and not yet read."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nX-Request-ID: {id}\r\n"
    connection = socket.create_connection(("127.0.0.1", router.port), timeout=SOON_S)
    connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return connection


@pytest.mark.parametrize("path", ["/route", CHAT])
def test_a_stream_whose_client_leaves_ends_as_aborted_and_not_before(
    router: Router, models: Models, collector: Collector, path: str
) -> None:
    id = a_session()
    models.agent.fail("never-ends")
    body = {"query": PYTHON, "stream": True} if path == "/route" else saying(stream=True)
    with a_caller(router, path, body, id) as caller:
        seen = b""
        while seen.count(b"data:") < 5:
            seen += caller.recv(65_536)
        other = router.http.post("/classify", json={"query": PYTHON})
        collector.trace_of(other.headers["x-request-id"])  # what had ended before it has come by now
        assert id not in [about(span).get("smart_router.request_id") for span in collector.spans]
        left = time.time_ns()
    trace = collector.trace_of(id)
    for span in (trace.server, trace.one("upstream")):
        assert about(span)["smart_router.outcome"] == "aborted"
        assert span.end_time_unix_nano > left
        assert span.status.code == Status.STATUS_CODE_UNSET
    assert trace.one("upstream").events[0].time_unix_nano < left


def test_a_client_that_leaves_before_the_first_word_ends_its_spans(
    router: Router, models: Models, collector: Collector
) -> None:
    id = a_session()
    models.agent.fail("stall-before-headers")
    with a_caller(router, "/route", {"query": PYTHON}, id):
        models.agent.wait_for_running(1)
    trace = collector.trace_of(id)
    assert about(trace.one("upstream"))["smart_router.outcome"] == "aborted"
    told = about(trace.server)
    assert (told["smart_router.outcome"], told["http.response.status_code"]) == ("aborted", 499)


def test_a_failure_in_mid_stream_is_an_error_of_both_spans(
    router: Router, models: Models, collector: Collector
) -> None:
    id = a_session()
    models.agent.fail("reset-mid-stream", count=1)
    with a_caller(router, "/route", {"query": PYTHON, "stream": True}, id) as caller:
        seen = b""
        while b"event: error" not in seen:
            seen += caller.recv(65_536)
    trace = collector.trace_of(id)
    for span in (trace.server, trace.one("upstream")):
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert about(span)["error.type"] == "upstream_broke"


def test_a_refused_request_is_traced_too(router: Router, collector: Collector) -> None:
    response = router.http.post("/route", json={"query": PYTHON, "colour": "red"})
    assert response.status_code == 400
    trace = collector.trace_of(response.headers["x-request-id"])
    assert (trace.server.name, trace.names) == ("POST /route", [])
    assert about(trace.server)["http.response.status_code"] == 400


def test_a_decision_alone_is_traced(router: Router, collector: Collector) -> None:
    response = router.classify(PYTHON)
    trace = collector.trace_of(response.json()["request_id"])
    assert (trace.server.name, trace.names) == ("POST /classify", ["classify"])
    assert about(trace.server)["smart_router.use_case"] == "agent"


def test_an_upload_is_traced(router: Router, collector: Collector) -> None:
    file = ("a.wav", a_sound(), "audio/wav")
    response = router.http.post("/v1/audio/transcriptions", data={"model": "auto"}, files={"file": file})
    assert response.status_code == 200
    trace = collector.trace_of(response.headers["x-request-id"])
    assert (trace.server.name, trace.names) == ("POST /v1/audio/transcriptions", ["upstream"])


def test_each_attempt_is_a_span(router: Router, models: Models, collector: Collector) -> None:
    models.agent.fail("error-500", count=1)
    answer = router.answer(PYTHON)
    trace = collector.trace_of(answer["request_id"])
    attempts = [about(span) for span in trace.all("upstream")]
    ended = [(told["smart_router.model"], told["smart_router.outcome"]) for told in attempts]
    assert ended == [(AGENT, "upstream_broke"), (MULTIMODAL, "ok")]
    told = about(trace.server)
    assert (told["smart_router.fallback_from"], told["smart_router.outcome"]) == (AGENT, "ok")


def test_the_log_names_the_trace_where_it_is_kept(
    servers: Models, models: Models, collector: Collector, tmp_path: Path
) -> None:
    """And spans that wait when the process is told to end are sent: these wait for an hour otherwise."""
    registry, log = a_registry(tmp_path, servers.endpoints), tmp_path / "log"
    variables = {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_SERVICE_NAME": "router-two"}
    with a_process(registry, log, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **variables) as router:
        kept = router.answer(PYTHON)["request_id"]
        unkept = router.post("/route", {"query": PYTHON}, traceparent=f"00-{TRACE}-{PARENT}-00").json()["request_id"]
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    by_id = {line["request_id"]: line for line in lines if line["event"] == "request"}
    assert by_id[kept]["trace_id"] == collector.trace_of(kept).server.trace_id.hex()
    assert "trace_id" not in by_id[unkept]
    assert "router-two" in collector.services


def test_nothing_of_what_is_said_leaves_with_the_spans(router: Router, collector: Collector) -> None:
    """Neither queries, answers nor keys; a session only as a hash."""
    id, marked = a_session(), "Write a Python function that sorts zebrafish"
    answered = router.answer(marked, session_id=id, user_id="ann-zebrafish", context={"note": "zebrafish"})
    chatted = router.chat(f"{marked}, please", session=id, user="zebrafish")
    failed = router.http.post("/route?zebrafish=1", json={"query": marked, "zebrafish": 1})
    unknown = router.http.post("/v1/zebrafish", json={"model": "zebrafish"}, headers={"X-API-Key": f"{KEY}-zebrafish"})
    for found in (answered["request_id"], *(r.headers["x-request-id"] for r in (chatted, failed, unknown))):
        collector.trace_of(found)
    sent = b"".join(collector.bodies)
    assert PYTHON.encode() not in sent
    assert b"zebrafish" not in sent
    assert id.encode() not in sent
    assert answered["result"].encode() not in sent


@pytest.mark.parametrize("collecting", ["nobody listens", "it never answers"])
def test_a_collector_that_is_away_harms_nothing(
    servers: Models, models: Models, tmp_path: Path, collecting: str
) -> None:
    registry, log = a_registry(tmp_path, servers.endpoints), tmp_path / "log"
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listening.getsockname()[1] if collecting == "it never answers" else free_port()
        bounded = {"OTEL_BSP_MAX_QUEUE_SIZE": "16", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"}
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", **bounded}
        with a_process(registry, log, **where) as router:
            slowest = max(router.answer(PYTHON)["total_time"] for _ in range(60))
            stopping = time.monotonic()
        assert time.monotonic() - stopping < 20, "the process waits for its collector at the end"
    assert slowest < SOON_S
    lines = log.read_text().splitlines()
    assert not [line for line in lines if "Traceback" in line]
    complaints = [line for line in lines if "OpenTelemetry warns" in line]
    assert len(complaints) == 1
    assert len([line for line in lines if '"event":"request"' in line]) == 60


def test_a_router_that_does_not_trace_passes_a_trace_on_as_it_is(embedded_router: Router, models: Models) -> None:
    given = f"00-{TRACE}-{PARENT}-01"
    embedded_router.post(CHAT, saying(), traceparent=given, tracestate="vendor=x")
    received = upstream_headers(models)
    assert (received["traceparent"], received["tracestate"]) == (given, "vendor=x")


def test_tracing_without_its_packages_stops_the_start_with_what_to_do() -> None:
    without = "import sys; sys.modules['opentelemetry.sdk'] = None; from smart_router.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, "serve", "--port", str(free_port())],
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:4318"),
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'smart-router[tracing]'" in done.stderr
    assert "Traceback" not in done.stderr
