"""Models that Ollama holds in memory, or not: against a simulated one, and scripted ones for what that does not do."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from smart_router.cli.processes import free_port
from smart_router.errors import BackendBusy, BackendUnreachable, LifecycleFailed, UpstreamError
from smart_router.lifecycle import KINDS
from smart_router.lifecycle import ollama as module
from smart_router.lifecycle.ollama import OllamaLifecycle
from smart_router.registry import Model
from smart_router.simulate import SimulatedModel, running
from tests.fakes import Clock, a_model, settings
from tests.upstream.scripted import STALL, ScriptedServer, answer, scripted_server

WITHIN_S = 20.0
NAME = "qwen2.5:7b"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(SimulatedModel(NAME, ttft_ms=0, tokens_per_second=0, server="ollama")) as found:
        yield found


@pytest_asyncio.fixture
async def kind(bare_environment: object) -> AsyncIterator[OllamaLifecycle]:
    found = OllamaLifecycle(settings(health_timeout=WITHIN_S, connect_timeout=WITHIN_S))
    await found.start()
    yield found
    await found.close()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as found:
        yield found


def ollama(name: str = NAME, **changed: Any) -> Model:
    return a_model("small", served_as=name, backend="ollama", lifecycle="ollama", **changed)


def in_memory(url: str) -> list[str]:
    return [model["name"] for model in httpx2.get(f"{url}/api/ps", trust_env=False).json()["models"]]


def test_the_kind_is_known() -> None:
    assert KINDS["ollama"] is OllamaLifecycle


async def test_a_model_sleeps_until_it_is_woken_and_stays(kind: OllamaLifecycle, url: str) -> None:
    await kind.sleep(ollama(), url)
    assert await kind.look(ollama(), url) == "sleeping"
    await kind.wake(ollama(), url)
    assert await kind.look(ollama(), url) == "awake"
    loaded = httpx2.get(f"{url}/api/ps", trust_env=False).json()["models"][0]
    assert loaded["expires_at"] > "2200"  # for ever


async def test_waking_twice_and_sleeping_twice_is_fine(kind: OllamaLifecycle, url: str) -> None:
    for _ in range(2):
        await kind.wake(ollama(), url)
    assert in_memory(url) == [NAME]
    for _ in range(2):
        await kind.sleep(ollama(), url)
    assert in_memory(url) == []


async def test_sleeping_lets_a_request_end_first(kind: OllamaLifecycle) -> None:
    with running(SimulatedModel(NAME, ttft_ms=0, tokens_per_second=20, server="ollama")) as url:
        async with httpx2.AsyncClient(timeout=WITHIN_S, trust_env=False) as http:
            body = {"model": NAME, "messages": [{"role": "user", "content": "count " * 20}], "max_tokens": 20}
            asking = asyncio.create_task(http.post(f"{url}/v1/chat/completions", json=body))
            async with asyncio.timeout(WITHIN_S):
                while await kind.look(ollama(), url) != "awake":  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await kind.sleep(ollama(), url)
            assert (await asking).json()["usage"]["completion_tokens"] == 20


async def test_a_name_without_a_tag_is_the_latest(kind: OllamaLifecycle, url: str) -> None:
    httpx2.post(f"{url}/api/pull", json={"model": "llama3.2"}, trust_env=False)
    await kind.wake(ollama("Llama3.2"), url)
    assert await kind.look(ollama("llama3.2:latest"), url) == "awake"
    await kind.sleep(ollama("llama3.2"), url)
    assert await kind.look(ollama("llama3.2"), url) == "sleeping"


@pytest.mark.parametrize("what", ["look", "wake", "sleep"])
async def test_a_model_that_was_never_pulled_says_how(kind: OllamaLifecycle, url: str, what: str) -> None:
    with pytest.raises(LifecycleFailed, match=r"^small: .*`ollama pull nobody`"):
        await getattr(kind, what)(ollama("nobody"), url)


@pytest.mark.parametrize("what", ["look", "wake", "sleep"])
async def test_a_server_that_is_not_there_is_an_upstream_error(kind: OllamaLifecycle, what: str) -> None:
    with pytest.raises(BackendUnreachable):
        await getattr(kind, what)(ollama(), f"http://127.0.0.1:{free_port()}")


async def test_what_ollama_complains_of_is_told(kind: OllamaLifecycle, server: ScriptedServer) -> None:
    said = "model requires more system memory (9.1 GiB) than is available (3.2 GiB)"
    server.enqueue(answer(500, f'{{"error": "{said}"}}'.encode()))
    with pytest.raises(LifecycleFailed, match="small: Ollama says: model requires more system memory"):
        await kind.wake(ollama(), server.url)
    assert server.requests[0].json == {"model": NAME, "keep_alive": -1, "stream": False}


async def test_a_full_queue_is_no_failure_of_the_model(kind: OllamaLifecycle, server: ScriptedServer) -> None:
    server.enqueue(answer(503, b'{"error": "server busy, please try again.  maximum pending requests exceeded"}'))
    with pytest.raises(BackendBusy):
        await kind.wake(ollama(), server.url)


async def test_a_load_that_did_not_last_is_not_believed(kind: OllamaLifecycle, server: ScriptedServer) -> None:
    server.enqueue(answer(200, b'{"done": true, "done_reason": "load"}'))
    server.enqueue(answer(200, b'{"models": []}'))
    server.enqueue(answer(200, b'{"models": [{"name": "qwen2.5:7b"}]}'))
    with pytest.raises(LifecycleFailed, match="let go of it again"):
        await kind.wake(ollama(), server.url)


async def test_an_eviction_is_believed_once_the_server_says_so(kind: OllamaLifecycle, server: ScriptedServer) -> None:
    server.enqueue(answer(200, b'{"done": true, "done_reason": "unload"}'))
    for _ in range(3):
        server.enqueue(answer(200, b'{"models": [{"name": "qwen2.5:7b"}]}'))
    server.enqueue(answer(200, b'{"models": []}'))
    server.enqueue(answer(200, b'{"models": [{"name": "qwen2.5:7b"}]}'))
    await kind.sleep(ollama(), server.url)
    assert [request.path for request in server.requests] == ["/api/generate", *["/api/ps"] * 4, "/api/tags"]
    assert server.requests[0].json == {"model": NAME, "keep_alive": 0, "stream": False}


async def test_a_model_that_does_not_go_is_still_awake(
    kind: OllamaLifecycle, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    server.enqueue(answer(200, b'{"done": true, "done_reason": "unload"}'))
    server.enqueue(answer(200, b'{"models": [{"name": "qwen2.5:7b"}]}'), STALL)
    sleeping = asyncio.create_task(kind.sleep(ollama(), server.url))
    async with asyncio.timeout(WITHIN_S):
        while len(server.requests) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    clock.pass_(10_000)
    server.enqueue(answer(200, b'{"models": [{"name": "qwen2.5:7b"}]}'))
    server.resume.set()
    with pytest.raises(LifecycleFailed, match="still holds it"):
        await sleeping


@pytest.mark.parametrize("body", [b"", b"[]", b'{"models": 5}', b'{"models": [{"name": 5}]}', b"<html>"])
async def test_an_answer_that_cannot_be_read_is_an_upstream_error(
    kind: OllamaLifecycle, server: ScriptedServer, body: bytes
) -> None:
    server.enqueue(answer(200, body))
    with pytest.raises(UpstreamError):
        await kind.look(ollama(), server.url)


async def test_the_models_key_goes_along(kind: OllamaLifecycle, server: ScriptedServer) -> None:
    server.enqueue(answer(401))
    with pytest.raises(LifecycleFailed, match="api_key"):
        await kind.look(ollama(api_key="sk-1"), server.url)
    assert server.requests[0].headers["authorization"] == "Bearer sk-1"
