"""The minimal chat API: /api/chat streams unless told not to, and needs no model; /api/models; /api/healthz."""

import json
from typing import Any

import httpx2
import pytest

from .asking import (
    DONE,
    FOLLOW_UP,
    PICTURE,
    PYTHON,
    a_picture,
    a_session,
    a_text,
    assistant,
    content_of,
    data_of,
    saying,
    timeless,
    user,
)
from .models import AGENT, AUDIO, MULTIMODAL, SERVED_AS, Models, Recorder
from .routers import BODY_LIMIT, Router, wait_for_idle

PATH = "/api/chat"
NAMES = {"auto", "agent", "multimodal", "video", "stt", "tts", "avatar", AGENT, MULTIMODAL, AUDIO}


def answered(response: httpx2.Response) -> tuple[str, str, str]:
    assert response.status_code == 200, response.text
    headers = response.headers
    return headers["x-route-model"], headers["x-route-reason"], headers["x-route-bypass"]


def test_without_a_model_it_is_auto_and_streams(router: Router, models: Models) -> None:
    session = a_session()
    response = router.post(PATH, saying(PYTHON, model=None), session=session)
    assert answered(response) == (AGENT, "classified", "false")
    assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert content_of(response.content) == f"[simulated {AGENT}] You said: {PYTHON}."
    assert data_of(response.content)[-1] == DONE
    assert response.headers["x-session-id"] == session
    (body,) = models.agent.received()
    assert (body["model"], body["stream"]) == (AGENT, True)


def test_told_not_to_it_answers_whole(embedded_router: Router, models: Models) -> None:
    response = embedded_router.post(PATH, saying(PYTHON, model=None, stream=False))
    assert answered(response) == (AGENT, "classified", "false")
    direct = models.agent.http.post(models.agent.url + "/v1/chat/completions", json=saying(PYTHON, model=AGENT))
    assert timeless(response.json()) == timeless(direct.json())
    assert models.agent.received()[0]["stream"] is False


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ('{"messages":[{"role":"user","content":"\\u00fc"}],"model":"agent"%}', ',"stream":true'),
        ('{"messages":[{"role":"user","content":"\\u00fc"}],"model":"agent","stream":true , "x":1e0}', ""),
        ('{ "stream" : false,"messages":[{"role":"user","content":"\\u00fc"}],"model":"agent"}', ""),
    ],
)
def test_the_rest_of_the_body_arrives_as_it_was_sent(
    recorded_router: Router, recorder: Recorder, sent: str, arrives: str
) -> None:
    """Where `stream` is added is the router's choice; everything else is the client's."""
    response = recorded_router.post(PATH, sent.replace("%", "").encode())
    assert response.status_code == 200, response.text
    expected = sent.replace('"agent"', json.dumps(SERVED_AS[AGENT]))
    if arrives:
        assert recorder.last.json == json.loads(expected.replace("%", arrives))
        assert b"\\u00fc" in recorder.last.body
    else:
        assert recorder.last.body == expected.encode()


@pytest.mark.parametrize(("model", "reason"), [("tts", "explicit"), (AUDIO, "explicit")])
def test_a_model_may_be_named(embedded_router: Router, model: str, reason: str) -> None:
    assert answered(embedded_router.post(PATH, saying("Hello", model=model)))[:2] == (AUDIO, reason)


def test_it_is_the_same_session_as_everywhere(router: Router) -> None:
    session = a_session()
    router.post(PATH, saying(PYTHON, model=None), session=session)
    talk = [user(PYTHON), assistant("def f(): pass"), user(FOLLOW_UP)]
    assert answered(router.post(PATH, saying(talk, model=None), session=session)) == (AGENT, "session", "true")
    assert router.answer(FOLLOW_UP, session_id=session)["bypass_used"] is True
    assert router.session(session)["request_count"] == 3


def test_a_picture_leads_to_a_model_that_takes_it(embedded_router: Router) -> None:
    response = embedded_router.post(PATH, saying([user(a_text(PICTURE), a_picture())], model=None))
    assert answered(response) == (MULTIMODAL, "modality", "false")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{oops", 400),
        (b"[]", 400),
        (b'{"model": "gpt-nine", "messages": [{"role": "user", "content": "Hi"}]}', 404),
        (b'{"model": 5, "messages": [{"role": "user", "content": "Hi"}]}', 400),
        (b'{"messages": [{"role": "user", "content": "' + b"x" * BODY_LIMIT + b'"}]}', 413),
    ],
    ids=["no JSON", "a list", "an unknown model", "a number as model", "too large"],
)
def test_what_is_wrong_is_told_in_openais_envelope(
    recorded_router: Router, recorder: Recorder, body: bytes, status: int
) -> None:
    response = recorded_router.post(PATH, body)
    assert response.status_code == status, response.text
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}
    assert not recorder.requests


def test_a_wrong_method_is_a_405(recorded_router: Router) -> None:
    assert recorded_router.http.get(PATH).status_code == 405
    assert recorded_router.http.post("/api/models", json={}).status_code == 405


@pytest.mark.parametrize("path", ["/api", "/api/nothing", "/api/chat/", "/api/generate", "//api/chat", "/API/chat"])
def test_an_unknown_path_is_a_404(recorded_router: Router, recorder: Recorder, path: str) -> None:
    assert recorded_router.http.post(recorded_router.url + path, json=saying()).status_code == 404
    assert not recorder.requests


def test_a_stream_that_dies_ends_with_an_error_event(embedded_router: Router, models: Models) -> None:
    models.agent.fail("reset-mid-stream")
    seen = data_of(embedded_router.post(PATH, saying(PYTHON, model="agent")).content)
    assert DONE not in seen
    assert seen[-1]["error"]["message"]
    models.agent.wait_for_running(0)
    wait_for_idle(embedded_router)


def test_the_models_are_listed(embedded_router: Router) -> None:
    told = embedded_router.http.get("/api/models")
    assert told.status_code == 200
    assert all(json.dumps(name) in told.text for name in NAMES)


def healthz(router: Router) -> dict[str, Any]:
    response = router.http.get("/api/healthz")
    assert response.status_code in (200, 503)
    told: dict[str, Any] = response.json()
    assert told.keys() >= {"status", "gpu_available", "model_loaded", "upstream_healthy", "queue_size", "details"}
    assert isinstance(told["status"], str)
    assert told["gpu_available"] in (True, False, None)
    assert isinstance(told["model_loaded"], bool)
    assert isinstance(told["upstream_healthy"], bool)
    assert isinstance(told["queue_size"], int)
    assert told["queue_size"] >= 0
    assert all(model in json.dumps(told["details"]["models"]) for model in (AGENT, MULTIMODAL, AUDIO))
    assert "127.0.0.1" not in response.text, "whoever has no key learns no address"
    return told


def test_health_is_told(router: Router) -> None:
    assert router.http.get("/api/healthz").status_code == 200
    told = healthz(router)
    assert (told["model_loaded"], told["upstream_healthy"], told["queue_size"]) == (True, True, 0)


def test_bad_health_is_told(lonely: Router, embedded_router: Router) -> None:
    told = healthz(lonely)
    assert (told["model_loaded"], told["upstream_healthy"]) == (False, False)
    assert told["status"] != healthz(embedded_router)["status"]
