"""Bad input: a 4xx that says what to send instead; nothing stored, nothing sent to a model."""

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from .asking import PYTHON, a_session, an_image
from .models import Models
from .redis_process import RedisProcess
from .routers import BODY_LIMIT, Router

JSON = {"Content-Type": "application/json"}
Untouched = Callable[[], None]


@pytest.fixture
def router(redis_router: Router) -> Router:
    return redis_router


@pytest.fixture(autouse=True)
def _nothing_happens(router: Router, models: Models, redis: RedisProcess) -> Iterator[None]:
    """No bad request may store anything or reach a model."""
    before = redis.keys(":s:") | redis.keys(":h:")
    yield
    assert redis.keys(":s:") | redis.keys(":h:") == before
    assert models.requests() == 0


def raw(content: str | bytes) -> Callable[[Router], httpx2.Response]:
    return lambda router: router.http.post("/route", content=content, headers=JSON)


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


def refused(response: httpx2.Response, status: int, *said: str) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert body["success"] is False
    assert isinstance(body["error_code"], str)
    assert body["request_id"] == response.headers["x-request-id"]
    message = body["error_message"]
    assert all(part.lower() in message.lower() for part in said), message
    assert not any(word in message for word in ("Traceback", "msgspec", "pydantic", ".py")), message


FIELDS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"query": None}, ("query", "must be a text")),
    ({"query": ""}, ("query",)),
    ({"query": "   \n\t"}, ("query",)),
    ({"query": 7}, ("query", "must be a text")),
    ({"query": ["a"]}, ("query", "must be a text")),
    ({"query": "x" * 32_769}, ("query", "32768")),
    ({"query": "nul \0 inside"}, ("query",)),
    ({"quary": "x"}, ("quary",)),
    ({"bogus": 1, "other": 2}, ("bogus", "other")),
    ({"session_id": 5}, ("session_id", "must be a text")),
    ({"session_id": "x" * 129}, ("session_id", "128")),
    ({"session_id": "a b"}, ("session_id",)),
    ({"session_id": "a\r\nX-Evil: 1"}, ("session_id",)),
    ({"session_id": "a\0b"}, ("session_id",)),
    ({"session_id": "a/../b"}, ("session_id",)),
    ({"session_id": "sitzung-ü"}, ("session_id",)),
    ({"session_id": "🙂"}, ("session_id",)),
    ({"session_id": "a{b}c*"}, ("session_id",)),
    ({"user_id": 5}, ("user_id", "must be a text")),
    ({"modality": "smell"}, ("modality", "text", "image", "audio", "video")),
    ({"modality": 5}, ("modality",)),
    ({"context": "hindi"}, ("context", "object")),
    ({"context": ["hi"]}, ("context", "object")),
    ({"max_tokens": 0}, ("max_tokens",)),
    ({"max_tokens": -1}, ("max_tokens",)),
    ({"max_tokens": 10**9}, ("max_tokens",)),
    ({"max_tokens": 2**63}, ("max_tokens",)),
    ({"max_tokens": 10**400}, ("max_tokens",)),
    ({"max_tokens": 1.5}, ("max_tokens",)),
    ({"max_tokens": "100"}, ("max_tokens",)),
    ({"max_tokens": True}, ("max_tokens",)),
    ({"temperature": -0.1}, ("temperature", "0")),
    ({"temperature": 2.1}, ("temperature", "2")),
    ({"temperature": "hot"}, ("temperature",)),
    ({"temperature": 10**400}, ("temperature",)),
    ({"use_case": 5}, ("use_case",)),
    ({"stream": "yes"}, ("stream",)),
    ({"stream": 1}, ("stream",)),
    ({"remember": "no"}, ("remember",)),
    ({"attachments": {}}, ("attachments",)),
    ({"attachments": ["x"]}, ("attachments[0]",)),
    ({"attachments": [{}]}, ("attachments[0]", "type")),
    ({"attachments": [{"type": "image"}]}, ("attachments[0]", "url", "data")),
    ({"attachments": [an_image(), {"type": "image", "data": ""}]}, ("attachments[1]", "data")),
    ({"attachments": [{"type": "image", "url": ""}]}, ("attachments[0]", "url")),
    ({"attachments": [an_image(type="smell")]}, ("attachments[0]", "type", "image", "audio", "video")),
    ({"attachments": [an_image(type="text")]}, ("attachments[0]", "type")),
    ({"attachments": [an_image(data="not base64!")]}, ("attachments[0]", "base64")),
    ({"attachments": [an_image(data=5)]}, ("attachments[0]", "data")),
    ({"attachments": [an_image(media_type="image/png\r\nX: 1")]}, ("attachments[0]", "media_type")),
    ({"attachments": [an_image(bogus=1)]}, ("attachments[0]", "bogus")),
    ({"attachments": [{"type": "image", "url": "file:///etc/passwd"}]}, ("attachments[0]", "url", "http")),
    ({"attachments": [{"type": "image", "url": "nonsense"}]}, ("attachments[0]", "url")),
    ({"attachments": [an_image()] * 100}, ("attachments",)),
]


