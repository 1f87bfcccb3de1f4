"""One shared key at the door of the OpenAI-style paths: as Bearer, else as `x-api-key`."""

import json

import httpx2
import pytest

from .asking import CHAT, PYTHON, a_session, saying
from .models import AGENT, Models, Recorder
from .routers import BODY_LIMIT, KEY, Router, raw_exchange

PATHS = (
    *(CHAT, "/v1/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings"),
    *("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech", "/v1/rerank", "/v1/score"),
    *("/tokenize", "/detokenize", "/api/chat", "/v1/responses/resp_1/cancel"),
)
Headers = list[tuple[str, str]]


WRONG: dict[str, Headers] = {
    "none": [],
    "empty": [("Authorization", "")],
    "a scheme alone": [("Authorization", "Bearer")],
    "the key alone": [("Authorization", KEY)],
    "another scheme": [("Authorization", f"Basic {KEY}")],
    "another key": [("Authorization", "Bearer sk-other")],
    "the key's start": [("Authorization", f"Bearer {KEY[:-1]}")],
    "the key twice": [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")],
    "odd bytes": [("Authorization", "Bearer \xff\xfe")],
    "an empty x-api-key": [("x-api-key", "")],
    "another x-api-key": [("x-api-key", "sk-other")],
    "a scheme in x-api-key": [("x-api-key", f"Bearer {KEY}")],
    "two x-api-keys": [("x-api-key", KEY), ("x-api-key", "sk-other")],
    "a wrong Authorization beside the right x-api-key": [("Authorization", "Bearer sk-other"), ("x-api-key", KEY)],
    "an empty Authorization beside the right x-api-key": [("Authorization", ""), ("x-api-key", KEY)],
}
RIGHT: dict[str, Headers] = {
    "Bearer": [("Authorization", f"Bearer {KEY}")],
    "bearer": [("authorization", f"bearer {KEY}")],
    "x-api-key": [("x-api-key", KEY)],
    "X-Api-Key": [("X-Api-Key", KEY)],
    "both": [("Authorization", f"Bearer {KEY}"), ("x-api-key", "sk-other")],
}


def ask(door: Router, headers: Headers, path: str = CHAT) -> httpx2.Response:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    body = saying(PYTHON, model=AGENT, max_tokens=5, stream=False)
    return door.http.post(path, json=body, headers=[*sent, (b"X-Session-ID", a_session().encode())])


def unauthorized(response: httpx2.Response) -> None:
    assert response.status_code == 401, response.text
    body = response.json()
    if response.request.url.path.startswith("/v1/messages"):
        assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
    else:
        assert body["error"].keys() == {"message", "type", "param", "code"}
    assert "Bearer" in body["error"]["message"]
    assert "Horse" not in response.text
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_without_the_one_key_the_answer_is_a_401(door: Router, recorder: Recorder, headers: Headers) -> None:
    unauthorized(ask(door, headers))
    assert not recorder.requests


@pytest.mark.parametrize("path", PATHS)
def test_every_path_asks_for_the_key(door: Router, recorder: Recorder, path: str) -> None:
    unauthorized(ask(door, [], path))
    assert not recorder.requests


@pytest.mark.parametrize("path", ["/v1/models", "/v1/responses/resp_1"])
def test_so_does_what_is_got(door: Router, recorder: Recorder, path: str) -> None:
    unauthorized(door.http.get(path))
    assert door.http.get(path, headers={"x-api-key": KEY}).status_code in (200, 404)
    assert door.http.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code in (200, 404)


def test_so_does_the_list_of_the_chat_api(door: Router) -> None:
    assert door.http.get("/api/models").status_code == 401
    assert door.http.get("/api/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_the_key_is_asked_for_before_the_body_is_read(door: Router) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nConnection: close\r\n"
    answer = raw_exchange(door, head.encode() + b"Content-Length: %d\r\n\r\n" % BODY_LIMIT)
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("headers", RIGHT.values(), ids=RIGHT.keys())
@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_the_key_opens(door: Router, recorder: Recorder, headers: Headers, path: str) -> None:
    response = ask(door, headers, path)
    assert response.status_code == 200, response.text
    assert not {name for name, _ in recorder.last.headers} & {"authorization", "x-api-key"}
    assert KEY not in json.dumps(recorder.last.headers)
    assert KEY.encode() not in recorder.last.body


def test_both_ways_of_the_key_are_one_caller(door: Router, recorder: Recorder) -> None:
    body = saying(f"{PYTHON} {a_session()}", model="agent")
    sessions = {
        door.http.post(CHAT, json=body, headers=header).headers["x-session-id"]
        for header in ({"Authorization": f"Bearer {KEY}"}, {"x-api-key": KEY})
    }
    assert len(sessions) == 1


def test_health_needs_no_key(door: Router) -> None:
    assert door.http.get("/api/healthz").status_code == 200


def test_without_a_configured_key_any_will_do(embedded_router: Router, models: Models) -> None:
    headers = {"Authorization": "Bearer sk-nothing"}
    assert embedded_router.http.post(CHAT, json=saying(), headers=headers).status_code == 200
