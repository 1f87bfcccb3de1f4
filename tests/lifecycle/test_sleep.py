"""Kind `sleep`: vLLM servers that free their GPU memory, or only say so."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from smart_router.errors import BackendBroke, LifecycleFailed, UpstreamError
from smart_router.lifecycle.sleep import Sleep, read_depth
from smart_router.settings import Settings
from tests.fakes import a_model

from .worlds import World, a_sleeper, until

pytestmark = pytest.mark.usefixtures("bare_environment")

METRIC = 'vllm:engine_sleep_state{{engine="{0}",model_name="a}} b",sleep_state="{1}"}} {2}\n'


@asynccontextmanager
async def impatient() -> AsyncIterator[Sleep]:
    """Believes soon that a server does not do what it says."""
    kind = Sleep(Settings(), settles_s=0.2)
    await kind.start()
    try:
        yield kind
    finally:
        await kind.close()


async def post(world: World, path: str, body: Any = None) -> Any:
    async with aiohttp.ClientSession(world.endpoint) as http, http.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def fail(world: World, fault: str) -> None:
    await post(world, "/simulate/faults", {"fault": fault})


async def received(world: World) -> dict[str, int]:
    async with aiohttp.ClientSession(world.endpoint) as http, http.get("/simulate/lifecycle") as answer:
        told: dict[str, int] = await answer.json()
        return told


async def state(world: World) -> str:
    async with aiohttp.ClientSession(world.endpoint) as http, http.get("/metrics") as answer:
        return str(read_depth(await answer.read()))


async def put_to_sleep(world: World) -> None:
    await world.kind.sleep(world.model, world.endpoint)


async def wake(world: World) -> None:
    await world.kind.wake(world.model, world.endpoint)


async def look(world: World) -> str:
    return await world.kind.look(world.model, world.endpoint)


# how deep


@pytest.mark.parametrize(("level", "depth"), [(1, "weights_offloaded"), (2, "discard_all")])
async def test_it_sleeps_as_deeply_as_the_registry_says(level: int, depth: str) -> None:
    async with a_sleeper(level) as world:
        await put_to_sleep(world)
        assert await state(world) == depth


async def test_weights_that_were_dropped_are_read_again() -> None:
    async with a_sleeper(2) as world:
        await put_to_sleep(world)
        await wake(world)
        assert "garbage" not in await world.ask("Good morning")
        assert (await received(world))["reloads"] == 1


async def test_weights_that_were_kept_are_not_read_again() -> None:
    async with a_sleeper(1) as world:
        await put_to_sleep(world)
        await wake(world)
        assert await received(world) == {"wakes": 1, "sleeps": 1, "reloads": 0, "loads": 0, "unloads": 0}


async def test_weights_that_somebody_else_dropped_are_read_again() -> None:
    async with a_sleeper(1) as world:
        await post(world, "/sleep?level=2")
        await wake(world)
        assert "garbage" not in await world.ask("Good morning")


async def test_a_wake_that_stopped_after_the_weights_is_finished() -> None:
    async with a_sleeper(2) as world:
        await put_to_sleep(world)
        await post(world, "/wake_up?tags=weights")
        await wake(world)
        assert "garbage" not in await world.ask("Good morning")


async def test_who_only_pauses_is_put_to_sleep_indeed() -> None:
    """Level 0, and a sleep that waits for what runs, say that they sleep before anything is freed."""
    async with a_sleeper(1) as world:
        await post(world, "/sleep?level=0")
        assert await look(world) == "sleeping"
        await put_to_sleep(world)
        assert await state(world) == "weights_offloaded"


async def test_who_only_pauses_goes_on_when_woken() -> None:
    async with a_sleeper(2) as world:
        await post(world, "/sleep?level=0")
        await wake(world)
        assert "Good morning" in await world.ask("Good morning")
        assert (await received(world))["reloads"] == 0


@pytest.mark.parametrize(
    ("page", "depth"),
    [
        ("", None),
        ('vllm:num_requests_running{engine="0"} 1.0\n', None),
        (METRIC.format(0, "awake", "1.0") + METRIC.format(0, "discard_all", "0.0"), "awake"),
        (METRIC.format(0, "awake", "0.0") + METRIC.format(0, "weights_offloaded", "1.0"), "weights_offloaded"),
        (METRIC.format(0, "awake", "0.0") + METRIC.format(0, "weights_offloaded", "0.0"), "awake"),
        (METRIC.format(0, "discard_all", "1.0") + METRIC.format(1, "awake", "1.0"), "awake"),
        (METRIC.format(0, "discard_all", "1.0") + METRIC.format(1, "weights_offloaded", "1.0"), "discard_all"),
    ],
)
def test_the_depth_is_that_of_the_engine_that_needs_the_most_care(page: str, depth: str | None) -> None:
    assert read_depth(f"# HELP\n{page}process_open_fds 3\n".encode()) == depth


# who lies, fails or hangs


async def test_a_sleep_that_frees_nothing_is_a_failure() -> None:
    async with a_sleeper() as world:
        await fail(world, "sleep-lies")
        async with impatient() as kind:
            with pytest.raises(LifecycleFailed, match=r'model "base" at http://\S+: /sleep\?level=1 was answered'):
                await kind.sleep(world.model, world.endpoint)
        assert await look(world) == "awake"


async def test_a_wake_that_fails_says_why_and_the_next_begins_anew() -> None:
    async with a_sleeper() as world:
        await put_to_sleep(world)
        await fail(world, "wake-fails")
        with pytest.raises(LifecycleFailed, match=r"/wake_up failed: 500: This is a simulated fault"):
            await wake(world)
        assert await look(world) == "sleeping"
        await post(world, "/simulate/faults", {"fault": None})
        await wake(world)
        assert await look(world) == "awake"


async def test_a_wake_that_hangs_can_be_given_up() -> None:
    async with a_sleeper() as world:
        await put_to_sleep(world)
        await fail(world, "wake-hangs")
        waking = asyncio.create_task(wake(world))

        async def arrived() -> bool:
            return (await received(world))["wakes"] == 1

        await until(arrived)
        waking.cancel()
        await asyncio.gather(waking, return_exceptions=True)
        assert waking.cancelled()
        await post(world, "/simulate/faults", {"fault": None})
        await wake(world)
        assert await look(world) == "awake"


async def test_a_server_out_of_development_mode_cannot_be_managed() -> None:
    async with a_sleeper(dev_mode=False) as world:
        for do in (look, wake, put_to_sleep):
            with pytest.raises(LifecycleFailed) as caught:
                await do(world)
            assert str(caught.value) == (
                f'model "base" at {world.endpoint}: no /is_sleeping: start its server with VLLM_SERVER_DEV_MODE=1 and '
                "--enable-sleep-mode, or write lifecycle: always"
            )


Answers = dict[str, tuple[int, Any]]
AWAKE: Answers = {"/is_sleeping": (200, {"is_sleeping": False})}
ASLEEP: Answers = {"/is_sleeping": (200, {"is_sleeping": True})}


@asynccontextmanager
async def a_server_that_says(answers: Answers) -> AsyncIterator[tuple[World, list[str]]]:
    """And the paths that were asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        status, said = answers.get(request.path, (404, {"detail": "Not Found"}))
        said = next(said) if isinstance(said, Iterator) else said
        return web.Response(status=status, body=said if isinstance(said, bytes) else json.dumps(said).encode())

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with impatient() as kind:
            yield World(kind, a_model("m", site.name, lifecycle="sleep", sleep_level=2), site.name), asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_a_refused_sleep_says_what_to_change(status: int) -> None:
    async with a_server_that_says(AWAKE | {"/sleep": (status, {"error": {"message": "not\n here"}})}) as (world, _):
        with pytest.raises(LifecycleFailed) as caught:
            await put_to_sleep(world)
        assert str(caught.value) == (
            f'model "m" at {world.endpoint}: /sleep is refused ({status}: not here): start its server with '
            "VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode, or write lifecycle: always"
        )