@pytest.mark.parametrize(("fields", "said"), FIELDS, ids=lambda part: str(part)[:50] if isinstance(part, dict) else "")
def test_a_bad_field_is_named_with_what_to_send(router: Router, fields: dict[str, Any], said: tuple[str, ...]) -> None:
    id = a_session()
    refused(router.http.post("/route", json={"query": PYTHON, "session_id": id} | fields), 400, *said)
    assert not router.knows(id)


def test_a_missing_query_is_asked_for(router: Router) -> None:
    refused(router.http.post("/route", json={"session_id": a_session()}), 400, "query")


def test_the_longest_query_is_taken(router: Router) -> None:
    """The limit is of characters; /classify asks without storing."""
    assert router.classify("ß" * 32_768).status_code == 200


BODIES: dict[str, str | bytes] = {
    "nothing": b"",
    "blank": b"   ",
    "no JSON": b"query=hello",
    "half an object": b'{"query": "x"',
    "two objects": b'{"query": "x"}{"query": "y"}',
    "a trailing comma": b'{"query": "x",}',
    "a list": b'[{"query": "x"}]',
    "a string": b'"x"',
    "null": b"null",
    "invalid UTF-8": b'{"query": "\xff\xfe"}',
    "cut UTF-8": b'{"query": "\xe0\xa4"}',
    "latin-1": '{"query": "Grüße"}'.encode("latin-1"),
    "UTF-16": '{"query": "x"}'.encode("utf-16"),
    "a raw NUL": b'{"query": "a\x00b"}',
    "an escaped NUL": b'{"query": "a\\u0000b"}',
    "a lone high surrogate": b'{"query": "a\\ud800b"}',
    "a lone low surrogate": b'{"query": "a\\udc00b"}',
    "a surrogate in UTF-8": b'{"query": "a\xed\xa0\x80b"}',
    "a surrogate in the context": b'{"query": "x", "context": {"domain": "\\ud800"}}',
    "a surrogate in a context key": b'{"query": "x", "context": {"\\ud800": 1}}',
    "a surrogate in an unknown field": b'{"query": "x", "\\ud800": 1}',
    "NaN": b'{"query": "x", "temperature": NaN}',
    "Infinity": b'{"query": "x", "temperature": Infinity}',
    "1e400 as temperature": b'{"query": "x", "temperature": 1e400}',
    "1e400 as max_tokens": b'{"query": "x", "max_tokens": 1e400}',
    "NaN in the context": b'{"query": "x", "context": {"a": NaN}}',
    "100k nested brackets": nested(100_000),
    "100k unclosed brackets": "[" * 100_000,
    "100k nested brackets in the context": '{"query": "x", "context": {"a": ' + nested(100_000) + "}}",
    "100k nested objects in the context": '{"query": "x", "context": ' + nested(100_000, '{"a":', "1}")[:-100_000],
    "100k nested brackets as query": '{"query": ' + nested(100_000) + "}",
    "100k nested brackets in an unknown field": '{"query": "x", "bogus": ' + nested(100_000) + "}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_cannot_be_read_is_a_400(router: Router, body: str | bytes) -> None:
    refused(raw(body)(router), 400)


@pytest.mark.parametrize("digits", [30, 400, 5_000, 100_000])
def test_a_huge_number_is_a_400(router: Router, digits: int) -> None:
    refused(raw('{"query": "x", "max_tokens": ' + "9" * digits + "}")(router), 400)


def test_a_refusal_never_repeats_a_large_body(router: Router) -> None:
    response = router.http.post("/route", json={"query": PYTHON, "bogus" * 10_000: 1})
    refused(response, 400)
    assert len(response.content) < 2_000


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_another_content_type_is_a_415(router: Router, content_type: str) -> None:
    content = json.dumps({"query": PYTHON})
    response = router.http.post("/route", content=content, headers={"Content-Type": content_type})
    refused(response, 415, "application/json")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "bogus"])
