"""Model servers that fail behind the OpenAI-style paths, clients that leave: honest errors, and nothing stays taken."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from smart_router.simulate import FaultName
from tests.upstream.scripted import HANG_UP, STALL, STREAM_END, STREAM_HEAD, answer, chunk, delta, event

from .asking import CHAT, DONE, FOLLOW_UP, PYTHON, a_session, content_of, data_of, read_named, saying
from .models import AGENT, AUDIO, MULTIMODAL, SOON_S, Models, Recorder, a_recorder
from .routers import Router, a_registry, running_router, until, wait_for_idle
from .test_leaving import aborted

DEADLINE_S = 1.0
QUEUE_TIMEOUT_S = 30.0
ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})


@pytest.fixture(scope="module")
def hasty(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router with short deadlines, and one place at each replica: a place not given back is missed at once."""
    changed = {model: {"max_in_flight": 1, "max_queue": 0} for model in (AGENT, MULTIMODAL, AUDIO)}
    registry = a_registry(tmp_path_factory.mktemp("narrow"), servers.endpoints, changed)
    deadlines = {"first_byte_timeout": DEADLINE_S, "between_chunks_timeout": DEADLINE_S, "open_timeout": 2.0}
    deadlines["queue_timeout"] = QUEUE_TIMEOUT_S
    with running_router(registry, health_interval=0.2, **deadlines) as router:
        yield router


@pytest.fixture
def router(hasty: Router, models: Models) -> Iterator[Router]:
    """After whatever happened, the one place is free again; once the replica has had the rest that it asked for."""
    yield hasty
    models.reset()
    wait_for_idle(hasty)
    for server in models.all:
        server.wait_for_running(0)
    deadline = time.monotonic() + SOON_S
    while (response := hasty.chat("Hello", model=AGENT)).status_code != 200:
        assert time.monotonic() < deadline, response.text
        time.sleep(0.05)


def told(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The error in the envelope of its path, which names nothing inside."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].partition(";")[0] == "application/json"
    assert response.headers["x-request-id"]
    body = response.json()
    if response.request.url.path == "/v1/messages":
        assert body["type"] == "error"
    else:
        assert body["error"].keys() == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    assert error["message"]
    assert error["type"]
    assert "127.0.0.1" not in response.text
    return error


ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, saying(PYTHON, model=AGENT)),
    "completions": ("/v1/completions", {"model": AGENT, "prompt": PYTHON, "max_tokens": 40}),
    "responses": ("/v1/responses", {"model": AGENT, "input": PYTHON}),
    "messages": ("/v1/messages", saying(PYTHON, model=AGENT, max_tokens=40)),
}
ask = pytest.mark.parametrize(("path", "body"), ASKS.values(), ids=ASKS.keys())


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@ask
def test_a_failure_of_the_only_replica_is_an_error(
    router: Router, models: Models, path: str, body: Any, stream: bool
) -> None:
    session = a_session()
    models.agent.fail("error-500")
    told(router.post(path, body | {"stream": stream}, session=session), 502)
    assert not router.knows(session)


@pytest.mark.parametrize(
    ("fault", "statuses", "name", "stream"),
    [
        ("refuse-503", {503}, "chat", False),
        ("refuse-503", {503}, "messages", True),
        ("rate-limit-429", {429, 503}, "chat", True),
    ],
)
def test_a_busy_only_replica_makes_the_client_come_back(
    router: Router, models: Models, fault: FaultName, statuses: set[int], name: str, stream: bool
) -> None:
    path, body = ASKS[name]
    models.agent.fail(fault)
    response = router.post(path, body | {"stream": stream})
    assert response.status_code in statuses
    told(response, response.status_code)
    assert float(response.headers["retry-after"]) >= 1


@ask
def test_an_error_before_the_first_word_is_no_stream(router: Router, models: Models, path: str, body: Any) -> None:
    """The model server opened its stream and then failed: nothing of it had been passed on."""
    models.agent.fail("role-then-error")
    told(router.post(path, body | {"stream": True}), 502)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_no_answer_in_time_is_a_504(router: Router, models: Models, stream: bool) -> None:
    models.agent.fail("stall-before-headers")
    started = time.monotonic()
    told(router.chat(PYTHON, model=AGENT, stream=stream), 504)
    assert time.monotonic() - started > 0.9 * DEADLINE_S


