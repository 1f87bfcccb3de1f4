"""Bad input on the OpenAI-style paths: a 4xx in the client's own envelope, and no model server hears of it."""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from .asking import CHAT, PYTHON, a_session, saying
from .models import AGENT, AUDIO, MULTIMODAL, Models, Recorder
from .routers import BODY_LIMIT, SOON_S, Router, raw_exchange

JSON = {"Content-Type": "application/json"}
NAMES = {"auto", "agent", "multimodal", "video", "stt", "tts", "avatar", AGENT, MULTIMODAL, AUDIO}
JSON_PATHS = (
    *(CHAT, "/v1/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings"),
    *("/v1/audio/speech", "/v1/rerank", "/v1/score", "/tokenize", "/detokenize"),
)
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
}


@pytest.fixture
def router(recorded_router: Router) -> Router:
    return recorded_router


@pytest.fixture(autouse=True)
def _nothing_happens(request: pytest.FixtureRequest, recorder: Recorder) -> Iterator[None]:
    """No bad request may reach a model server."""
    yield
    if "pass" not in request.node.name:
        assert not recorder.requests


def refused(response: httpx2.Response, status: int, *said: str) -> dict[str, Any]:
    """The error, which is in the envelope of the path's API and names no part of ours."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].partition(";")[0] == "application/json"
    assert response.headers["x-request-id"]
    body: dict[str, Any] = response.json()
    error: dict[str, Any] = body["error"]
    if response.request.url.path.startswith("/v1/messages"):
        assert body["type"] == "error"
        assert error["type"] == ANTHROPIC_TYPES[status]
    else:
        assert body.keys() == {"error"}
        assert error.keys() == {"message", "type", "param", "code"}
        assert isinstance(error["type"], str)
    message = error["message"]
    assert all(part.lower() in message.lower() for part in said), message
    assert not any(word in message for word in ("Traceback", "msgspec", "pydantic", ".py", "127.0.0.1")), message
    return error


@pytest.mark.parametrize("path", JSON_PATHS)
def test_an_unknown_model_is_a_404_that_names_what_there_is(router: Router, path: str) -> None:
    everything = {"messages": saying("Hi")["messages"], "input": "Hi", "prompt": "Hi", "max_tokens": 5, "tokens": [1]}
    error = refused(router.post(path, {"model": "gpt-nine"} | everything), 404, "gpt-nine", *NAMES)
    assert error.get("param", "model") == "model"


@pytest.mark.parametrize("model", ["AUTO", "Agent", "auto ", AGENT.lower(), "x" * 500, "agent\n", "../agent", "ü"])
def test_a_models_name_must_be_exact(router: Router, model: str) -> None:
    error = refused(router.chat("Hi", model=model), 404, *NAMES)
    assert len(error["message"]) < 1_000


@pytest.mark.parametrize("model", [None, "", 5, ["auto"], {"id": "auto"}, True])
@pytest.mark.parametrize("path", JSON_PATHS)
def test_a_missing_model_is_asked_for(router: Router, path: str, model: Any) -> None:
    everything = {"messages": saying("Hi")["messages"], "input": "Hi", "prompt": "Hi", "max_tokens": 5, "tokens": [1]}
    sent = everything if model is None else {"model": model} | everything
    response = router.post(path, sent)
    refused(response, 404 if model == "" and response.status_code == 404 else 400, "model")


def test_a_null_model_is_asked_for(router: Router) -> None:
    refused(router.post(CHAT, b'{"model":null,"messages":[{"role":"user","content":"Hi"}]}'), 400, "model")


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "blank": b"   ",
    "no JSON": b"model=auto",
    "half an object": b'{"model": "auto"',
    "two objects": b'{"model": "auto"}{"model": "auto"}',
    "a trailing comma": b'{"model": "auto",}',
    "a list": b'[{"model": "auto"}]',
    "a string": b'"auto"',
    "null": b"null",
    "a number": b"5",
    "no quotes": b'{model: "auto"}',
    "single quotes": b"{'model': 'auto'}",
    "a comment": b'{"model": "auto" /* x */}',
    "invalid UTF-8": b'{"model": "auto", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "cut UTF-8": b'{"model": "auto", "messages": [{"role": "user", "content": "\xe0\xa4"}]}',
    "UTF-16": '{"model": "auto"}'.encode("utf-16"),
    "NaN": b'{"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "temperature": NaN}',
    "Infinity": b'{"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "temperature": -Infinity}',
    "NaN deep inside": b'{"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "x": {"y": [NaN]}}',
    "a raw control character": b'{"model": "auto", "messages": [{"role": "user", "content": "a\x00b"}]}',
    "a raw line end": b'{"model": "auto", "messages": [{"role": "user", "content": "a\nb"}]}',
    "100k nested brackets": b"[" * 100_000 + b"]" * 100_000,
    "100k unclosed brackets": b"[" * 100_000,
    "100k nested lists inside": b'{"model": "auto", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100k nested objects inside": b'{"model": "auto", "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "100k nested lists before the model": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b', "model": "auto"}',
    "100k nested contents": b'{"model": "auto", "messages": [{"role": "user", "content": '
    + (b"[" * 100_000 + b"]" * 100_000 + b"}]}"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_cannot_be_read_is_a_400(router: Router, body: bytes) -> None:
    refused(router.post(CHAT, body), 400)


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("body", ["half an object", "a list", "invalid UTF-8"])
def test_a_body_that_cannot_be_read_is_a_400_on_every_path(router: Router, path: str, body: str) -> None:
    refused(router.post(path, BODIES[body]), 400)


ODD: dict[str, bytes] = {
    "a lone surrogate": b'"seed": 1, "user": "a\\ud800b"',
    "an escaped NUL": b'"user": "a\\u0000b"',
    "1e400": b'"temperature": 1e400',
    "an integer of 5000 digits": b'"seed": ' + b"9" * 5_000,
    "200 nested lists": b'"x": ' + b"[" * 200 + b"]" * 200,
    "a text where messages should be": b'"messages": "Hi"',
    "a number where messages should be": b'"messages": 5',
    "no message": b'"messages": []',
    "numbers as messages": b'"messages": [1, null, "a", []]',
    "messages of nothing": b'"messages": [{}]',
    "a number as content": b'"messages": [{"role": "user", "content": 5}]',
    "odd parts": b'"messages": [{"role": "user", "content": [null, 5, "a", {}, {"type": 7}, {"type": "image_url"}]}]',
    "null as content": b'"messages": [{"role": "assistant", "content": null}]',
    "only the system's words": b'"messages": [{"role": "system", "content": "Hi"}]',
    "a number as stream": b'"stream": 1',
    "a number as session_id": b'"session_id": 5',
    "a list as conversation": b'"conversation": [1]',
}


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages", "/v1/completions", "/api/chat"])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_what_passes_or_is_a_400_is_never_a_500(router: Router, path: str, odd: bytes) -> None:
    """Whether a field is right is the model server's business; the router must only live with it."""
    text = b"Write a Python function"
    body = b'{"model": "auto", "input": "%s", "prompt": "%s", "max_tokens": 5, ' % (text, text) + odd
    if b'"messages"' not in odd:
        body += b', "messages": [{"role": "user", "content": "%s"}]' % text
    response = router.post(path, body + b"}")
    assert response.status_code in (200, 400), response.text


