"""The OpenAI-style paths: each listed one answers as the model server does, no other is ever reached."""

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from .asking import CHAT, DONE, PYTHON, a_session, a_sound, data_of, read_named, saying, timeless
from .models import AGENT, AUDIO, MULTIMODAL, Models, Recorder, Taken
from .routers import Router, raw_exchange

USE_CASES = {"agent", "multimodal", "video", "stt", "tts", "avatar"}
MODEL_OF = {
    "agent": AGENT,
    "multimodal": MULTIMODAL,
    "video": MULTIMODAL,
    "avatar": MULTIMODAL,
    "stt": AUDIO,
    "tts": AUDIO,
}
POSTS = (
    *(CHAT, "/v1/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings"),
    *("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech", "/v1/rerank", "/v1/score"),
    *("/tokenize", "/detokenize"),
)
LISTED = re.compile(
    "|".join((*POSTS, r"/v1/models", r"/v1/responses/[\w.:-]*[\w:-][\w.:-]*", r"/v1/responses/\w+/cancel"))
)


@dataclass(frozen=True)
class Case:
    """A request that a simulated server answers with a 200."""

    path: str
    model: str
    body: dict[str, Any]

    @property
    def sent(self) -> dict[str, Any]:
        return {"model": self.model} | self.body

    def __str__(self) -> str:
        return self.path


def a_turn(text: str = "Hello there") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


JSONS = [
    Case(CHAT, AGENT, a_turn()),
    Case("/v1/completions", AGENT, {"prompt": "Once upon a time", "max_tokens": 9}),
    Case("/v1/responses", AGENT, {"input": "Hello there", "instructions": "Be brief"}),
    Case("/v1/messages", AGENT, a_turn() | {"max_tokens": 20, "system": "Be brief"}),
    Case("/v1/messages/count_tokens", AGENT, a_turn()),
    Case("/v1/embeddings", AUDIO, {"input": ["Hello there", "Good evening"]}),
    Case("/tokenize", AGENT, {"prompt": "Hello there"}),
    Case("/detokenize", AGENT, {"tokens": [1, 2, 3]}),
]
FORMS = ["/v1/audio/transcriptions", "/v1/audio/translations"]
STREAMS = [
    Case(CHAT, AGENT, a_turn()),
    Case(CHAT, AGENT, a_turn() | {"stream_options": {"include_usage": True}}),
    Case(CHAT, AGENT, a_turn() | {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}),
    Case(CHAT, AGENT, a_turn() | {"logprobs": True, "top_logprobs": 3, "n": 2}),
    Case("/v1/completions", AGENT, {"prompt": "Once upon a time", "logprobs": 2}),
    Case("/v1/responses", AGENT, {"input": "Hello there"}),
    Case("/v1/messages", AGENT, a_turn() | {"max_tokens": 20}),
]


@pytest.mark.parametrize("case", JSONS, ids=str)
def test_the_answer_is_the_model_servers(embedded_router: Router, models: Models, case: Case) -> None:
    response = embedded_router.post(case.path, case.sent)
    direct = directly(models, case, case.sent)
    assert (response.status_code, direct.status_code) == (200, 200), response.text
    assert timeless(response.json()) == timeless(direct.json())
    assert response.headers["content-type"] == direct.headers["content-type"]
    decided(response, case.model, "explicit")


@pytest.mark.parametrize("path", FORMS)
def test_a_recordings_text_is_the_model_servers(embedded_router: Router, models: Models, path: str) -> None:
    form, file = {"model": AUDIO, "language": "en"}, {"file": ("a.wav", a_sound(), "audio/wav")}
    response = embedded_router.http.post(path, data=form, files=file, headers={"X-Session-ID": a_session()})
    direct = models.audio.http.post(models.audio.url + path, data=form, files=file)
    assert (response.status_code, direct.status_code) == (200, 200), response.text
    assert response.content == direct.content
    decided(response, AUDIO, "explicit")