def test_a_plain_answer_that_is_no_json_is_a_502(router: Router, models: Models) -> None:
    models.agent.fail("broken-json")
    told(router.chat(PYTHON, model=AGENT), 502)


def test_a_plain_answer_cut_in_the_middle_is_never_a_whole_one(router: Router, models: Models) -> None:
    models.agent.fail("reset-mid-stream")
    try:
        response = router.chat(PYTHON, model=AGENT)
    except httpx2.RemoteProtocolError:
        return  # cut for the client as well
    told(response, 502)


@pytest.mark.parametrize("fault", ["reset-mid-stream", "stall-mid-stream"])
def test_a_stream_cut_in_the_middle_ends_with_an_error_event(router: Router, models: Models, fault: FaultName) -> None:
    models.agent.fail(fault)
    response = router.chat(PYTHON, model=AGENT, stream=True)
    assert response.status_code == 200
    seen = data_of(response.content)
    assert DONE not in seen
    error = seen[-1]["error"]
    assert error["message"]
    assert error["type"]
    assert "127.0.0.1" not in response.text
    assert all("error" not in data for data in seen[:-1])
    assert content_of(response.content.rpartition(b"data:")[0]), "what had been said is passed on"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_so_does_one_of_another_api_in_its_own_form(router: Router, models: Models, path: str) -> None:
    models.agent.fail("reset-mid-stream")
    response = router.post(path, saying(PYTHON, model=AGENT, input=PYTHON, max_tokens=40, stream=True))
    assert response.status_code == 200
    seen = read_named(response.content)
    name, data = seen[-1]
    assert data.get("error") or data["type"] == "error"
    assert not {"message_stop", "response.completed"} & {name for name, _ in seen}
    if path == "/v1/messages":
        assert (name, data["type"]) == ("error", "error")
        assert data["error"]["type"]
        assert data["error"]["message"]


def test_an_error_event_of_the_model_server_in_mid_stream_passes_as_it_is(
    recorded_router: Router, recorder: Recorder
) -> None:
    stream = delta("Hello") + event({"error": {"message": "out of memory", "code": 500}}) + b"data: [DONE]\n\n"
    recorder.tell(STREAM_HEAD, chunk(stream), STREAM_END)
    assert recorded_router.chat(PYTHON, model=AGENT, stream=True).content == stream


@pytest.mark.parametrize(
    "before", [b"", ROLE, b": ping\n\n" + ROLE, ROLE + delta("")], ids=["nothing", "a role", "a comment", "no text"]
)
def test_nothing_is_passed_on_before_the_first_word(recorded_router: Router, recorder: Recorder, before: bytes) -> None:
    recorder.tell(STREAM_HEAD, *([chunk(before)] if before else []), HANG_UP)
    told(recorded_router.chat(PYTHON, model=AGENT, stream=True), 502)


def test_half_an_event_is_not_passed_on_as_an_error(recorded_router: Router, recorder: Recorder) -> None:
    """What the client reads stays a stream of events: the error is one of its own."""
    recorder.tell(STREAM_HEAD, chunk(delta("Hello") + b'data: {"choices": [{"del'), HANG_UP)
    response = recorded_router.chat(PYTHON, model=AGENT, stream=True)
    assert response.status_code == 200
    *_, last = response.content.decode().strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["message"]
    assert DONE not in response.text


def test_a_tool_call_counts_as_the_first_word(recorded_router: Router, recorder: Recorder) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    stream = ROLE + event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
    recorder.tell(STREAM_HEAD, chunk(stream), HANG_UP)
    response = recorded_router.chat(PYTHON, model=AGENT, stream=True)
    assert response.status_code == 200
    assert response.content.startswith(stream)
    assert "error" in data_of(response.content)[-1]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Router, dict[str, Recorder]]]:
    """A router whose replicas may be left to rest for long."""
    with ExitStack() as stack:
        recorders = {model: stack.enter_context(a_recorder()) for model in (AGENT, MULTIMODAL, AUDIO)}
        endpoints = {model: [recorder.url] for model, recorder in recorders.items()}
        registry = a_registry(tmp_path_factory.mktemp("busy"), endpoints)
        yield stack.enter_context(running_router(registry)), recorders


