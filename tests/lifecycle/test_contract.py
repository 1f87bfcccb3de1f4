"""What every kind of model that comes and goes promises. A new kind adds itself to WORLDS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from smart_router.cli.processes import free_port
from smart_router.errors import UpstreamError
from smart_router.lifecycle import KINDS

from .worlds import SOON_S, World, a_deep_sleeper, a_process, a_sleeper, an_adapter, one_in_ollama

WORLDS: dict[str, Callable[[], AbstractAsyncContextManager[World]]] = {
    "sleep level 1": a_sleeper,
    "sleep level 2": a_deep_sleeper,
    "lora": an_adapter,
    "process": a_process,
    "ollama": one_in_ollama,
}


@pytest_asyncio.fixture(params=WORLDS.values(), ids=WORLDS.keys())
async def world(request: pytest.FixtureRequest, bare_environment: Path) -> AsyncIterator[World]:
    """Its model is awake."""
    async with request.param() as world:
        await wake(world)
        yield world


async def wake(world: World) -> None:
    async with asyncio.timeout(SOON_S):
        await world.kind.wake(world.model, world.endpoint)


async def sleep(world: World) -> None:
    async with asyncio.timeout(SOON_S):
        await world.kind.sleep(world.model, world.endpoint)


async def look(world: World) -> str:
    return await world.kind.look(world.model, world.endpoint)


def test_every_kind_is_held_to_it() -> None:
    assert {name.partition(" ")[0] for name in WORLDS} == set(KINDS)


async def test_who_was_woken_is_awake_and_answers(world: World) -> None:
    assert await look(world) == "awake"
    assert "Good morning" in await world.ask("Good morning")


async def test_who_was_put_to_sleep_sleeps_until_woken(world: World) -> None:
    await sleep(world)
    assert await look(world) == "sleeping"
    await wake(world)
    assert await look(world) == "awake"
    assert "Good morning" in await world.ask("Good morning")


async def test_twice_is_once(world: World) -> None:
    await wake(world)
    assert await look(world) == "awake"
    await sleep(world)
    await sleep(world)
    assert await look(world) == "sleeping"


async def test_what_runs_is_answered_in_full(world: World) -> None:
    words = " ".join(f"word{number}" for number in range(50))
    text, sleeping = "", None
    async for piece in world.pieces(words):
        text += piece
        sleeping = sleeping or asyncio.create_task(sleep(world))
    assert words in text
    assert sleeping is not None
    await sleeping
    assert await look(world) == "sleeping"


@pytest.mark.parametrize("after_s", [0.0, 0.002, 0.05])
async def test_after_a_wake_that_was_given_up_the_next_begins_anew(world: World, after_s: float) -> None:
    await sleep(world)
    await given_up(asyncio.create_task(world.kind.wake(world.model, world.endpoint)), after_s)
    await wake(world)
    assert await look(world) == "awake"
    assert "Good morning" in await world.ask("Good morning")


@pytest.mark.parametrize("after_s", [0.0, 0.002, 0.05])
async def test_after_a_sleep_that_was_given_up_the_next_begins_anew(world: World, after_s: float) -> None:
    await given_up(asyncio.create_task(world.kind.sleep(world.model, world.endpoint)), after_s)
    await sleep(world)
    assert await look(world) == "sleeping"


async def test_where_nobody_listens_nothing_is_awake(world: World) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    if world.absent_sleeps:
        assert await world.kind.look(world.model, nowhere) == "sleeping"
        return
    for do in (world.kind.look, world.kind.wake, world.kind.sleep):
        with pytest.raises(UpstreamError):
            await do(world.model, nowhere)


async def test_closing_twice_is_closing_once(world: World) -> None:
    await world.kind.close()
    await world.kind.close()


async def given_up(task: asyncio.Task[None], after_s: float) -> None:
    await asyncio.wait([task], timeout=after_s)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