def test_spoken_words_are_the_model_servers_bytes(embedded_router: Router, models: Models) -> None:
    case = Case("/v1/audio/speech", AUDIO, {"input": "Good evening", "voice": "any", "response_format": "wav"})
    response = embedded_router.post(case.path, case.sent)
    direct = directly(models, case, case.sent)
    assert response.status_code == 200, response.text
    assert response.content == direct.content
    assert response.headers["content-type"] == direct.headers["content-type"] == "audio/wav"
    decided(response, AUDIO, "explicit")


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_the_stream_is_the_model_servers(embedded_router: Router, models: Models, case: Case) -> None:
    body = case.sent | {"stream": True}
    response = embedded_router.post(case.path, body)
    direct = directly(models, case, body)
    assert (response.status_code, direct.status_code) == (200, 200), response.text
    assert events_of(response) == events_of(direct)
    assert response.headers["content-type"] == direct.headers["content-type"]
    decided(response, case.model, "explicit")


def test_a_recordings_text_can_be_streamed(embedded_router: Router, models: Models) -> None:
    form, file = {"model": AUDIO, "stream": "true"}, {"file": ("a.wav", a_sound(), "audio/wav")}
    path = FORMS[0]
    response = embedded_router.http.post(path, data=form, files=file, headers={"X-Session-ID": a_session()})
    direct = models.audio.http.post(models.audio.url + path, data=form, files=file)
    assert response.status_code == 200, response.text
    assert events_of(response) == events_of(direct)
    assert data_of(response.content)[-1] == DONE


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/score"])
def test_ranking_passes_through(recorded_router: Router, recorder: Recorder, path: str) -> None:
    """The simulated servers do not rank."""
    told = b'{"results":[{"index":0,"relevance_score":0.97}]}'
    recorder.tell(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
    body = {"model": AGENT, "query": "Which?", "documents": ["this", "that"], "text_1": "a", "text_2": ["b"]}
    response = recorded_router.post(path, body)
    assert (response.status_code, response.content) == (200, told)
    assert recorder.last.path == path
    decided(response, AGENT, "explicit")


def test_a_stored_response_is_asked_for_and_cancelled(recorded_router: Router, recorder: Recorder) -> None:
    told = b'{"id":"resp_1","object":"response","output":[],"status":"completed"}'
    recorder.tell(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
    made = recorded_router.post("/v1/responses", {"model": AGENT, "input": "Hello there"})
    got = recorded_router.http.get("/v1/responses/resp_1")
    cancelled = recorded_router.http.post("/v1/responses/resp_1/cancel")
    assert [answer.content for answer in (made, got, cancelled)] == [told] * 3
    seen = [(taken.method, taken.path) for taken in recorder.requests]
    assert seen == [
        ("POST", "/v1/responses"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
    ]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/responses/{}"), ("POST", "/v1/responses/{}/cancel")])
def test_a_response_that_nobody_holds_is_not_found(embedded_router: Router, method: str, path: str) -> None:
    response = embedded_router.http.request(method, path.format("resp_of_nobody"))
    assert response.status_code == 404
    assert response.json()["error"]["message"]


def test_the_models_are_auto_the_use_cases_and_the_models(router: Router) -> None:
    response = router.http.get("/v1/models")
    assert response.status_code == 200
    told = response.json()
    assert told["object"] == "list"
    found = {entry["id"]: entry for entry in told["data"]}
    assert found.keys() == {"auto"} | USE_CASES | {AGENT, MULTIMODAL, AUDIO}
    assert len(told["data"]) == len(found)
    for entry in told["data"]:
        assert entry["object"] == "model"
        assert isinstance(entry["created"], int)
        assert isinstance(entry["owned_by"], str)


def test_each_listed_model_says_what_it_resolves_to(embedded_router: Router) -> None:
    found = {entry["id"]: entry for entry in embedded_router.get("/v1/models")["data"]}
    for use_case, model in MODEL_OF.items():
        rest = {name: value for name, value in found[use_case].items() if name != "id"}
        assert model in json.dumps(rest), rest
    assert len(found["auto"]) > 4, "auto says nothing of what it does"
    assert all(len(found[model]) > 4 for model in (AGENT, MULTIMODAL, AUDIO))


def test_the_list_names_no_address(embedded_router: Router, models: Models) -> None:
    told = embedded_router.http.get("/v1/models").text
    assert not any(server.url in told for server in models.all)
    assert models.requests() == 0


@pytest.mark.parametrize(
    ("method", "path"), [*(("GET", path) for path in POSTS), ("PUT", CHAT), ("DELETE", CHAT), ("PATCH", "/v1/messages")]
)
def test_a_wrong_method_is_a_405(recorded_router: Router, recorder: Recorder, method: str, path: str) -> None:
    response = recorded_router.http.request(method, path)
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]
    assert in_an_envelope(response)
    assert not recorder.requests


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models", "GET"),
        ("POST", "/v1/responses/resp_1", "GET"),
        ("DELETE", "/v1/responses/resp_1", "GET"),
        ("GET", "/v1/responses/resp_1/cancel", "POST"),
    ],
)
def test_a_wrong_method_of_the_others_is_a_405(
    recorded_router: Router, recorder: Recorder, method: str, path: str, allowed: str
) -> None:
    response = recorded_router.http.request(method, path)
    assert response.status_code == 405
    assert allowed in response.headers["allow"]
    assert in_an_envelope(response)
    assert not recorder.requests


