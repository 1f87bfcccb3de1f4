"""
What callers say and the keys that they show stay between them and the model server: marked prompts, answers and keys
are sent through a whole router in every way there is, and then looked for wherever the router writes.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from smart_router.access.keyfile import change_keys, new_entry
from smart_router.cli.processes import free_port, running, smart_router
from smart_router.types import Scope
from tests.e2e.asking import CHAT, PYTHON, a_picture, a_session, a_sound, a_text, an_image, saying, user
from tests.e2e.models import AGENT, AUDIO, MULTIMODAL, Models, Recorder, Taken, a_recorder, three_models
from tests.e2e.redis_process import RedisProcess
from tests.e2e.routers import Router, a_client, a_registry, environment
from tests.e2e.test_openai_sessions import everything_in
from tests.e2e.test_tracing import QUICKLY, Collector, a_collector
from tests.upstream.scripted import (
    HANG_UP,
    RESET,
    STREAM_END,
    STREAM_HEAD,
    Step,
    answer,
    chunk,
    completion,
    delta,
    event,
)

pytestmark = pytest.mark.timeout(300)  # processes start slowly on a busy machine

MARK = f"zebrafish-{uuid.uuid4().hex}"
BOGUS_KEY = f"sr-{uuid.uuid4().hex}{uuid.uuid4().hex}"
SAID = f"{PYTHON} and call it {MARK}"
MODEL_PATHS: dict[str, dict[str, Any]] = {
    CHAT: saying(SAID),
    "/v1/completions": {"model": AGENT, "prompt": SAID},
    "/v1/responses": {"model": "auto", "input": SAID, "instructions": MARK},
    "/v1/messages": saying(SAID, max_tokens=30, system=MARK),
    "/v1/embeddings": {"model": AGENT, "input": MARK},
    "/tokenize": {"model": AGENT, "prompt": MARK},
}


# a model server that repeats what it was told, well or not


def well(taken: Taken) -> Sequence[Step]:
    if taken.json.get("stream"):
        told = delta("You said: ") + delta(MARK) + delta(None, "stop") + event(b"[DONE]")
        return [STREAM_HEAD, chunk(told), STREAM_END]
    return [answer(200, completion(f"You said: {MARK}", id=f"resp_{uuid.uuid4().hex}", object="response"))]


def failing(status: int, **headers: str) -> Callable[[Taken], Sequence[Step]]:
    complaint = json.dumps({"error": {"message": f"cannot do with {MARK}", "type": MARK, "param": MARK, "code": MARK}})
    return lambda _: [answer(status, complaint.encode(), **headers)]


def breaking(*steps: Step) -> Callable[[Taken], Sequence[Step]]:
    return lambda _: steps


FAILURES: dict[str, Callable[[Taken], Sequence[Step]]] = {
    "refused": failing(400),
    "failed": failing(500),
    "busy": failing(503, Retry_After="0"),
    "asked to wait": failing(429, Retry_After=MARK),
    "lost": breaking(RESET),
    "no JSON": breaking(answer(200, b'{"choices": [{"message": {"content": "' + MARK.encode())),
    "no HTTP": breaking(MARK.encode() + b"\r\n\r\n", HANG_UP),
    "failed in its stream": breaking(STREAM_HEAD, chunk(event({"error": {"message": MARK, "code": 500}})), STREAM_END),
    "cut": breaking(STREAM_HEAD, chunk(delta(MARK)), HANG_UP),
    "failed after its first word": breaking(
        STREAM_HEAD, chunk(delta(MARK) + event({"error": {"message": MARK}})), STREAM_END
    ),
}


# the router, and all that it wrote


@dataclass
class Place:
    """A router as a process, whoever it talks to, and where it writes."""

    router: Router
    model: Recorder
    redis: RedisProcess
    collector: Collector
    log: Path
    keys: dict[str, str]
    stack: ExitStack
    answers: list[httpx2.Response] = field(default_factory=list)
    conversations: set[str] = field(default_factory=set)  # sessions that are to be remembered

    def caller(self, name: str) -> Router:
        http = self.stack.enter_context(a_client(self.router.url, Authorization=f"Bearer {self.keys[name]}"))
        return Router(self.router.url, http)


@contextmanager
def a_place(folder: Path, models: Models) -> Iterator[Place]:
    redis = RedisProcess()
    redis.start()
    with ExitStack() as stack:
        stack.callback(redis.stop)
        recorder, collector = stack.enter_context(a_recorder()), stack.enter_context(a_collector())
        registry = a_registry(folder, models.endpoints | {AGENT: [recorder.url]}, {AGENT: {"fallbacks": [AUDIO]}})
        variables = {
            "MODEL_REGISTRY": str(registry),
            "REDIS_URL": redis.url,
            "REDIS_TIMEOUT_MS": "2000",
            "API_KEYS_FILE": str(folder / "keys.json"),
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": "json",
            "SHADOW_SHARE": "1",
            "LLM_CLASSIFIER_MODEL": MULTIMODAL,
            "LLM_CLASSIFIER_BELOW": "1",
            "HEALTH_INTERVAL": "0.2",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        keys, log, port = key_file(folder / "keys.json"), folder / "log", free_port()
        command = ["/bin/sh", "-c", f'exec "$@" >{log} 2>&1', "serve", *smart_router("serve", "--port", str(port))]
        url = stack.enter_context(running(command, port, environment(**QUICKLY, **variables), path="/ready"))
        router = Router(url, stack.enter_context(a_client(url)))
        yield Place(router, recorder, redis, collector, log, keys, stack)


def key_file(path: Path) -> dict[str, str]:
    """Name -> key, of what the file lets in."""
    wanted: dict[str, tuple[tuple[Scope, ...], dict[str, Any]]] = {
        "main": (("route",), {}),
        "other": (("route",), {}),
        "admin": (("admin", "metrics"), {}),
        "narrow": (("route",), {"use_cases": ("tts",)}),
        "slow": (("route",), {"requests_per_minute": 1}),
        "one": (("route",), {"concurrency": 1}),
    }
    made = {name: new_entry(name, scopes, **limits) for name, (scopes, limits) in wanted.items()}
    change_keys(path, lambda _: [entry for _, entry in made.values()])
    return {name: key for name, (key, _) in made.items()}


@dataclass(frozen=True)
class Written:
    """Where -> what the router wrote there; and what Redis holds, by key."""

    places: dict[str, str]
    redis: dict[str, str]
    lives: dict[str, int]  # milliseconds
    keys: tuple[str, ...]
    others: tuple[httpx2.Response, ...]
    conversations: frozenset[str]  # sessions of `/route`, which remembers them


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    folder = tmp_path_factory.mktemp("canary")
    with three_models() as models, a_place(folder, models) as place:
        converse(place)
        fail(place)
        send_rubbish(place)
        be_refused(place)
        others = tuple(hear_of_it_elsewhere(place))
        last = place.answers[-1].headers["x-request-id"]
        place.collector.trace_of(last)
        admin = place.caller("admin").http
        shown = {path: admin.get(path).text for path in ("/metrics", "/stats", "/health", "/use-cases", "/livez")}
        exemplars = admin.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text
        everything = everything_in(place.redis).splitlines()
        lives = place.redis.lives()
    spans = b"".join(place.collector.bodies).decode(errors="replace")
    yield Written(
        {"log": place.log.read_text(), "spans": spans, "exemplars": exemplars, "keys": keys_as_kept(folder), **shown},
        {key: "\n".join(line for line in everything if line.startswith(repr(key.encode()))) for key in lives},
        lives,
        (*place.keys.values(), BOGUS_KEY),
        others,
        frozenset(place.conversations),
    )


def keys_as_kept(folder: Path) -> str:
    return (folder / "keys.json").read_text()


# every way to say it


def sent(place: Place, caller: Router, path: str, body: Any, **headers: str) -> httpx2.Response:
    place.answers.append(caller.post(path, body, **headers))
    return place.answers[-1]


def routed(place: Place, caller: Router, **fields: Any) -> httpx2.Response:
    """By `/route`, which remembers a conversation for its session's time unless told otherwise."""
    response = caller.route(SAID, **fields)
    if fields.get("remember", True):
        place.conversations.add(response.headers["x-session-id"])
    return response


