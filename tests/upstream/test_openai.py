"""What the openai kind does beyond the contract: keys, prefixes, lists that are not the whole truth."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from smart_router.errors import BackendBroke, BackendLocked
from smart_router.upstream.base import Call, Forward
from smart_router.upstream.openai import OpenAIUpstream
from tests.fakes import a_model, an_ask, settings

from .scripted import ScriptedServer, answer, completion

KEY = "sk-or-1"  # of nobody
MODEL = a_model("big", served_as="vendor/big", backend="openai", api_key=KEY)
WITHIN_S = 20.0

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    found = OpenAIUpstream(settings(health_timeout=WITHIN_S, connect_timeout=WITHIN_S))
    await found.start()
    yield found
    await found.close()


async def test_its_list_of_models_is_its_health(upstream: OpenAIUpstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, b'{"data": [{"id": "vendor/big"}]}'))
    assert await upstream.check(MODEL, server.url) == ""
    (asked,) = server.requests
    assert (asked.method, asked.path, asked.headers["authorization"]) == ("GET", "/v1/models", f"Bearer {KEY}")


async def test_a_wrong_key_is_trouble_that_says_so(upstream: OpenAIUpstream, server: ScriptedServer) -> None:
    server.enqueue(answer(401, b'{"error": {"message": "Incorrect API key provided: sk-or-1"}}'))
    with pytest.raises(BackendLocked, match="correct api_key of this model in the registry") as caught:
        await upstream.check(MODEL, server.url)
    assert KEY not in caught.value.message


async def test_a_model_that_is_not_listed_may_answer_all_the_same(
    upstream: OpenAIUpstream, server: ScriptedServer
) -> None:
    """llama.cpp lists the path of its file, and answers to any name."""
    server.enqueue(answer(200, b'{"data": [{"id": "/models/tiny.gguf"}]}'))
    remark = await upstream.check(MODEL, server.url)
    assert "lists /models/tiny.gguf, but not vendor/big" in remark


async def test_one_that_limits_how_often_it_is_asked_is_there(upstream: OpenAIUpstream, server: ScriptedServer) -> None:
    server.enqueue(answer(429, b'{"error": {"message": "Rate limit reached"}}'))
    assert await upstream.check(MODEL, server.url) == "/v1/models may be asked less often"


async def test_a_long_list_is_told_in_part(upstream: OpenAIUpstream, server: ScriptedServer) -> None:
    listed = ", ".join(f'{{"id": "m{number:03}"}}' for number in range(400))
    server.enqueue(answer(200, f'{{"data": [{listed}]}}'.encode()))
    remark = await upstream.check(MODEL, server.url)
    assert "m009 and 390 more" in remark


async def test_a_list_that_says_nothing_is_no_trouble(upstream: OpenAIUpstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, b'{"object": "list", "data": []}'))
    assert await upstream.check(MODEL, server.url) == ""


@pytest.mark.parametrize("prefix", ["", "/api", "/api/"])
async def test_a_prefix_of_the_address_comes_before_every_path(
    upstream: OpenAIUpstream, server: ScriptedServer, prefix: str
) -> None:
    endpoint = server.url + prefix
    server.enqueue(answer(200, b'{"data": []}'))
    await upstream.check(MODEL, endpoint)
    server.enqueue(answer(200, completion()))
    (await upstream.open(Call(an_ask(), MODEL), endpoint)).close()
    server.enqueue(answer(200, b"{}"))
    (await upstream.forward(Forward(b"/v1/embeddings", b"{}", model=MODEL), endpoint, WITHIN_S)).close()
    before = prefix.rstrip("/")
    asked = [request.path for request in server.requests]
    assert asked == [f"{before}/v1/models", f"{before}/v1/chat/completions", f"{before}/v1/embeddings"]


async def test_it_does_not_say_how_busy_it_is(upstream: OpenAIUpstream, server: ScriptedServer) -> None:
    assert await upstream.asleep(server.url) is False
    with pytest.raises(BackendBroke, match="does not say"):
        await upstream.load(server.url)
    assert server.requests == []