@pytest.mark.parametrize(
    "path", ["/v1/", "/v1/nothing", "/v1/chat", "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/files"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unlisted_path_is_a_404_in_openais_envelope(
    recorded_router: Router, recorder: Recorder, method: str, path: str
) -> None:
    response = recorded_router.http.request(method, path, json=saying(model=AGENT) if method == "POST" else None)
    assert response.status_code == 404
    assert in_an_envelope(response)
    assert response.headers["x-request-id"]
    assert not recorder.requests


PRIVATE = (
    *("/sleep", "/wake_up", "/is_sleeping", "/collective_rpc", "/reset_prefix_cache", "/server_info", "/version"),
    *("/load", "/ping", "/invocations", "/pooling", "/classify_", "/simulate/faults", "/start_profile", "/pause"),
)


@pytest.mark.parametrize("path", PRIVATE)
def test_a_model_servers_own_paths_are_not_the_routers(recorded_router: Router, recorder: Recorder, path: str) -> None:
    for method in ("GET", "POST"):
        assert recorded_router.http.request(method, path).status_code in (404, 405)
    assert not recorder.requests


REFUSED_TARGETS = (
    *("//v1/chat/completions", "/v1//chat/completions", "/v1/chat//completions", "///v1/chat/completions"),
    *("/V1/chat/completions", "/v1/Chat/Completions", "/v1/chat/completionS", "/TOKENIZE"),
    *("/v1/chat/completions/", "/tokenize/", "/v1/chat/completions/.", "/v1/chat/completions/..", "/./v1/completions"),
    *("/v1/chat%2fcompletions/", "/v1/chat/completions%00", "/v1/chat/completions%20", "/v1/chat/completions%0d%0a"),
    *("/v1/chat/completions;x=1", "/v1/chat/completions%3fx", "/v1/chat/completions%23x", "/v1\\chat\\completions"),
    *("/v1/../sleep", "/v1/%2e%2e/sleep", "/v1/%2E%2E/sleep", "/%2e%2e/sleep", "/..%2fsleep", "/v1/..;/sleep"),
    *("/v1/chat/completions/../../../sleep", "/v1/chat/completions/%2e%2e/%2e%2e/%2e%2e/sleep", "/%73leep"),
    *("/v1/responses/../../sleep", "/v1/responses/..%2f..%2fsleep", "/v1/responses/%2e%2e/%2e%2e/sleep"),
    *("/v1/responses/..", "/v1/responses/%2e%2e", "/v1/responses/.", "/v1/responses//", "/v1/responses/a/b"),
    *("/v1/responses/a%2fb", "/v1/responses/a%5cb", "/v1/responses/a%3fb", "/v1/responses/a%23b"),
    *("/v1/responses/a%20b", "/v1/responses/a%0d%0aX-Evil:%201", "/v1/responses/a%00", "/v1/responses/%ff"),
    *("/v1/responses/../cancel", "/v1/responses/%2e%2e/cancel", "/v1/responses/a/cancel/", "/v1/responses/a/Cancel"),
    *("/v1/responses//cancel", "/v1/responses/a%252fb", "/%252e%252e/sleep"),
)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *((b"POST", target) for target in REFUSED_TARGETS),
        *((b"GET", target) for target in REFUSED_TARGETS if "/v1/responses" in target or "sleep" in target),
    ],
)
def test_a_path_trick_reaches_nothing(recorded_router: Router, recorder: Recorder, method: bytes, target: str) -> None:
    answer = raw_exchange(recorded_router, asking(method, target.encode()))
    status = status_of(answer)
    assert 400 <= status < 500, answer[:300]
    assert not recorder.requests, recorder.requests[-1].target
    assert b"x-evil" not in answer.partition(b"\r\n\r\n")[0].lower()