def info(device: str, enabled: bool) -> Answers:
    config = {"model_config": {"enable_sleep_mode": enabled, "x": 1}, "device_config": {"device": device}}
    return {"/server_info": (200, {"vllm_config": config})}


async def test_a_server_without_sleep_mode_is_not_put_to_a_sleep_that_frees_nothing() -> None:
    async with a_server_that_says(AWAKE | info("cuda", enabled=False) | {"/sleep": (200, {})}) as (world, asked):
        with pytest.raises(LifecycleFailed, match=r"asleep it would free nothing: .*--enable-sleep-mode"):
            await put_to_sleep(world)
        assert not any(path.startswith("/sleep") for path in asked)


@pytest.mark.parametrize(
    "answers", [info("cuda", enabled=True), info("cpu", enabled=False), {"/server_info": (200, {"vllm_config": "x"})}]
)
async def test_a_server_that_does_not_deny_it_is_put_to_sleep(answers: Answers) -> None:
    async with a_server_that_says(AWAKE | answers | {"/sleep": (500, {"error": {"message": "reached"}})}) as (world, _):
        with pytest.raises(LifecycleFailed, match="/sleep failed: 500: reached"):
            await put_to_sleep(world)


async def test_running_requests_are_waited_for() -> None:
    async with a_server_that_says(AWAKE | {"/sleep": (500, {})}) as (world, asked):
        with pytest.raises(LifecycleFailed):
            await put_to_sleep(world)
        assert asked[-1] == "/sleep?level=2&mode=wait"


