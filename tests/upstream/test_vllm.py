"""What the vLLM kind does beyond the contract: sleep, load, and which models it serves."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from smart_router.decide.load import Load
from smart_router.errors import BackendAsleep, BackendLocked, BackendModelMissing
from smart_router.upstream.vllm import VllmUpstream
from tests.fakes import a_model, settings

from .scripted import ScriptedServer, answer

WITHIN_S = 20.0
AWAKE = answer(200, b'{"is_sleeping": false}')
NOT_SAID = answer(404)
OTHERS = answer(200, b'{"data": [{"id": "one"}, {"id": "two"}]}')

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[VllmUpstream]:
    found = VllmUpstream(settings(health_timeout=WITHIN_S, connect_timeout=WITHIN_S))
    await found.start()
    yield found
    await found.close()


def scripted(server: ScriptedServer, *answers: bytes) -> None:
    for one in (answer(200), *answers):
        server.enqueue(one)


async def test_a_server_that_sleeps_is_not_asked_for_its_models(upstream: VllmUpstream, server: ScriptedServer) -> None:
    scripted(server, answer(200, b'{"is_sleeping": true}'))
    with pytest.raises(BackendAsleep):
        await upstream.check(a_model("m"), server.url)
    assert len(server.requests) == 2


async def test_a_server_of_other_models_is_trouble_that_names_them(
    upstream: VllmUpstream, server: ScriptedServer
) -> None:
    """Every request to it would be a 404."""
    scripted(server, AWAKE, OTHERS, answer(404, b'{"error": {"message": "The model `m` does not exist."}}'))
    with pytest.raises(BackendModelMissing, match=r"serves one, two, but not m: .*--served-model-name m"):
        await upstream.check(a_model("m"), server.url)


async def test_a_name_that_it_answers_to_need_not_be_listed(upstream: VllmUpstream, server: ScriptedServer) -> None:
    """vLLM's LoRA resolvers load an adapter when it is first asked for, and list it from then on."""
    scripted(server, AWAKE, OTHERS, answer(200, b'{"count": 1}'))
    model = a_model("m", api_key="sk-1")
    assert "lists one, two, but not m" in await upstream.check(model, server.url)
    asked = server.requests[-1]
    assert (asked.path, json.loads(asked.body)["model"]) == ("/tokenize", "m")
    assert asked.headers["authorization"] == "Bearer sk-1"


@pytest.mark.parametrize(
    "adapter", [{"lora": {"path": "/adapters/a", "base": "one"}}, {"lifecycle": "lora"}], ids=["given", "managed"]
)
async def test_an_adapter_need_not_be_listed(
    upstream: VllmUpstream, server: ScriptedServer, adapter: dict[str, Any]
) -> None:
    scripted(server, AWAKE)
    assert await upstream.check(a_model("m", **adapter), server.url) == ""


@pytest.mark.parametrize("listing", [answer(404), answer(500), answer(200, b"<html>"), answer(200, b'{"data": []}')])
async def test_a_server_that_does_not_list_its_models_is_believed(
    upstream: VllmUpstream, server: ScriptedServer, listing: bytes
) -> None:
    scripted(server, NOT_SAID, listing)
    assert await upstream.check(a_model("m"), server.url) == ""


async def test_a_server_with_a_key_of_its_own_is_trouble_that_says_so(
    upstream: VllmUpstream, server: ScriptedServer
) -> None:
    """`vllm serve --api-key` guards what is under /v1; its health is open to all."""
    scripted(server, NOT_SAID, answer(401))
    with pytest.raises(BackendLocked, match="give this model an api_key"):
        await upstream.check(a_model("m"), server.url)
    assert all("authorization" not in request.headers for request in server.requests)


async def test_it_says_how_busy_it_is(upstream: VllmUpstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, b"vllm:num_requests_running 3\nvllm:num_requests_waiting 2\n"))
    assert await upstream.load(server.url) == Load(3, 2)