@pytest.mark.parametrize(
    ("model", "status", "given", "least", "most"),
    [(AGENT, 429, "7", 7, 7), (MULTIMODAL, 503, "nonsense", 0, 60), (AUDIO, 503, "999999999", 1, 3600)],
)
def test_retry_after_is_passed_on_within_reason(
    busy: tuple[Router, dict[str, Recorder]], model: str, status: int, given: str, least: int, most: int
) -> None:
    router, recorders = busy
    recorders[model].tell(answer(status, b'{"error":{"message":"busy"}}', Retry_After=given))
    response = router.chat(PYTHON, model=model)
    assert response.status_code in {503, status}
    assert least <= float(response.headers["retry-after"]) <= most


def test_a_refusal_is_not_remembered_against_the_replica(router: Router, models: Models) -> None:
    for _ in range(5):
        assert router.chat(PYTHON, model=AGENT, max_tokens=-1).status_code == 400
    assert router.chat(PYTHON, model=AGENT).status_code == 200


def test_a_full_replica_without_a_queue_is_a_503_at_once(router: Router, models: Models) -> None:
    models.agent.fail("never-ends")
    with a_caller(router, *ASKS["chat"], stream=True) as caller:
        read_until(caller, b"content")
        started = time.monotonic()
        response = router.chat(PYTHON, model=AGENT)
        assert time.monotonic() - started < QUEUE_TIMEOUT_S
        told(response, 503)
        assert float(response.headers["retry-after"]) >= 1


# clients that leave


def a_caller(router: Router, path: str, body: Any, **fields: Any) -> socket.socket:
    """A client that has asked and not yet read."""
    content = json.dumps(body | fields).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nX-Session-ID: {a_session()}\r\n"
    connection = socket.create_connection(("127.0.0.1", router.port), timeout=SOON_S)
    connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content)
    return connection


def read_until(caller: socket.socket, sign: bytes) -> None:
    seen = b""
    while sign not in seen:
        more = caller.recv(65_536)
        assert more, f"the answer ended without {sign!r}: {seen[-500:]!r}"
        seen += more


def freed(router: Router, models: Models, before: float) -> None:
    """As the client left, and not by a deadline."""
    models.agent.wait_for_running(0)
    wait_for_idle(router)
    until(lambda: aborted(router) > before)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@ask
def test_a_client_that_leaves_before_the_first_word_frees_the_model(
    embedded_router: Router, models: Models, path: str, body: Any, stream: bool
) -> None:
    models.agent.fail("stall-before-headers")
    before = aborted(embedded_router)
    with a_caller(embedded_router, path, body, stream=stream):
        models.agent.wait_for_running(1)
    freed(embedded_router, models, before)


SIGNS = {"chat": b'"content"', "completions": b'"text"', "responses": b"output_text.delta", "messages": b"text_delta"}


@pytest.mark.parametrize("name", SIGNS)
def test_a_client_that_leaves_in_mid_stream_frees_the_model(embedded_router: Router, models: Models, name: str) -> None:
    models.agent.fail("never-ends")
    before = aborted(embedded_router)
    with a_caller(embedded_router, *ASKS[name], stream=True) as caller:
        read_until(caller, SIGNS[name])
        assert models.agent.running() == 1
    freed(embedded_router, models, before)


def test_a_client_that_leaves_while_the_model_is_silent_frees_it(embedded_router: Router, models: Models) -> None:
    models.agent.fail("stall-mid-stream")
    before = aborted(embedded_router)
    with a_caller(embedded_router, *ASKS["chat"], stream=True) as caller:
        read_until(caller, b"content")
    freed(embedded_router, models, before)


def test_a_client_that_sends_half_a_request_takes_no_place(router: Router) -> None:
    with socket.create_connection(("127.0.0.1", router.port), timeout=SOON_S) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
        connection.sendall(head.encode() + b'{"model"')


