"""Errors as clients of each kind expect them: the official libraries choose their exceptions by these fields."""

import json
from typing import Any

import pytest

from smart_router import errors
from smart_router.api import wire
from smart_router.api.envelopes import Dialect, advice, envelope, stream_error
from smart_router.decide import content, sse
from smart_router.errors import (
    BackendBroke,
    BackendBusy,
    BackendRejected,
    BackendTimeout,
    BadRequest,
    BodyTooLarge,
    MethodNotAllowed,
    NoModelAvailable,
    RouterError,
    Unauthorized,
    UnknownModel,
    UnknownPath,
    UnsupportedMedia,
    UpstreamError,
)
from tests.fakes import a_decision

DIALECTS: tuple[Dialect, ...] = ("ours", "openai", "responses", "anthropic")
SECRET = "postgres://user:password@db/7"


def told(error: Exception, dialect: Dialect) -> Any:
    return json.loads(wire.encode(envelope(error, "r1", dialect)))


@pytest.mark.parametrize(
    ("error", "type", "anthropic_type"),
    [
        (BadRequest("x"), "invalid_request_error", "invalid_request_error"),
        (Unauthorized("x"), "authentication_error", "authentication_error"),
        (BackendRejected("x", status=403), "permission_error", "permission_error"),
        (UnknownModel("x"), "invalid_request_error", "not_found_error"),
        (MethodNotAllowed("/x", "POST"), "invalid_request_error", "invalid_request_error"),
        (BodyTooLarge("x"), "invalid_request_error", "request_too_large"),
        (UnsupportedMedia("x"), "invalid_request_error", "invalid_request_error"),
        (BackendRejected("x", status=429), "rate_limit_error", "rate_limit_error"),
        (RouterError("x"), "server_error", "api_error"),
        (UpstreamError("x"), "server_error", "api_error"),
        (NoModelAvailable("x"), "server_error", "overloaded_error"),
        (BackendBusy("x"), "server_error", "overloaded_error"),
        (BackendTimeout("x"), "server_error", "timeout_error"),
        (ValueError("x"), "server_error", "api_error"),
    ],
)
def test_the_type_follows_the_status(error: Exception, type: str, anthropic_type: str) -> None:
    for dialect in ("openai", "responses"):
        found = told(error, dialect)
        assert found.keys() == {"error"}
        assert found["error"].keys() == {"message", "type", "param", "code"}
        assert found["error"]["type"] == type
    found = told(error, "anthropic")
    assert found.keys() == {"type", "error", "request_id"}
    assert found["error"].keys() == {"type", "message"}
    assert (found["type"], found["error"]["type"], found["request_id"]) == ("error", anthropic_type, "r1")


def test_ours_tells_what_was_decided() -> None:
    error = NoModelAvailable("none answers")
    error.decision, error.routing_s = a_decision("stt"), 0.5
    found = told(error, "ours")
    assert (found["success"], found["request_id"], found["use_case"]) == (False, "r1", "stt")
    assert (found["error_code"], found["error_message"]) == ("no_model_available", "none answers")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_messages_of_ours_reach_a_client(dialect: Dialect) -> None:
    assert "none answers" in json.dumps(told(NoModelAvailable("none answers"), dialect))
    for error in (ValueError(SECRET), KeyError(SECRET), OSError(5, SECRET)):
        assert SECRET not in json.dumps(told(error, dialect))
        assert SECRET.encode() not in stream_error(error, "r1", dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_of_a_failing_model_server_a_client_is_told_what_to_do_next(dialect: Dialect) -> None:
    said = "the model server answered 500; ask again shortly; if it goes on, tell whoever runs the router"
    assert said in json.dumps(told(BackendBroke("the model server answered 500"), dialect))
    assert '"it is too long"' in json.dumps(told(BackendRejected("it is too long"), dialect)), "the server says itself"


@pytest.mark.parametrize("error_class", [e for e in vars(errors).values() if isinstance(e, type)])
def test_every_error_of_ours_has_an_envelope(error_class: Any) -> None:
    if not issubclass(error_class, RouterError):
        return
    error = error_class("/x", "POST") if error_class is MethodNotAllowed else error_class("x")
    for dialect in DIALECTS:
        assert told(error, dialect)
        assert advice(error) is not None


@pytest.mark.parametrize(
    ("error", "param"),
    [
        (BadRequest("model: is missing"), "model"),
        (UnknownModel("model: there is no 'x': here"), "model"),
        (BadRequest("session_id: is odd"), "session_id"),
        (BadRequest("attachments[0].url: is odd"), None),
        (BadRequest("the body is not JSON (line 1: column 2)"), None),
        (BadRequest("no colon"), None),
        (BadRequest(": nothing before it"), None),
        (UnknownPath("/v1/x: there is no such path"), None),
        (RouterError("model: of a car"), None),
        (NoModelAvailable("model: none answers"), None),
        (BodyTooLarge("file: too large"), None),
    ],
)
def test_the_field_at_fault_is_named(error: RouterError, param: str | None) -> None:
    assert told(error, "openai")["error"]["param"] == param
    assert told(error, "openai")["error"]["message"] == error.message


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (BadRequest("x"), []),
        (Unauthorized("x"), [(b"www-authenticate", b"Bearer")]),
        (MethodNotAllowed("/x", "GET"), [(b"allow", b"GET")]),
        (NoModelAvailable("x"), [(b"retry-after", b"2")]),
        (NoModelAvailable("x", retry_after_s=0.0), [(b"retry-after", b"1")]),
        (NoModelAvailable("x", retry_after_s=0.01), [(b"retry-after", b"1")]),
        (NoModelAvailable("x", retry_after_s=2.5), [(b"retry-after", b"3")]),
        (BackendBusy("x", retry_after_s=60.0), [(b"retry-after", b"60")]),
        (ValueError("x"), []),
    ],
)
def test_headers_say_what_to_do(error: Exception, headers: list[tuple[bytes, bytes]]) -> None:
    assert list(advice(error)) == headers


# streams that broke off


def events(stream: bytes) -> list[sse.Event]:
    return sse.Parser().feed(stream)


BROKE = UpstreamError('the server\'s "answer"\nbroke\r\noff')


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_error_is_one_event_of_its_own(dialect: Dialect) -> None:
    begun = b"data: {}\n\n"
    first, error = events(begun + stream_error(BROKE, "r1", dialect))
    assert first.data == "{}"
    assert error.event == ("message" if dialect == "openai" else "error")
    assert BROKE.message in error.data.encode().decode("unicode_escape")
    assert content.look_at(error).kind == "error"


@pytest.mark.parametrize("dialect", ["openai", "responses", "anthropic"])
@pytest.mark.parametrize("begun", [b'data: {"choices": [{"del', b"data: {}\n", b"event: x\n", b": ping", b"data: x\r"])
def test_whatever_was_under_way_does_not_swallow_the_error(dialect: Dialect, begun: bytes) -> None:
    *_, error = events(begun + stream_error(BROKE, "r1", dialect))
    assert content.look_at(error).kind == "error"


def test_each_dialect_has_its_own_event() -> None:
    found = {dialect: json.loads(events(b"\n" + stream_error(BROKE, "r1", dialect))[-1].data) for dialect in DIALECTS}
    assert found["openai"]["error"].keys() == {"message", "type", "param", "code"}
    assert found["responses"].keys() == {"type", "code", "message", "param", "sequence_number"}
    assert found["responses"]["type"] == found["anthropic"]["type"] == "error"
    assert found["anthropic"]["error"]["type"] == "api_error"
    assert found["ours"]["error_code"] == "upstream_error"