@pytest.mark.parametrize("odd", [name for name in ODD if "session" not in name])
def test_what_is_odd_passes_to_a_named_model_or_is_a_400(router: Router, recorder: Recorder, odd: str) -> None:
    body = b'{"model": "agent", %s}' % ODD[odd]
    response = router.post(CHAT, body)
    assert response.status_code in (200, 400), response.text
    if response.status_code == 200:
        assert ODD[odd] in recorder.last.body


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_another_content_type_is_a_415(router: Router, path: str, content_type: str) -> None:
    content = json.dumps(saying("Hi", model=AGENT))
    refused(router.http.post(path, content=content, headers={"Content-Type": content_type}), 415, "application/json")


def test_a_charset_beside_the_content_type_passes(router: Router) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    content = json.dumps(saying("Hi", model=AGENT))
    assert router.http.post(CHAT, content=content, headers=headers).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "bogus"])
def test_a_compressed_body_is_a_415(router: Router, coding: str) -> None:
    content = gzip.compress(json.dumps(saying("Hi", model=AGENT)).encode())
    refused(router.http.post(CHAT, content=content, headers=JSON | {"Content-Encoding": coding}), 415)


@pytest.mark.parametrize("id", ["a b", "x" * 129, "a/b", "\xfc"])
def test_an_odd_session_id_in_the_header_is_a_400(router: Router, id: str) -> None:
    headers = [(b"X-Session-ID", id.encode("latin-1"))]
    refused(router.http.post(CHAT, json=saying("Hi", model=AGENT), headers=headers), 400, "session")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/chat/completion", "/v1/engines"])
