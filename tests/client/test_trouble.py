"""What goes wrong between a client and a router: a sentence that says what to do, and nothing is lost or done twice."""

import json
import socket
import threading
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from smart_router.cli.processes import free_port
from smart_router.client import (
    BadInput,
    Client,
    ClientError,
    NotARouter,
    RouterRefused,
    RouterUnreachable,
    StreamBroken,
)
from tests.client.blocking import Connect
from tests.e2e.asking import PYTHON
from tests.e2e.models import Models, Recorder
from tests.e2e.routers import Router, wait_until_rested
from tests.upstream.scripted import HANG_UP, RESET, STALL, STREAM_END, STREAM_HEAD, Step, answer, chunk

DECISION = {"use_case": "agent", "selected_model": "m", "session_id": "s-1", "confidence": 0.9, "reason": "classified"}
RECORD = DECISION | {"success": True, "result": "Hello", "usage": {"total_tokens": 7}}
HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"


def record(**changed: Any) -> bytes:
    return answer(200, json.dumps(RECORD | changed).encode())


def refusal(status: int, code: str = "overloaded", **headers: str) -> bytes:
    said = {"success": False, "error_message": "no room", "error_code": code, "request_id": "r-1"}
    return answer(status, json.dumps(said).encode(), **headers)


def event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def delta(text: str) -> bytes:
    return f"data: {json.dumps({'delta': text})}\n\n".encode()


def streamed(*events: bytes) -> bytes:
    return STREAM_HEAD + b"".join(chunk(data) for data in events)


ROUTE = event("route", DECISION)
DONE = event("done", {name: value for name, value in RECORD.items() if name != "result"})


def in_turn(recorder: Recorder, *scripts: Step | tuple[Step, ...]) -> None:
    """Each request gets the next of them, and all that follow the last."""
    waiting = [script if isinstance(script, tuple) else (script,) for script in scripts]
    recorder.script = lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


@pytest.fixture
def client(connect: Connect, recorder: Recorder) -> Client:
    """Of what is no router at all, but says what a test wants."""
    return connect(recorder.url)


# nobody there


def test_no_server_is_said_with_what_to_do(connect: Connect) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RouterUnreachable, match=rf"no router at {url} .*; start one with `smart-router serve`") as told:
        connect(url, retries=0).route(PYTHON)
    assert not told.value.asked
    assert not isinstance(told.value, NotARouter)
    with pytest.raises(RouterUnreachable, match="no router at"), connect(url, retries=0).stream(PYTHON):
        pass


def test_a_refused_connection_is_tried_again(connect: Connect, embedded_router: Router) -> None:
    """The router is there by the second attempt, whenever that is."""
    port = free_port()
    client = connect(f"http://127.0.0.1:{port}", retries=12)

    def answer_late() -> None:
        with socket.create_server(("127.0.0.1", port)) as listening:
            listening.settimeout(20)
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(record())

    late = threading.Timer(0.3, answer_late)
    late.start()
    assert client.route(PYTHON).result == "Hello"
    late.join()


def test_a_name_that_nobody_has_is_said(connect: Connect) -> None:
    with pytest.raises(RouterUnreachable, match=r"no router at http://nobody\.invalid"):
        connect("http://nobody.invalid", retries=0).health()


@pytest.mark.parametrize(
    "url", ["localhost:8001", "ftp://localhost", "http://", "http://a b", "http://h:99999", "http://h?x=1"]
)
def test_what_is_no_address_is_refused_at_once(connect: Connect, url: str) -> None:
    with pytest.raises(BadInput, match=r"url: .*(give one such as http://localhost:8001|leave out)"):
        connect(url)


def test_an_address_with_a_password_is_refused_and_not_told(connect: Connect) -> None:
    """It would take the key's place in the request, and stand in every message."""
    with pytest.raises(BadInput, match="url: has a user name or a password in it; leave them out") as told:
        connect("http://somebody:hunter2@localhost", "sk-1")
    assert "hunter2" not in str(told.value)


def test_an_answer_of_nothing_but_brackets_is_no_routers(client: Client, recorder: Recorder) -> None:
    in_turn(recorder, answer(200, b"[" * 500_000, Connection="close"))
    with pytest.raises(NotARouter):
        client.call("GET", "/stats")


