"""The kind `process`, on real child processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from smart_router.cli.processes import free_port
from smart_router.errors import LifecycleFailed, UpstreamError
from smart_router.lifecycle.backoff import Backoff
from smart_router.lifecycle.process import ByProcess
from smart_router.registry import Model
from tests.lifecycle.programs import PATIENCE_S, Ground, somebody_at, until
from tests.lifecycle.test_launcher import another_router, guardian_of


@asynccontextmanager
async def a_kind(ground: Ground, **changed: Any) -> AsyncIterator[ByProcess]:
    kind = ByProcess(ground.settings(**changed))
    await kind.start()
    try:
        yield kind
    finally:
        await kind.close()


def place(model: Model) -> tuple[Model, str]:
    return model, model.endpoints[0]


async def crashed(kind: ByProcess, ground: Ground, m: tuple[Model, str]) -> None:
    """Its server is killed; returns when that is seen."""
    os.kill(ground.living()[0], signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(UpstreamError):
                if await kind.look(*m) == "sleeping":
                    return
            await asyncio.sleep(0.02)


async def test_it_is_awake_while_there_is_a_server(ground: Ground) -> None:
    m = place(ground.model("m", free_port()))
    async with a_kind(ground) as kind:
        assert await kind.look(*m) == "sleeping"
        for _ in range(2):
            await kind.wake(*m)
            assert await kind.look(*m) == "awake"
            await kind.sleep(*m)
            assert await kind.look(*m) == "sleeping"
            assert ground.living() == []


async def test_who_is_awake_is_not_started_again_and_who_sleeps_need_not_be_stopped(ground: Ground) -> None:
    m = place(ground.model("m", free_port()))
    async with a_kind(ground) as kind:
        await kind.sleep(*m)
        await asyncio.gather(kind.wake(*m), kind.wake(*m))
        await kind.wake(*m)
        assert len(ground.started()) == 1


async def test_one_that_is_being_started_is_neither_awake_nor_asleep(ground: Ground) -> None:
    m = place(ground.model("m", free_port(), "unhealthy"))
    async with a_kind(ground) as kind:
        waking = asyncio.create_task(kind.wake(*m))
        await until(ground.started)
        with pytest.raises(UpstreamError):
            await kind.look(*m)
        waking.cancel()
        await asyncio.wait({waking})
        assert await kind.look(*m) == "sleeping"


async def test_one_that_is_being_stopped_is_not_asleep_before_it_is_gone(ground: Ground) -> None:
    m = place(ground.model("m", free_port(), "deaf"))
    async with a_kind(ground) as kind:
        await kind.wake(*m)
        going = asyncio.create_task(kind.sleep(*m))
        await asyncio.sleep(0)
        with pytest.raises(UpstreamError, match="being started or stopped"):
            await kind.look(*m)
        assert not going.done()
        await going
        assert await kind.look(*m) == "sleeping"


async def test_a_start_that_failed_leaves_nothing_in_the_way_of_the_next(ground: Ground) -> None:
    port = free_port()
    async with a_kind(ground) as kind:
        with pytest.raises(LifecycleFailed, match="exit code 3"):
            await kind.wake(*place(ground.model("m", port, "ends")))
        m = place(ground.model("m", port))
        assert await kind.look(*m) == "sleeping"
        await kind.wake(*m)
        assert await kind.look(*m) == "awake"


async def test_a_server_that_is_killed_is_down_and_comes_back_when_it_is_wanted(ground: Ground) -> None:
    m = place(ground.model("m", free_port()))
    async with a_kind(ground) as kind:
        await kind.wake(*m)
        await crashed(kind, ground, m)
        await kind.wake(*m)
        assert await kind.look(*m) == "awake"
        assert len(ground.started()) == 2


async def test_a_server_that_ends_again_and_again_is_started_later_each_time(ground: Ground) -> None:
    m = place(ground.model("m", free_port()))
    clock = asyncio.get_running_loop().time
    async with a_kind(ground) as kind:
        await kind.wake(*m)
        for pause_s in (1, 2):
            before = clock()
            await crashed(kind, ground, m)
            await kind.wake(*m)
            assert clock() - before > pause_s - 0.1  # clocks have steps


def test_the_wait_doubles_up_to_half_a_minute_and_begins_anew_after_a_minute_of_health() -> None:
    backoff = Backoff()
    assert [backoff.failed(5.0) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert [backoff.failed(5.0, healthy_for_s) for healthy_for_s in (59.9, 60, 2)] == [30, 1, 2]


async def test_a_port_that_somebody_else_has_is_said(ground: Ground) -> None:
    m = place(ground.model("m", free_port()))
    async with a_kind(ground, health_timeout=0.2) as kind:
        with somebody_at(int(m[1].rpartition(":")[2])):
            for act in (kind.look, kind.wake, kind.sleep):
                with pytest.raises(LifecycleFailed, match=r"is taken by a server that this router did not start"):
                    await act(*m)
        assert await kind.look(*m) == "sleeping"


async def test_what_an_earlier_router_left_is_ended_by_a_look(ground: Ground) -> None:
    port = free_port()
    async with another_router(ground, port, "deaf") as router:
        os.kill(guardian_of(ground), signal.SIGKILL)
        router.kill()
        await router.wait()
    assert len(ground.living()) == 1
    async with a_kind(ground) as kind:
        assert await kind.look(*place(ground.model("m", port, "deaf"))) == "sleeping"
        assert ground.living() == []


async def test_what_a_server_left_whose_guardian_was_killed_is_ended_by_a_look(ground: Ground) -> None:
    """It would keep its memory on the GPU."""
    m = place(ground.model("m", free_port(), "parent", "leaves"))
    async with a_kind(ground) as kind:
        await kind.wake(*m)
        server, *children = ground.living()
        os.kill(guardian_of(ground), signal.SIGKILL)
        await until(lambda: server not in ground.living())
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(UpstreamError):
                    if await kind.look(*m) == "sleeping":
                        break
                await asyncio.sleep(0.02)
        assert len(children) == 2
        assert ground.living() == []


async def test_servers_end_with_the_kind_all_at_once(ground: Ground) -> None:
    async with a_kind(ground) as kind:
        await asyncio.gather(*(kind.wake(*place(ground.model(name, free_port(), "deaf"))) for name in "abc"))
        assert len(ground.living()) == 3
    assert ground.living() == ground.guardians() == []


async def test_replicas_have_a_server_each(ground: Ground) -> None:
    ports = (free_port(), free_port())
    model = ground.model("m", ports[0])
    model = model.model_copy(update={"endpoints": tuple(f"http://127.0.0.1:{port}" for port in ports)})
    async with a_kind(ground) as kind:
        for endpoint in model.endpoints:
            await kind.wake(model, endpoint)
        await kind.sleep(model, model.endpoints[0])
        assert [await kind.look(model, endpoint) for endpoint in model.endpoints] == ["sleeping", "awake"]
