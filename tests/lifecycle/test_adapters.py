"""An adapter is had while the model that it is loaded into is awake."""

import asyncio

import pytest

from smart_router.decide.load import Load
from smart_router.errors import LifecycleFailed, ModelBusy, ModelNotReady
from smart_router.registry import Model
from tests.lifecycle.conftest import Start
from tests.lifecycle.fakes import Router, Servers, a_sleeper, at, registry_of, until

BASE, OTHER = a_sleeper("base"), a_sleeper("other")


def an_adapter(name: str = "adapter") -> Model:
    """For a fake, which knows servers by their address only, it is on another server than its base."""
    return a_sleeper(name, lora={"path": "/adapter", "base": "base"}, group="")


@pytest.fixture
async def router(start: Start) -> Router:
    return await start(registry_of(BASE, OTHER, an_adapter()), Servers())


async def test_its_base_is_woken_first(router: Router) -> None:
    wake = router.servers.hold("wake", "base")
    request = router.begin("adapter")
    await until(lambda: router.servers.times("wake", "base"))
    assert router.servers.times("wake", "adapter") == 0
    wake()
    await request
    assert (router.state("base"), router.state("adapter")) == ("awake", "awake")


async def test_where_its_base_fails_it_cannot_be_had(router: Router) -> None:
    router.servers.fail("wake", "base", LifecycleFailed("out of memory"))
    with pytest.raises(ModelNotReady, match="adapter could not be woken"):
        await router.served("adapter")


async def test_its_requests_keep_its_base_awake(router: Router) -> None:
    lease = await router.ask("adapter")
    request = router.begin("other")
    await until(lambda: router.state("base") == "draining")
    looks = router.servers.times("look", "adapter")
    await until(lambda: router.servers.times("look", "adapter") > looks + 2)
    assert not router.admits("adapter")
    assert router.servers.times("sleep", "base") == 0
    lease.release()
    await request


async def test_its_requests_keep_its_base_from_being_unloaded(router: Router) -> None:
    lease = await router.ask("adapter")
    with pytest.raises(ModelBusy, match="base has 1 requests"):
        await router.manager.unload("base")
    lease.release()


async def test_its_sessions_count_for_its_base(router: Router) -> None:
    await router.served("adapter", "s1")
    await router.served("base", "s2")
    assert router.report("base").sessions == 2
    assert router.report("adapter").sessions == 1


async def test_its_server_tells_for_both(start: Start) -> None:
    """That server is shared with nobody but who is loaded into it."""
    adapter = a_sleeper("adapter", at("base"), lora={"path": "/adapter", "base": "base"}, group="")
    router = await start(registry_of(BASE, OTHER, adapter), Servers("base"))
    router.servers.loads[at("base")] = Load(running=1)
    request = router.begin("other")
    await until(lambda: router.servers.times("load", "base") > 1)
    assert router.servers.times("sleep", "base") == 0
    router.servers.loads.clear()
    await request


async def test_many_requests_of_both_are_served(router: Router) -> None:
    names = ("base", "adapter", "other")
    await asyncio.gather(*(router.served(name, f"{name}{i}") for i in range(10) for name in names))