@pytest.mark.parametrize(
    "target",
    [
        *("/v1/%63hat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completions?path=/sleep", "/tokeni%7Ae"),
        *("http://router/v1/chat/completions", "http://169.254.169.254/sleep", "/v1/chat/completions?x=/../../sleep"),
        *("/v1/chat/completions#/../../sleep", "/v1/models/..%2f..%2fsleep", "/v1/responses/a%2fcancel"),
    ],
)
def test_a_path_in_disguise_reaches_a_listed_path_or_nothing(
    recorded_router: Router, recorder: Recorder, target: str
) -> None:
    answer = raw_exchange(recorded_router, asking(b"POST", target.encode()))
    assert status_of(answer) < 500, answer[:300]
    assert all(listed(taken) for taken in recorder.requests), recorder.requests[-1].target


def decided(response: httpx2.Response, model: str, reason: str) -> None:
    """Every header of the contract is there, and says so."""
    headers = response.headers
    assert headers["x-session-id"]
    assert headers["x-request-id"]
    assert MODEL_OF[headers["x-route-use-case"]] == headers["x-route-model"] == model
    assert headers["x-route-reason"] == reason
    assert headers["x-route-bypass"] == "false"
    assert 0 <= float(headers["x-route-confidence"]) <= 1
    assert re.match(r"routing;dur=\d+(\.\d+)?", headers["server-timing"])


def directly(models: Models, case: Case, body: dict[str, Any]) -> httpx2.Response:
    """What the model server itself says."""
    server = next(server for server in models.all if server.id == case.model)
    return server.http.post(server.url + case.path, json=body)


def events_of(response: httpx2.Response) -> list[Any]:
    return [(name, timeless(data)) for name, data in read_named(response.content)]


def in_an_envelope(response: httpx2.Response) -> bool:
    """OpenAI's, or Anthropic's on its paths."""
    body = response.json()
    if response.request.url.path.startswith("/v1/messages"):
        return bool(body["type"] == "error" and body["error"]["message"] and body["error"]["type"])
    if response.request.url.path.startswith("/v1"):
        return bool(body["error"]["message"]) and body["error"].keys() == {"message", "type", "param", "code"}
    return True


def asking(method: bytes, target: bytes) -> bytes:
    body = json.dumps(saying(PYTHON, model=AGENT)).encode() if method == b"POST" else b""
    head = b"%s %s HTTP/1.1\r\nHost: router\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return head % (method, target) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert found, answer[:200]
    return int(found[1])


def listed(taken: Taken) -> bool:
    return bool(LISTED.fullmatch(taken.path))
