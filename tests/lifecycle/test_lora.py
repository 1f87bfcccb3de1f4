"""Kind `lora`: adapters that a running vLLM server loads and forgets."""

import asyncio
from typing import Any

import aiohttp
import pytest

from smart_router.cli.processes import free_port
from smart_router.errors import BackendAsleep, LifecycleFailed, UpstreamError

from .worlds import World, an_adapter

pytestmark = pytest.mark.usefixtures("bare_environment")


async def post(world: World, path: str, body: Any = None) -> None:
    async with aiohttp.ClientSession(world.endpoint) as http, http.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()


async def get(world: World, path: str) -> Any:
    async with aiohttp.ClientSession(world.endpoint) as http, http.get(path) as answer:
        return await answer.json()


async def look(world: World) -> str:
    return await world.kind.look(world.model, world.endpoint)


async def wake(world: World) -> None:
    await world.kind.wake(world.model, world.endpoint)


async def put_to_sleep(world: World) -> None:
    await world.kind.sleep(world.model, world.endpoint)


async def why_not(world: World) -> str:
    with pytest.raises(LifecycleFailed) as caught:
        await wake(world)
    assert await look(world) == "sleeping"
    return str(caught.value)


async def test_an_adapter_is_loaded_from_its_folder_under_its_name() -> None:
    async with an_adapter("/adapters/legal") as world:
        assert await look(world) == "sleeping"
        await wake(world)
        cards = (await get(world, "/v1/models"))["data"]
        assert [(card["id"], card["root"], card["parent"]) for card in cards[1:]] == [
            ("legal", "/adapters/legal", "base")
        ]
        await put_to_sleep(world)
        assert len((await get(world, "/v1/models"))["data"]) == 1


async def test_an_adapter_that_is_there_is_not_loaded_again() -> None:
    async with an_adapter() as world:
        await post(world, "/v1/load_lora_adapter", {"lora_name": "legal", "lora_path": "/elsewhere"})
        await wake(world)
        assert (await get(world, "/simulate/lifecycle"))["loads"] == 1


async def test_two_that_load_it_at_once_both_have_it() -> None:
    async with an_adapter() as world:
        await asyncio.gather(*(wake(world) for _ in range(5)))
        assert await look(world) == "awake"


async def test_an_adapter_sleeps_while_its_server_does() -> None:
    async with an_adapter() as world:
        await wake(world)
        await post(world, "/sleep")
        assert await look(world) == "sleeping"
        with pytest.raises(BackendAsleep):
            await wake(world)
        await post(world, "/wake_up")
        assert await look(world) == "awake"


async def test_a_server_out_of_development_mode_will_do() -> None:
    async with an_adapter(dev_mode=False) as world:
        await wake(world)
        assert await look(world) == "awake"


async def test_a_server_that_loads_nothing_while_it_runs_says_what_to_change() -> None:
    async with an_adapter(runtime_lora=False) as world:
        assert await why_not(world) == (
            f'adapter "legal" at {world.endpoint}: cannot be loaded from "/adapters/legal": start its server with '
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-lora"
        )


async def test_a_server_without_lora_says_what_to_change() -> None:
    async with an_adapter(enable_lora=False) as world:
        assert (await why_not(world)).endswith("VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-lora")


async def test_no_such_folder_is_told_in_the_servers_words() -> None:
    async with an_adapter("/adapters/missing") as world:
        assert await why_not(world) == (
            f'adapter "legal" at {world.endpoint}: cannot be loaded from "/adapters/missing": 404: Loading lora legal '
            "failed: No adapter found for /adapters/missing"
        )


async def test_too_high_a_rank_is_told_in_the_servers_words() -> None:
    async with an_adapter("/adapters/rank-64") as world:
        assert "500: " in (why := await why_not(world))
        assert "LoRA rank 64 is greater than max_lora_rank 16." in why


async def test_a_server_that_only_says_that_it_unloaded_has_not() -> None:
    async with an_adapter() as world:
        await wake(world)
        await post(world, "/simulate/faults", {"fault": "sleep-lies"})
        with pytest.raises(LifecycleFailed, match="cannot be unloaded: the server says that it did"):
            await put_to_sleep(world)
        assert await look(world) == "awake"


async def test_a_load_that_fails_leaves_the_next_a_clean_start() -> None:
    async with an_adapter() as world:
        await post(world, "/simulate/faults", {"fault": "wake-fails", "count": 1})
        assert "This is a simulated fault" in await why_not(world)
        await wake(world)
        assert await look(world) == "awake"


async def test_a_server_that_is_gone_is_an_error() -> None:
    async with an_adapter() as world:
        with pytest.raises(UpstreamError):
            await world.kind.look(world.model, f"http://127.0.0.1:{free_port()}")


async def test_the_base_goes_on_while_adapters_come_and_go() -> None:
    async with an_adapter() as world:
        for _ in range(3):
            await wake(world)
            await put_to_sleep(world)
        body = {"model": "base", "messages": [{"role": "user", "content": "Hi"}]}
        await post(world, "/v1/chat/completions", body)