@pytest.mark.parametrize("key", ["sk-größe", "sk-a b", "sk-a\nX: y"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_told(connect: Connect, key: str) -> None:
    with pytest.raises(BadInput, match="key: ") as told:
        connect("http://localhost", key)
    assert key not in str(told.value)


# somebody else there


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(200, HTML, "text/html", Connection="close"), "answered without JSON; is that a smart-router's address"),
        (answer(404, HTML, "text/html", Connection="close"), "answered 404 with text/html, which no smart-router does"),
        (answer(502, HTML, "text/html", Connection="close"), "a proxy in front of it may find no router"),
        (answer(401, HTML, "text/html", Connection="close"), "may want a login"),
        (
            answer(301, Connection="close", Location="https://there.example/"),
            "leads on to https://there",
        ),
        (answer(200, b'{"object": "list"}', Connection="close"), "no smart-router, or one of another version"),
        (answer(200, b"{oops", Connection="close"), "answered without JSON"),
        (
            answer(418, b'{"message": "I am a teapot"}', Connection="close"),
            "answered 418 with application/json, which no",
        ),
        (b"-ERR unknown command `POST`\r\n\r\n", "something that is no HTTP"),
    ],
)
def test_whoever_is_no_router_is_called_so(client: Client, recorder: Recorder, said: bytes, words: str) -> None:
    recorder.tell(said, HANG_UP)
    with pytest.raises(NotARouter, match=words):
        client.route(PYTHON)
    assert len(recorder.requests) == 1
    with pytest.raises(NotARouter), client.stream(PYTHON):
        pass


# another version


def test_a_later_versions_fields_and_events_are_skipped(client: Client, recorder: Recorder) -> None:
    recorder.tell(record(moon="full", usage={"total_tokens": 7, "cached_tokens": 3}, reason="astrology"))
    told = client.route(PYTHON)
    assert (told.result, told.usage.total_tokens, told.reason) == ("Hello", 7, "astrology")
    later = event("mood", {"mood": "good"})
    recorder.tell(streamed(b": waiting\n\n", ROUTE, later, delta("Hel"), later, delta("lo"), DONE, later), STREAM_END)
    with client.stream(PYTHON) as stream:
        assert list(stream) == ["Hel", "lo"]
    assert stream.answer
    assert stream.answer.result == "Hello"


def test_an_earlier_versions_answers_lack_only_what_is_optional(client: Client, recorder: Recorder) -> None:
    few = {name: RECORD[name] for name in ("use_case", "selected_model", "session_id", "result")}
    recorder.tell(answer(200, json.dumps(few).encode()))
    told = client.route(PYTHON)
    assert (told.reason, told.usage.total_tokens, told.finish_reason) == ("", 0, None)
    recorder.tell(answer(200, json.dumps(few | {"use_case": None}).encode()))
    with pytest.raises(NotARouter, match=r"one of another version; use the client of that version"):
        client.route(PYTHON)


def test_what_an_earlier_version_does_not_have_is_told_as_that(client: Client, recorder: Recorder) -> None:
    recorder.tell(refusal(404, "not_found"))
    with pytest.raises(RouterRefused, match=r"no room; the router at .* may be older than this client \(version "):
        client.sessions()


# later, please


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_told_to_come_back_comes_back(client: Client, recorder: Recorder, status: int) -> None:
    in_turn(recorder, refusal(status, Retry_After="0"), answer(status, HTML, "text/html", Retry_After="0"), record())
    assert client.route(PYTHON).result == "Hello"
    assert len(recorder.requests) == 3
    in_turn(recorder, refusal(status, Retry_After="0"), (streamed(ROUTE, delta("Hello"), DONE), STREAM_END))
    with client.stream(PYTHON) as stream:
        assert list(stream) == ["Hello"]


def test_who_is_refused_too_often_gives_up(connect: Connect, recorder: Recorder) -> None:
    recorder.tell(refusal(503, Retry_After="0"))
    with pytest.raises(RouterRefused, match="no room; try again in 0 s") as told:
        connect(recorder.url, retries=1).route(PYTHON)
    assert (told.value.status, told.value.code, told.value.retry_after_s) == (503, "overloaded", 0.0)
    assert (told.value.message, told.value.request_id) == ("no room", "r-1")
    assert len(recorder.requests) == 2