def converse(place: Place) -> None:
    """On all paths, plain and streamed."""
    place.model.script = well
    main, remembered, forgotten = place.caller("main"), a_session(), a_session()
    marked = {"user_id": MARK, "context": {"note": MARK}, "use_case": "agent"}
    for stream in (False, True, False):
        assert routed(place, main, session_id=remembered, stream=stream, **marked).status_code == 200
        assert routed(place, main, session_id=forgotten, stream=stream, remember=False).status_code == 200
    assert routed(place, main, session_id=remembered, attachments=[an_image()]).status_code == 200
    assert main.classify(SAID, user_id=MARK).status_code == 200
    for path, body in MODEL_PATHS.items():
        for stream in (False, True):
            assert sent(place, main, path, body | {"user": MARK, "stream": stream}).status_code == 200, path
    picture = [user(a_text(SAID), a_picture(f"https://example.com/{MARK}.png"))]
    assert sent(place, main, CHAT, saying(picture)).status_code == 200
    form, file = {"model": "auto", "prompt": MARK}, {"file": (f"{MARK}.wav", a_sound(), "audio/wav")}
    assert main.http.post("/v1/audio/transcriptions", data=form, files=file).status_code == 200
    headers = {"traceparent": "00-nonsense", "tracestate": f"a={MARK}", "user-agent": MARK, "referer": MARK}
    body = {"query": SAID, "use_case": "agent", "remember": False}
    assert main.http.post(f"/route?q={MARK}", json=body, headers=headers).status_code == 200
    assert MARK in str(place.model.last.body), "it does reach the model server"