def test_a_session_whose_client_left_goes_on(router: Router, models: Models) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session)
    models.agent.fail("never-ends", count=1)
    with a_caller(router, CHAT, saying(FOLLOW_UP, session_id=session), stream=True):
        models.agent.wait_for_running(1)
    models.agent.wait_for_running(0)
    wait_for_idle(router)
    headers = router.chatted(FOLLOW_UP, session=session).headers
    assert (headers["x-route-reason"], headers["x-route-bypass"]) == ("session", "true")


ENDINGS: dict[str, tuple[FaultName | None, bool]] = {
    "clean": (None, False),
    "clean stream": (None, True),
    "refused": ("error-500", False),
    "failed before the first word": ("role-then-error", True),
    "reset": ("reset-mid-stream", True),
    "reset, plain": ("reset-mid-stream", False),
    "broken": ("broken-json", False),
}


@pytest.mark.parametrize(("fault", "stream"), ENDINGS.values(), ids=ENDINGS.keys())
@ask
def test_however_it_ends_the_place_is_given_back(
    router: Router, models: Models, path: str, body: Any, fault: FaultName | None, stream: bool
) -> None:
    """Three times, as there is only one place; once too often would show in the gauge, too."""
    for _ in range(3):
        if fault:
            models.agent.fail(fault, count=1)
        try:
            router.post(path, body | {"stream": stream})
        except httpx2.RemoteProtocolError:
            assert (fault, stream) == ("reset-mid-stream", False)
        wait_for_idle(router)


def test_many_clients_that_leave_leave_nothing_behind(embedded_router: Router, models: Models) -> None:
    models.agent.fail("stall-before-headers")
    with ExitStack() as callers:
        for number in range(20):
            callers.enter_context(a_caller(embedded_router, *ASKS["chat"], stream=number % 2 == 0))
        models.agent.wait_for_running(20)
    models.agent.wait_for_running(0)
    wait_for_idle(embedded_router)
    models.reset()
    assert embedded_router.chat(PYTHON).status_code == 200


def test_a_router_that_stops_gives_up_its_streams(models: Models, tmp_path_factory: pytest.TempPathFactory) -> None:
    models.agent.fail("never-ends")
    with ExitStack() as callers:
        with running_router(a_registry(tmp_path_factory.mktemp("stopping"), models.endpoints)) as router:
            for stream in (True, False):
                callers.enter_context(a_caller(router, *ASKS["chat"], stream=stream))
            models.agent.wait_for_running(2)
        models.agent.wait_for_running(0)


def test_a_client_that_does_not_read_holds_the_model_server_back(recorded_router: Router, recorder: Recorder) -> None:
    """Of an endless answer only so much is taken in as fits into buffers."""
    written = 0

    def endless() -> Iterator[bytes]:
        nonlocal written
        yield STREAM_HEAD
        while written < 64 * 1024 * 1024:
            written += 65_536
            yield chunk(event({"choices": [{"delta": {"content": "x" * 65_400}}]}))

    recorder.script = lambda _: endless()
    with a_caller(recorded_router, CHAT, saying(PYTHON, model=AGENT), stream=True) as caller:
        read_until(caller, b"content")
        settled(lambda: written)
        assert written < 32 * 1024 * 1024
    wait_for_idle(recorded_router)


def settled(count: Callable[[], int]) -> None:
    """Wait until *count* stands still for a fifth of a second."""
    deadline, last = time.monotonic() + SOON_S, -1
    while (now := count()) != last:
        assert time.monotonic() < deadline
        last = now
        time.sleep(0.2)


def test_a_stream_is_passed_on_as_it_is_made(recorded_router: Router, recorder: Recorder) -> None:
    recorder.tell(STREAM_HEAD, chunk(ROLE), chunk(delta("Hello")), STALL)
    with a_caller(recorded_router, CHAT, saying(PYTHON, model=AGENT), stream=True) as caller:
        read_until(caller, b"Hello")
    recorder.wait_for(lambda it: it.closed.is_set(), "the client to leave")
    wait_for_idle(recorded_router)