@pytest.mark.parametrize("later", ["61", formatdate(4_000_000_000, usegmt=True)])
def test_who_would_have_to_wait_long_is_told_at_once(client: Client, recorder: Recorder, later: str) -> None:
    recorder.tell(refusal(429, Retry_After=later))
    with pytest.raises(RouterRefused) as told:
        client.route(PYTHON)
    assert (told.value.retry_after_s or 0) > 60
    assert len(recorder.requests) == 1


def test_who_has_no_time_left_is_told_at_once(connect: Connect, recorder: Recorder) -> None:
    recorder.tell(refusal(503, Retry_After="30"))
    with pytest.raises(RouterRefused):
        connect(recorder.url, timeout_s=20).route(PYTHON)
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500, 502, 504])
def test_other_refusals_are_final(client: Client, recorder: Recorder, status: int) -> None:
    recorder.tell(refusal(status, Retry_After="0"))
    with pytest.raises(RouterRefused):
        client.route(PYTHON)
    assert len(recorder.requests) == 1


def test_a_model_server_that_is_busy_is_waited_for(connect: Connect, embedded_router: Router, models: Models) -> None:
    """End to end: the only replica is left alone for a second, in which the router refuses."""
    models.agent.fail("refuse-503", count=1)
    assert connect(embedded_router.url, retries=5).route(PYTHON).use_case == "agent"
    wait_until_rested(embedded_router)


# lost on the way


@pytest.mark.parametrize("step", [HANG_UP, RESET])
def test_who_may_have_been_asked_is_not_asked_twice(client: Client, recorder: Recorder, step: Step) -> None:
    recorder.tell(step)
    with pytest.raises(RouterUnreachable, match="it may or may not have been asked") as told:
        client.route(PYTHON)
    assert told.value.asked
    with pytest.raises(RouterUnreachable), client.stream(PYTHON):
        pass
    assert len(recorder.requests) == 2


def test_what_can_be_asked_twice_is(client: Client, recorder: Recorder) -> None:
    in_turn(recorder, HANG_UP, answer(200, json.dumps({"total_requests": 3}).encode()))
    assert client.stats().total_requests == 3


def test_an_answer_cut_in_the_middle_is_not_asked_for_again(client: Client, recorder: Recorder) -> None:
    recorder.tell(record()[:-9], HANG_UP)
    for ask in (lambda: client.route(PYTHON), client.stats):
        with pytest.raises(StreamBroken, match="broke off"):
            ask()
    assert len(recorder.requests) == 2


@pytest.mark.parametrize("end", [HANG_UP, RESET])
def test_a_broken_stream_keeps_what_had_come(client: Client, recorder: Recorder, end: Step) -> None:
    recorder.tell(streamed(ROUTE, delta("Hel"), delta("lo")), end)
    words: list[str] = []
    with (
        client.stream(PYTHON) as stream,
        pytest.raises(StreamBroken, match=r"after 5 characters, .*; ask again") as told,
    ):
        words.extend(stream)
    assert ("".join(words), told.value.text_so_far, told.value.refusal) == ("Hello", "Hello", None)
    assert stream.decision.session_id == "s-1"
    assert len(recorder.requests) == 1


def test_a_stream_that_the_router_ends_says_why(client: Client, recorder: Recorder) -> None:
    failed = {"success": False, "error_message": "the model server broke", "error_code": "upstream_broke"}
    recorder.tell(streamed(ROUTE, delta("Hello") + event("error", failed)), STREAM_END)
    words: list[str] = []
    with client.stream(PYTHON) as stream, pytest.raises(StreamBroken, match="the model server broke") as told:
        words.extend(stream)
    assert (words, told.value.text_so_far) == (["Hello"], "Hello")
    assert told.value.refusal
    assert told.value.refusal.code == "upstream_broke"