def test_an_unknown_path_is_a_404(router: Router, path: str) -> None:
    refused(router.http.post(path, json=saying("Hi")), 404)


def test_a_refusal_never_repeats_a_large_body(router: Router) -> None:
    response = router.post(CHAT, saying("Hi", model="bogus" * 10_000))
    refused(response, 404)
    assert len(response.content) < 2_000


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/embeddings"])
def test_a_body_declared_too_large_is_refused_unread(router: Router, path: str) -> None:
    """Only the head is sent, so an answer shows that nobody waited for the rest."""
    answer = started(router, path, b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"error":{' in answer.replace(b" ", b"")


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_a_chunked_body_too_large_is_refused_before_its_end(router: Router, path: str) -> None:
    chunks = [b"10000\r\n" + b" " * 65_536 + b"\r\n"] * (BODY_LIMIT // 65_536 + 1)
    answer = started(router, path, b"Transfer-Encoding: chunked\r\n\r\n", *chunks)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_too_large_is_a_413(router: Router) -> None:
    refused(router.post(CHAT, saying("x" * BODY_LIMIT, model=AGENT)), 413)


def test_a_body_at_the_limit_passes(router: Router, recorder: Recorder) -> None:
    body = json.dumps(saying("Hi", model=AGENT)).encode()
    response = router.post(CHAT, body + b" " * (BODY_LIMIT - len(body)))
    assert response.status_code == 200, response.text


FRAMINGS: dict[str, bytes] = {
    "both framings": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both framings, the other way": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n{}   ",
    "one length twice": b"Content-Length: 4\r\nContent-Length: 4\r\n\r\n{}  ",
    "two lengths in one": b"Content-Length: 4, 5\r\n\r\n{}   ",
    "a length of letters": b"Content-Length: four\r\n\r\n{}  ",
    "a negative length": b"Content-Length: -4\r\n\r\n{}  ",
    "a length with a sign": b"Content-Length: +4\r\n\r\n{}  ",
    "a length beyond all numbers": b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "an unknown coding": b"Transfer-Encoding: gzip, chunked, identity\r\n\r\n{}",
    "a space before the colon": b"Content-Length : 4\r\n\r\n{}  ",
    "a folded header": b"Content-Length: 4\r\nX-Long: a\r\n b\r\n\r\n{}  ",
    "a line end in a header": b"Content-Length: 4\r\nX-Odd: a\rb\r\n\r\n{}  ",
    "a NUL in a header": b"Content-Length: 4\r\nX-Odd: a\x00b\r\n\r\n{}  ",
    "a wrong chunk size": b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("rest", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_conflicting_framing_is_a_400_and_closes(router: Router, rest: bytes) -> None:
    """What follows on the same connection would be a second request to some readers."""
    smuggled = f"GET /v1/models HTTP/1.1\r\nHost: r\r\nX-Session-ID: {a_session()}\r\n\r\n".encode()
    answer = raw_exchange(router, head_of(CHAT) + rest + smuggled)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1, "a second request was read"
    assert b'"auto"' not in answer


def test_two_pipelined_requests_pass_in_order(router: Router, recorder: Recorder) -> None:
    requests = b""
    for model, connection in ((AGENT, "keep-alive"), (AUDIO, "close")):
        body = json.dumps(saying("Hi", model=model)).encode()
        requests += head_of(CHAT) + b"Connection: %s\r\nContent-Length: %d\r\n\r\n" % (connection.encode(), len(body))
        requests += body
    answer = raw_exchange(router, requests)
    models = re.findall(rb"x-route-model: (\S+)", answer, re.IGNORECASE)
    assert [model.decode() for model in models] == [AGENT, AUDIO]


def test_a_router_that_was_mistreated_passes_the_next(router: Router, models: Models) -> None:
    for body in BODIES.values():
        router.post(CHAT, body)
    assert router.chat(PYTHON).status_code == 200


def head_of(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: router\r\nContent-Type: application/json\r\n".encode()


def started(router: Router, path: str, *parts: bytes) -> bytes:
    """The start of the answer, whether the connection is closed or not."""
    with socket.create_connection(("127.0.0.1", router.port), timeout=SOON_S) as connection:
        try:
            for part in (head_of(path), *parts):
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused in the middle, which is right
        answer = b""
        while b"}" not in answer and (more := connection.recv(65_536)):
            answer += more
        return answer
