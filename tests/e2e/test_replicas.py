"""Several replicas of one model: who is asked, who takes over, and who holds what."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from smart_router.cli.processes import free_port
from smart_router.simulate import FaultName, SimulatedModel, running
from tests.upstream.scripted import STREAM_END, STREAM_HEAD, Step, answer, chunk

from .asking import (
    ALOUD,
    CHAT,
    DONE,
    FOLLOW_UP,
    PYTHON,
    a_picture,
    a_session,
    a_sound,
    content_of,
    data_of,
    saying,
    user,
)
from .models import AGENT, AUDIO, MULTIMODAL, Models, ModelServer, Recorder, Taken, a_recorder
from .routers import Router, a_registry, running_router, wait_for_idle

TRAFFIC = 15
DEADLINES = {"first_byte_timeout": 1.0, "between_chunks_timeout": 1.0, "open_timeout": 4.0, "health_interval": 0.2}


@dataclass(frozen=True)
class Replicas:
    """The agent's servers, all of one model."""

    servers: tuple[ModelServer, ...]

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def at(self, url: str) -> ModelServer:
        return next(server for server in self.servers if server.url == url)

    def others(self, url: str) -> list[ModelServer]:
        return [server for server in self.servers if server.url != url]

    def fail(self, fault: FaultName, count: int | None = None) -> None:
        for server in self.servers:
            server.fail(fault, count)

    def reset(self) -> None:
        for server in self.servers:
            server.reset()

    def asked(self) -> list[str]:
        """The address of every server once for each request it got."""
        return [server.url for server in self.servers for _ in server.received()]


@pytest.fixture(scope="module")
def three(servers: Models) -> Iterator[Replicas]:
    with ExitStack() as stack:
        model = SimulatedModel(AGENT, "text", ttft_ms=0, tokens_per_second=0)
        urls = [stack.enter_context(running(model)) for _ in range(3)]
        yield Replicas(tuple(ModelServer(AGENT, url, servers.agent.http) for url in urls))