def test_a_refusal_after_a_wait_is_a_refusal(client: Client, recorder: Recorder) -> None:
    failed = {"success": False, "error_message": "it did not wake", "error_code": "model_not_ready"}
    recorder.tell(streamed(b": m is being woken, 5 s so far\n\n", event("error", failed)), STREAM_END)
    with pytest.raises(RouterRefused, match="it did not wake") as told, client.stream(PYTHON):
        pass
    assert (told.value.status, told.value.code) == (200, "model_not_ready")
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    "events",
    [
        [delta("words")],
        [event("route", {"use_case": 3})],
        [ROUTE, b"data: {oops\n\n"],
        [ROUTE, b"data: \xff\n\n"],
        [ROUTE, event("done", {})],
    ],
)
def test_a_stream_that_makes_no_sense_is_not_believed(client: Client, recorder: Recorder, events: list[bytes]) -> None:
    recorder.tell(streamed(*events), STREAM_END)
    with pytest.raises((NotARouter, StreamBroken)), client.stream(PYTHON) as stream:
        list(stream)


def test_a_stream_that_ends_without_an_end_is_broken(client: Client, recorder: Recorder) -> None:
    recorder.tell(streamed(ROUTE), STREAM_END)
    with client.stream(PYTHON) as stream, pytest.raises(StreamBroken, match="before its first word"):
        list(stream)
    recorder.tell(streamed(b": waiting\n\n"), STREAM_END)
    with pytest.raises(StreamBroken), client.stream(PYTHON):
        pass


def test_a_broken_model_server_breaks_the_stream(connect: Connect, embedded_router: Router, models: Models) -> None:
    """End to end: headers and the first words, then the model server is gone."""
    models.agent.fail("reset-mid-stream")
    with connect(embedded_router.url).stream(PYTHON) as stream, pytest.raises(StreamBroken) as told:
        list(stream)
    assert told.value.text_so_far
    assert told.value.refusal
    assert told.value.refusal.code.startswith("upstream_")


# slow


def test_a_slow_first_byte_ends_with_the_deadline(connect: Connect, recorder: Recorder) -> None:
    recorder.tell(STALL)
    client = connect(recorder.url, timeout_s=0.2)
    with pytest.raises(RouterUnreachable, match=r"did not answer within 0\.2 s; ask again, or give it longer") as told:
        client.route(PYTHON)
    assert told.value.asked
    recorder.wait_for(lambda seen: seen.closed.is_set(), "the client to leave")
    with pytest.raises(RouterUnreachable, match="did not answer within"), client.stream(PYTHON):
        pass


def test_a_stream_may_be_silent_for_so_long(connect: Connect, recorder: Recorder) -> None:
    recorder.tell(streamed(ROUTE, delta("Hello")), STALL)
    for patience in (0.2, 1.0, 5.0, 25.0):  # until it is enough for the stream to begin
        try:
            with (
                connect(recorder.url, timeout_s=patience).stream(PYTHON) as stream,
                pytest.raises(StreamBroken) as told,
            ):
                list(stream)
            break
        except RouterUnreachable:
            continue
    assert told.value.text_so_far == "Hello"
    assert f"said nothing for {patience:g} s" in str(told.value)


@pytest.fixture
def dripping() -> Iterator[str]:
    """Says one byte of its answer after another, and never the last."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
                )
                while not over.wait(0.02):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        dripper = threading.Thread(target=drip)
        dripper.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        dripper.join()


def test_an_answer_that_stops_ends_with_the_deadline(connect: Connect, recorder: Recorder) -> None:
    recorder.tell(record()[:-9], STALL)
    with pytest.raises(RouterUnreachable, match=r"did not answer within 0\.2 s"):
        connect(recorder.url, timeout_s=0.2).route(PYTHON)


def test_an_answer_that_drips_ends_with_the_deadline(connect: Connect, dripping: str) -> None:
    with pytest.raises(RouterUnreachable, match=r"did not answer within 0\.3 s"):
        connect(dripping, timeout_s=0.3).route(PYTHON)


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"connect_s": -1}, {"timeout_s": float("nan")}, {"retries": -1}])
def test_a_patience_that_is_none_is_refused(connect: Connect, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=f"{next(iter(options))}: .* give"):
        connect("http://localhost", **options)


def test_every_error_is_a_client_error() -> None:
    kinds = (BadInput, NotARouter, RouterRefused, RouterUnreachable, StreamBroken)
    assert all(issubclass(kind, ClientError) for kind in kinds)