def test_a_compressed_body_is_a_415(router: Router, coding: str) -> None:
    content = gzip.compress(json.dumps({"query": PYTHON}).encode())
    response = router.http.post("/route", content=content, headers=JSON | {"Content-Encoding": coding})
    refused(response, 415)


@pytest.mark.parametrize("id", ["a b", "x" * 129, "a/b", "\xfc"])
def test_an_odd_session_id_in_the_header_is_a_400(router: Router, id: str) -> None:
    headers = [(b"X-Session-ID", id.encode("latin-1"))]
    refused(router.http.post("/route", json={"query": PYTHON}, headers=headers), 400, "session")


def test_a_body_declared_too_large_is_refused_unread(router: Router) -> None:
    """Only the head is sent, so an answer shows that nobody waited for the rest."""
    answer = exchange(router, b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"success":false' in answer.replace(b" ", b"")


def test_a_chunked_body_too_large_is_refused_before_its_end(router: Router) -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    count = BODY_LIMIT // 65_536 + 1
    answer = exchange(router, b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * count)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_at_the_limit_is_read(router: Router) -> None:
    """It is refused for what it says, not for its size."""
    body = json.dumps({"query": PYTHON, "bogus": 1}).encode()
    refused(raw(body + b" " * (BODY_LIMIT - len(body)))(router), 400, "bogus")


@pytest.mark.parametrize("path", ["/route", "/classify"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_a_405(router: Router, path: str, method: str) -> None:
    response = router.http.request(method, path)
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]
    assert response.json()["success"] is False


def test_a_wrong_method_of_the_control_plane_is_a_405(router: Router) -> None:
    response = router.http.post("/stats", json={})
    assert response.status_code == 405
    assert response.json()["success"] is False


@pytest.mark.parametrize("path", ["/", "/nothing", "/route/", "/Route", "//route", "/route%2f", "/sleep", "/load_lora"])
def test_an_unknown_path_is_a_404(router: Router, path: str) -> None:
    response = router.http.post(router.url + path, json={"query": PYTHON})
    assert response.status_code in (404, 405)
    body = response.json()
    assert body["success"] is False
    assert body["error_message"]


def test_a_router_that_was_mistreated_still_answers(router: Router) -> None:
    for body in BODIES.values():
        raw(body)(router)
    assert router.classify(PYTHON).json()["use_case"] == "agent"


def exchange(router: Router, *parts: bytes) -> bytes:
    """The start of the answer to POST /route with these bytes after its first headers."""
    head = b"POST /route HTTP/1.1\r\nHost: router\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", router.port), timeout=20) as connection:
        try:
            for part in (head, *parts):
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused in the middle, which is right
        return received(connection)


def received(connection: socket.socket) -> bytes:
    answer = b""
    while b"}" not in answer:
        more = connection.recv(65_536)
        if not more:
            break
        answer += more
    return answer