@pytest.fixture(scope="module")
def replicated(three: Replicas, servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    endpoints = servers.endpoints | {AGENT: three.urls}
    with running_router(a_registry(tmp_path_factory.mktemp("three"), endpoints), **DEADLINES) as router:
        yield router


@pytest.fixture(scope="module")
def falling_back(three: Replicas, servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """The same, where the model for pictures answers when the agent's cannot."""
    registry = a_registry(
        tmp_path_factory.mktemp("fallback"),
        servers.endpoints | {AGENT: three.urls[:2]},
        {AGENT: {"fallbacks": [MULTIMODAL]}},
    )
    with running_router(registry, **DEADLINES) as router:
        yield router


@pytest.fixture
def replicas(three: Replicas) -> Replicas:
    three.reset()
    return three


@pytest.fixture
def router(replicated: Router, replicas: Replicas, models: Models) -> Iterator[Router]:
    """All replicas are well when a test begins, whatever the one before did to them; no place stays taken."""
    well(replicated, replicas.servers)
    replicas.reset()
    yield replicated
    replicas.reset()
    wait_for_idle(replicated)


@pytest.fixture
def fallback_router(falling_back: Router, replicas: Replicas, models: Models) -> Iterator[Router]:
    well(falling_back, replicas.servers[:2])
    replicas.reset()
    models.reset()
    yield falling_back
    replicas.reset()
    wait_for_idle(falling_back)


def well(router: Router, servers: Sequence[ModelServer]) -> None:
    """
    Wait until each of *servers* is asked again: has recovered, and had the rest that it wanted. The traffic by which
    this shows is so much that the retries of a test are less than the fifth that they may be.
    """
    deadline = time.monotonic() + 30
    while True:
        for server in servers:
            server.reset()
        answers = [router.chat(PYTHON) for _ in range(TRAFFIC)]
        if all(server.received() for server in servers) and {answer.status_code for answer in answers} == {200}:
            return
        assert time.monotonic() < deadline


def endpoint(router: Router, session: str) -> str:
    found: str = router.session(session)["endpoint"]
    return found


def a_warm_session(router: Router) -> tuple[str, str]:
    """A session of the agent, and the replica where its conversation is warm."""
    session = a_session()
    router.chatted(PYTHON, session=session)
    return session, endpoint(router, session)


# stickiness


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_session_stays_with_its_replica(router: Router, replicas: Replicas, stream: bool) -> None:
    for _ in range(6):
        replicas.reset()
        session = a_session()
        for text in (PYTHON, FOLLOW_UP, "Make it faster", "Add a test"):
            router.chatted(text, session=session, stream=stream)
        assert replicas.asked() == [endpoint(router, session)] * 4


def test_sessions_are_spread_over_the_replicas(router: Router, replicas: Replicas) -> None:
    for _ in range(40):
        router.chatted(PYTHON)
    assert set(replicas.asked()) == set(replicas.urls)


@pytest.mark.parametrize("model", ["auto", "agent", AGENT])
def test_however_the_model_is_named_the_session_stays(router: Router, replicas: Replicas, model: str) -> None:
    session, warm = a_warm_session(router)
    router.chatted(FOLLOW_UP, session=session, model=model)
    assert replicas.asked() == [warm] * 2


def test_a_conversation_without_an_id_stays_with_its_replica(router: Router, replicas: Replicas) -> None:
    talk = [user(f"{PYTHON} and call it {a_session()}")]
    for text in (FOLLOW_UP, "Make it faster", "Add a test"):
        assert router.http.post(CHAT, json=saying(talk)).status_code == 200
        talk = [*talk, {"role": "assistant", "content": "def f(): pass"}, user(text)]
    assert len(set(replicas.asked())) == 1


def test_all_paths_of_a_session_stay_with_its_replica(router: Router, replicas: Replicas) -> None:
    session, warm = a_warm_session(router)
    router.answer(FOLLOW_UP, session_id=session)
    router.post("/v1/responses", {"model": "auto", "input": FOLLOW_UP}, session=session)
    router.post("/v1/messages", saying(FOLLOW_UP, max_tokens=9), session=session)
    router.post("/v1/completions", {"model": AGENT, "prompt": PYTHON}, session=session)
    router.post("/tokenize", {"model": AGENT, "prompt": PYTHON}, session=session)
    assert replicas.asked() == [warm] * 6


def test_a_turn_elsewhere_does_not_lose_the_warm_replica(router: Router, replicas: Replicas, models: Models) -> None:
    for _ in range(4):
        session, warm = a_warm_session(router)
        router.chatted([user({"type": "text", "text": "What is this?"}, a_picture())], session=session)
        router.chatted(ALOUD, session=session, model="tts")
        router.chatted(FOLLOW_UP, session=session, model="agent")
        assert endpoint(router, session) == warm


# failover


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fault", ["refuse-503", "rate-limit-429", "error-500", "role-then-error"])
def test_another_replica_takes_over(router: Router, replicas: Replicas, fault: FaultName, stream: bool) -> None:
    session, warm = a_warm_session(router)
    expected = f"[simulated {AGENT}] You said: {FOLLOW_UP}."
    replicas.at(warm).fail(fault)
    response = router.chatted(FOLLOW_UP, session=session, stream=stream)
    if stream:
        assert content_of(response.content) == expected
        roles = [data for data in data_of(response.content) if data != DONE and "role" in str(data)]
        assert len(roles) == 1, "something of the first replica's stream was passed on"
        assert len({data["id"] for data in data_of(response.content) if data != DONE}) == 1
    else:
        assert response.json()["choices"][0]["message"]["content"] == expected
    headers = response.headers
    assert (headers["x-route-model"], headers["x-session-id"]) == (AGENT, session)
    assert warm in replicas.asked()
    assert endpoint(router, session) != warm, "the session goes on where it was answered"


def test_another_replica_takes_over_from_a_silent_one(router: Router, replicas: Replicas) -> None:
    session, warm = a_warm_session(router)
    replicas.at(warm).fail("stall-before-headers")
    response = router.chatted(FOLLOW_UP, session=session, stream=True)
    assert data_of(response.content)[-1] == DONE
    replicas.at(warm).wait_for_running(0)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/responses", "/v1/messages"])
def test_another_replica_takes_over_on_every_path(router: Router, replicas: Replicas, path: str) -> None:
    session, warm = a_warm_session(router)
    replicas.at(warm).fail("role-then-error" if path != "/v1/completions" else "error-500")
    body = saying(FOLLOW_UP, input=FOLLOW_UP, prompt=FOLLOW_UP, max_tokens=40, stream=True)
    response = router.post(path, body, session=session)
    assert response.status_code == 200, response.text
    assert "simulated fault" not in response.text


def test_two_replicas_may_fail(router: Router, replicas: Replicas) -> None:
    session, warm = a_warm_session(router)
    replicas.at(warm).fail("refuse-503")
    replicas.others(warm)[0].fail("error-500")
    router.chatted(FOLLOW_UP, session=session)
    assert endpoint(router, session) == replicas.others(warm)[1].url


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_when_all_are_busy_the_client_is_asked_to_come_back(router: Router, replicas: Replicas, stream: bool) -> None:
    replicas.fail("refuse-503")
    response = router.chat(PYTHON, stream=stream)
    assert response.status_code == 503
    assert float(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["message"]
    assert len(replicas.asked()) == len(set(replicas.asked())), "a replica was asked twice"


def test_a_refused_request_is_not_asked_elsewhere(router: Router, replicas: Replicas) -> None:
    response = router.chat(PYTHON, model=AGENT, max_tokens=-1)
    direct = replicas.servers[0].http.post(replicas.urls[0] + CHAT, json=saying(PYTHON, model=AGENT, max_tokens=-1))
    assert (response.status_code, response.content) == (400, direct.content)
    assert len(replicas.asked()) == 2, "one by us, one by the router"


def test_a_stream_that_dies_is_not_begun_again_elsewhere(router: Router, replicas: Replicas) -> None:
    session, warm = a_warm_session(router)
    replicas.at(warm).fail("reset-mid-stream")
    seen = data_of(router.chatted(FOLLOW_UP, session=session, stream=True).content)
    assert DONE not in seen
    assert "error" in seen[-1]
    assert set(replicas.asked()) == {warm}


def test_a_session_goes_on_after_its_replica_recovered(router: Router, replicas: Replicas) -> None:
    session, warm = a_warm_session(router)
    replicas.at(warm).fail("error-500", count=1)
    router.chatted(FOLLOW_UP, session=session)
    moved = endpoint(router, session)
    router.chatted("Make it faster", session=session)
    assert endpoint(router, session) == moved, "it stays where it is warm now"


# fallback models


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fault", ["refuse-503", "error-500", "role-then-error"])
def test_a_fallback_model_takes_over(
    fallback_router: Router, replicas: Replicas, models: Models, fault: FaultName, stream: bool
) -> None:
    replicas.fail(fault)
    response = fallback_router.chatted(PYTHON, stream=stream)
    assert response.headers["x-route-model"] == MULTIMODAL
    assert response.headers["x-route-use-case"] == "agent"
    (body,) = models.multimodal.received()
    assert body["model"] == MULTIMODAL, "it is asked for by its own name"
    assert f"[simulated {MULTIMODAL}]" in (content_of(response.content) if stream else response.text)


def test_without_a_failure_the_fallback_is_not_asked(fallback_router: Router, models: Models) -> None:
    assert fallback_router.chatted(PYTHON).headers["x-route-model"] == AGENT
    assert not models.multimodal.received()


def test_the_fallbacks_failure_is_told(fallback_router: Router, replicas: Replicas, models: Models) -> None:
    replicas.fail("refuse-503")
    models.multimodal.fail("refuse-503")
    response = fallback_router.chat(PYTHON)
    assert response.status_code == 503
    assert float(response.headers["retry-after"]) >= 1


# replicas that are not there


def test_dead_replicas_are_stepped_over(models: Models, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also by uploads, of which nothing has been sent on by then, and before a health check could tell."""
    nobody = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    endpoints = models.endpoints | {
        AGENT: [*nobody, models.agent.url],
        AUDIO: [*nobody, models.audio.url],
    }
    with running_router(a_registry(tmp_path_factory.mktemp("dead"), endpoints), health_interval=3600) as router:
        assert [router.chat(PYTHON, stream=bool(n % 2)).status_code for n in range(6)] == [200] * 6
        form, file = {"model": AUDIO}, {"file": ("a.wav", a_sound(), "audio/wav")}
        uploads = [
            router.http.post("/v1/audio/transcriptions", data=form, files=file, headers={"X-Session-ID": a_session()})
            for _ in range(6)
        ]
        assert [upload.status_code for upload in uploads] == [200] * 6


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/embeddings", "/v1/responses"])
def test_no_replica_at_all_is_a_503(lonely: Router, path: str) -> None:
    response = lonely.post(path, saying(PYTHON, model=AGENT, input=PYTHON, max_tokens=9))
    assert response.status_code == 503
    assert float(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["message"]
    assert "127.0.0.1" not in response.text


def test_without_replicas_the_models_are_still_listed(lonely: Router) -> None:
    assert AGENT in lonely.http.get("/v1/models").text


# who holds a response


class Holder:
    """A replica that keeps its responses, as vLLM does with `VLLM_ENABLE_RESPONSES_API_STORE`."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self.recorder = recorder
        self._number = number
        self._held: set[str] = set()
        recorder.script = self.respond

    def holds(self, id: str) -> bool:
        return id in self._held

    def respond(self, taken: Taken) -> list[Step]:
        """A new response, or one of its own again; a 404 for what another holds."""
        asked = taken.path.removeprefix("/v1/responses").split("/")[1:2]
        body = taken.json if taken.body else {}
        previous = asked[0] if asked else body.get("previous_response_id")
        if previous and previous not in self._held:
            return [answer(404, b'{"error":{"message":"not found","type":"NotFoundError","param":null,"code":404}}')]
        if asked:
            return [answer(200, _response(asked[0]))]
        id = f"resp_{self._number}{len(self._held):03}"
        self._held.add(id)
        return _streamed(id) if body.get("stream") else [answer(200, _response(id))]


def _response(id: str) -> bytes:
    return json.dumps({"id": id, "object": "response", "status": "completed", "output": []}).encode()


def _streamed(id: str) -> list[Step]:
    response = _response(id).decode()
    named = ("response.created", f'{{"type":"response.created","response":{response}}}')
    word = ("response.output_text.delta", '{"type":"response.output_text.delta","delta":"Hi"}')
    done = ("response.completed", f'{{"type":"response.completed","response":{response}}}')
    events = [f"event: {name}\ndata: {data}\n\n".encode() for name, data in (named, word, done)]
    return [STREAM_HEAD, *map(chunk, events), STREAM_END]


@pytest.fixture(scope="module")
def held(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Router, list[Holder]]]:
    with ExitStack() as stack:
        holders = [Holder(stack.enter_context(a_recorder()), number) for number in range(1, 4)]
        endpoints = servers.endpoints | {AGENT: [holder.recorder.url for holder in holders]}
        registry = a_registry(tmp_path_factory.mktemp("held"), endpoints)
        yield stack.enter_context(running_router(registry, health_interval=0.2)), holders


def respond(router: Router, **fields: Any) -> httpx2.Response:
    """In a new session each time, so that the session's replica is no help."""
    response = router.post("/v1/responses", {"model": "agent", "input": PYTHON} | fields)
    assert response.status_code == 200, response.text
    return response


def id_of(response: httpx2.Response) -> str:
    if response.headers["content-type"].startswith("text/event-stream"):
        found: str = data_of(response.content)[0]["response"]["id"]
        return found
    id: str = response.json()["id"]
    return id


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_follow_up_goes_to_the_replica_that_holds_the_response(
    held: tuple[Router, list[Holder]], stream: bool
) -> None:
    router, holders = held
    ids = [id_of(respond(router, stream=stream)) for _ in range(12)]
    assert sum(any(holder.holds(id) for id in ids) for holder in holders) > 1, "all went to one replica"
    for id in ids:
        follow_up = id_of(respond(router, previous_response_id=id, stream=stream))
        assert any(holder.holds(id) and holder.holds(follow_up) for holder in holders)


@pytest.mark.parametrize("model", ["auto", AGENT])
def test_a_chain_of_follow_ups_stays_there(held: tuple[Router, list[Holder]], model: str) -> None:
    router, _ = held
    for _ in range(4):
        id = id_of(respond(router, model=AGENT))
        for _ in range(3):
            id = id_of(respond(router, model=model, previous_response_id=id))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_response_is_got_and_cancelled_where_it_is_held(held: tuple[Router, list[Holder]], stream: bool) -> None:
    router, _ = held
    for id in [id_of(respond(router, stream=stream)) for _ in range(8)]:
        got = router.http.get(f"/v1/responses/{id}")
        assert (got.status_code, got.json()["id"]) == (200, id)
        cancelled = router.http.post(f"/v1/responses/{id}/cancel")
        assert (cancelled.status_code, cancelled.json()["id"]) == (200, id)


def test_a_response_that_nobody_holds_is_not_found(held: tuple[Router, list[Holder]]) -> None:
    router, _ = held
    for response in (
        router.http.get("/v1/responses/resp_none"),
        router.http.post("/v1/responses/resp_none/cancel"),
        router.post("/v1/responses", {"model": "agent", "input": PYTHON, "previous_response_id": "resp_none"}),
    ):
        assert response.status_code == 404
        assert response.json()["error"]["message"]