@pytest.mark.parametrize("depth", ["awake", "weights_offloaded"])
async def test_a_sleep_less_deep_than_asked_for_is_a_failure(depth: str) -> None:
    """It only pauses, or has kept its weights."""
    metrics = METRIC.format(0, "awake", "1.0"), METRIC.format(0, depth, "1.0")
    pages = iter(page.encode() for page in (metrics[0], *[metrics[1]] * 1000))
    said = {"/metrics": (200, pages), "/sleep": (200, {"status": "sleeping"})}
    async with a_server_that_says(ASLEEP | said) as (world, asked):
        with pytest.raises(LifecycleFailed, match="its memory is not free"):
            await put_to_sleep(world)
        assert "/sleep?level=2&mode=wait" in asked


async def test_a_server_that_keeps_no_metrics_is_believed() -> None:
    async with a_server_that_says(ASLEEP) as (world, asked):
        await put_to_sleep(world)
        assert asked == ["/is_sleeping", "/metrics"]


async def test_weights_that_cannot_be_read_again_leave_it_asleep_and_say_why() -> None:
    woken = {"/wake_up": (200, {"status": "sleeping"}), "/collective_rpc": (500, {"error": {"message": "dummy"}})}
    async with a_server_that_says(ASLEEP | woken) as (world, asked):
        with pytest.raises(LifecycleFailed, match=r"its weights cannot be read again .* 500: dummy; .*sleep_level: 1"):
            await wake(world)
        assert asked[-2:] == ["/wake_up?tags=weights", "/collective_rpc"]


async def test_the_cache_is_woken_after_the_weights() -> None:
    done = {"/wake_up": (200, {}), "/collective_rpc": (200, {"results": [None]})}
    async with a_server_that_says(ASLEEP | done) as (world, asked):
        with pytest.raises(LifecycleFailed, match="/wake_up was answered, but it sleeps on"):
            await wake(world)
        assert asked[2:5] == ["/wake_up?tags=weights", "/collective_rpc", "/wake_up?tags=kv_cache"]


@pytest.mark.parametrize("said", [b"", b"<html>", b"[]", b'{"is_sleeping": "who knows"}'])
async def test_something_that_is_no_vllm_server_cannot_be_managed(said: bytes) -> None:
    async with a_server_that_says({"/is_sleeping": (200, said)}) as (world, _):
        with pytest.raises(LifecycleFailed, match="no /is_sleeping"):
            await look(world)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_that_fails_does_not_answer(status: int) -> None:
    async with a_server_that_says({"/is_sleeping": (status, {})}) as (world, _):
        with pytest.raises(UpstreamError) as caught:
            await look(world)
        assert isinstance(caught.value, BackendBroke) == (status != 503)