def fail(place: Place) -> None:
    main = place.caller("main")
    for script in FAILURES.values():
        place.model.script = script
        for stream in (False, True):
            main.route(SAID, use_case="agent", stream=stream, remember=False)
            sent(place, main, CHAT, saying(SAID, model=AGENT, stream=stream))
            sent(place, main, "/v1/messages", saying(SAID, model="agent", max_tokens=9, stream=stream))
    place.model.script = well


RUBBISH: tuple[bytes, ...] = (
    b'{"query": ["%s"]}',
    b'{"query": "x", "%s": 1}',
    b'{"query": "x", "use_case": "%s"}',
    b'{"query": "x", "session_id": "%s a"}',
    b'{"query": "x", "modality": "%s"}',
    b'{"query": "x", "attachments": [{"type": "image", "url": "%s"}]}',
    b'{"query": "x", "attachments": [{"type": "image", "data": "%s!", "media_type": "image/png"}]}',
    b'{"query": "%s',
    b'{"query": "\xff%s"}',
    b'{"query": "\\ud800%s"}',
    b'{"query": "%s\\u0000"}',
    b'{"model": "%s", "messages": []}',
    b'{"model": "auto", "messages": "%s", "stream": "%s"}',
    b'{"model": "auto", "messages": [{"role": "user", "content": {"%s": 1}}]}',
    b'{"model": "auto", "messages": [{"role": "user", "content": "%s"}], "session_id": "%s a"}',
    b'{"model": "auto", "model": "agent", "messages": [{"role": "user", "content": "%s"}]}',
    b'{"model": "auto", "input": "x", "previous_response_id": "resp_%s"}',
    b"%s",
)


def send_rubbish(place: Place) -> None:
    main = place.caller("main")
    for pattern in RUBBISH:
        body = pattern.replace(b"%s", MARK.encode())
        for path in ("/route", "/classify", CHAT, "/v1/responses", "/v1/messages"):
            assert sent(place, main, path, body).status_code < 500
    for headers in ({"Content-Type": f"text/{MARK}"}, {"Content-Encoding": MARK}, {"X-Session-ID": f"{MARK} a"}):
        for path in ("/route", CHAT):
            assert sent(place, main, path, json.dumps(saying(SAID)).encode(), **headers).status_code >= 400
    for path in (f"/sessions/{MARK}%20a", f"/v1/responses/resp_{MARK}", f"/v1/{MARK}", f"/{MARK}"):
        assert main.http.get(path).status_code >= 400
    file = (f"{MARK}.wav", MARK.encode(), "audio/wav")
    main.http.post("/v1/audio/transcriptions", data={MARK: MARK}, files={"file": file})
    main.http.post("/v1/audio/transcriptions", data={"model": MARK}, files={MARK: file})


