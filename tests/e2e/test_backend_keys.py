"""The keys of model servers: each goes to its own servers on every path, none is seen anywhere else."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
import yaml

from tests.upstream.scripted import answer

from .asking import ALOUD, CHAT, PYTHON, a_session, a_sound, saying
from .models import AGENT, AUDIO, MULTIMODAL, Models, Recorder, a_recorder
from .routers import KEY, Router, a_client, a_registry, running_router
from .test_fallback import wait_until

THEIRS = "sk-of-the-operator-1"  # of nobody
OTHERS = "sk-of-the-operator-2"
CLIENTS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def recorders() -> Iterator[tuple[Recorder, Recorder, Recorder]]:
    with ExitStack() as stack:
        one, two, three = (stack.enter_context(a_recorder()) for _ in range(3))
        yield one, two, three


@pytest.fixture(scope="module")
def shared(
    recorders: tuple[Recorder, Recorder, Recorder], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Router]:
    """Two models with a key each, one without."""
    endpoints = dict(zip((AGENT, AUDIO, MULTIMODAL), ([found.url] for found in recorders), strict=True))
    changed = {AGENT: {"backend": "openai", "api_key": THEIRS}, AUDIO: {"backend": "openai", "api_key": OTHERS}}
    registry = a_registry(tmp_path_factory.mktemp("keys"), endpoints, changed)
    with running_router(registry, api_key=KEY, health_interval=0.2) as found, a_client(found.url, **CLIENTS) as http:
        router = Router(found.url, http)
        wait_until(lambda: router.get("/health")["status"] == "healthy", "the models are not healthy")
        yield router


@pytest.fixture
def router(shared: Router, recorders: tuple[Recorder, Recorder, Recorder]) -> Router:
    for recorder in recorders:
        recorder.reset()
    return shared


def sent(recorder: Recorder) -> str:
    return recorder.last.header("authorization")


@pytest.mark.parametrize("stream", [False, True])
def test_a_query_in_our_own_words_has_the_key(
    router: Router, recorders: tuple[Recorder, Recorder, Recorder], stream: bool
) -> None:
    router.route(PYTHON, stream=stream)
    assert sent(recorders[0]) == f"Bearer {THEIRS}"


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/completions", "/v1/responses"])
def test_what_is_passed_on_has_the_key_and_not_the_clients(
    router: Router, recorders: tuple[Recorder, Recorder, Recorder], path: str
) -> None:
    router.post(path, saying(PYTHON, model=AGENT, input="x", prompt="x"))
    assert sent(recorders[0]) == f"Bearer {THEIRS}"
    router.post(path, saying(PYTHON, model=MULTIMODAL, input="x", prompt="x"))
    assert sent(recorders[2]) == "", "a model without a key gets none, not even the client's"


def test_an_upload_has_the_key(router: Router, recorders: tuple[Recorder, Recorder, Recorder]) -> None:
    file = {"file": ("a.wav", a_sound(), "audio/wav")}
    router.http.post("/v1/audio/transcriptions", data={"model": AUDIO}, files=file)
    assert sent(recorders[1]) == f"Bearer {OTHERS}"


def test_a_stored_response_is_asked_for_with_the_key(
    router: Router, recorders: tuple[Recorder, Recorder, Recorder]
) -> None:
    stored = json.dumps({"id": "resp_1", "object": "response", "output": []}).encode()
    recorders[0].tell(answer(200, stored))
    router.post("/v1/responses", {"model": AGENT, "input": PYTHON})
    assert router.http.get("/v1/responses/resp_1").status_code == 200
    assert (recorders[0].last.method, sent(recorders[0])) == ("GET", f"Bearer {THEIRS}")


def test_no_key_goes_to_another_models_server(router: Router, recorders: tuple[Recorder, Recorder, Recorder]) -> None:
    for model in (AGENT, AUDIO, MULTIMODAL):
        router.chat(PYTHON, model=model)
    everything = [str(recorder.requests) for recorder in recorders]
    assert [THEIRS in said for said in everything] == [True, False, False]
    assert [OTHERS in said for said in everything] == [False, True, False]
    assert not any(KEY in said for said in everything)


def test_a_key_that_is_refused_is_no_401_for_the_client(
    router: Router, recorders: tuple[Recorder, Recorder, Recorder]
) -> None:
    recorders[0].tell(answer(401, b'{"error": {"message": "Incorrect API key provided: sk-of-the-op"}}'))
    for response in (router.chat(PYTHON, model=AGENT), router.route(PYTHON, use_case="agent")):
        assert response.status_code in (502, 503)
        assert "sk-of" not in response.text


def test_keys_are_seen_nowhere(router: Router, recorders: tuple[Recorder, Recorder, Recorder]) -> None:
    with structlog.testing.capture_logs() as logged:
        recorders[0].tell(answer(401))
        router.route(PYTHON, session_id=a_session())
        recorders[0].reset()
        router.route(ALOUD, session_id=a_session())
        said = [router.http.get(path).text for path in ("/health", "/metrics", "/v1/models", "/use-cases", "/stats")]
        said += [router.http.post("/admin/reload").text, str(logged)]
    assert not any(key in text for key in (THEIRS, OTHERS) for text in said)


def test_a_key_changes_with_the_registry(models: Models, tmp_path: Path) -> None:
    with a_recorder() as recorder:
        path = a_registry(tmp_path, models.endpoints | {AGENT: [recorder.url]}, {AGENT: {"api_key": THEIRS}})
        with running_router(path, api_key=KEY) as found, a_client(found.url, **CLIENTS) as http:
            router = Router(found.url, http)
            router.chat(PYTHON, model=AGENT)
            assert sent(recorder) == f"Bearer {THEIRS}"
            registry = yaml.safe_load(path.read_text())
            registry["models"][0]["api_key"] = OTHERS
            path.write_text(yaml.safe_dump(registry))
            assert router.http.post("/admin/reload").json()["changed"] == [AGENT]
            router.chat(PYTHON, model=AGENT)
            assert sent(recorder) == f"Bearer {OTHERS}"