def be_refused(place: Place) -> None:
    """401, 403 and 429, on both planes."""
    stranger = place.stack.enter_context(a_client(place.router.url))
    for headers in (
        {"Authorization": f"Bearer {BOGUS_KEY}"},
        {"Authorization": f"Basic {place.keys['main']}"},
        {"Authorization": place.keys["main"]},
        {"x-api-key": BOGUS_KEY},
        {"Authorization": f"Bearer {MARK}", "x-api-key": place.keys["main"]},
    ):
        for path, body in (("/route", {"query": SAID}), (CHAT, saying(SAID)), ("/classify", {"query": SAID})):
            assert stranger.post(path, json=body, headers=headers).status_code == 401
        assert stranger.get("/stats", headers=headers).status_code == 401
    narrow, slow = place.caller("narrow"), place.caller("slow")
    statuses = [narrow.route(SAID, use_case="agent"), narrow.http.delete("/stats"), narrow.http.get("/metrics")]
    assert {response.status_code for response in statuses} == {403}
    assert [sent(place, slow, path, {"query": SAID} | saying(SAID)).status_code for path in (CHAT, CHAT)] == [200, 429]
    assert slow.route(SAID).status_code == 429


def hear_of_it_elsewhere(place: Place) -> Iterable[httpx2.Response]:
    """What another caller is told afterwards, mistakes included."""
    other = place.caller("other")
    for fault in (failing(500), breaking(RESET)):
        place.model.script = fault
        yield sent(place, other, CHAT, saying("Hello", model=AGENT))
    place.model.script = breaking(answer(200, completion("Good evening")))
    yield other.http.get("/v1/models")
    yield other.http.get("/stats")
    yield other.route("Hello", use_case="agent")
    yield other.http.post("/route", json={"query": 5})
    yield sent(place, other, CHAT, b'{"model": "nobody"}')
    yield other.http.get("/sessions/unknown")
    yield sent(place, other, "/v1/responses", {"model": "auto", "input": "x", "previous_response_id": "resp_1"})
    yield sent(place, other, CHAT, b"{")


# nowhere


def without(text: str, secret: str, where: str) -> None:
    at = text.find(secret)
    assert at < 0, f"{where}: …{text[max(0, at - 300) : at + 100]}…"


@pytest.mark.parametrize("place", ["log", "spans", "exemplars", "/metrics", "/stats", "/health", "/use-cases"])
def test_what_was_said_and_who_showed_which_key_is_written_nowhere(written: Written, place: str) -> None:
    text = written.places[place]
    without(text, MARK, place)
    for key in written.keys:
        without(text, key, place)
        without(text, key.removeprefix("sr-")[:20], place)


def test_there_was_something_to_look_through(written: Written) -> None:
    lines = [json.loads(line) for line in written.places["log"].splitlines() if line.startswith("{")]
    outcomes = [line["outcome"] for line in lines if line["event"] == "request"]
    assert {"ok", "client_error", "upstream_error"} <= set(outcomes)
    assert len(outcomes) > 100
    assert "attempt failed" in written.places["log"]
    assert "smart_router_requests_total" in written.places["exemplars"]
    assert "POST /route" in written.places["spans"]


def test_redis_holds_what_was_said_in_conversations_alone_and_for_their_time(written: Written) -> None:
    """And no key at all."""
    holding = {key for key, value in written.redis.items() if MARK in value or MARK in key}
    assert holding, "a conversation is remembered"
    assert {key.rpartition(":h:")[2] for key in holding} <= written.conversations
    assert all(0 < written.lives[key] <= 1_800_000 for key in holding)
    for secret in written.keys:
        without("\n".join(written.redis.values()), secret.removeprefix("sr-")[:20], "redis")


def test_the_file_of_keys_holds_none(written: Written) -> None:
    for key in written.keys:
        without(written.places["keys"], key.removeprefix("sr-")[:20], "file of keys")


def test_other_callers_hear_nothing_of_it(written: Written) -> None:
    assert {response.status_code for response in written.others} >= {200, 400, 404}
    for response in written.others:
        without(response.text + str(response.headers), MARK, str(response.request.url))
        for key in written.keys:
            without(response.text + str(response.headers), key, str(response.request.url))
