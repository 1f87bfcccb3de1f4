"""People may load, put to sleep and pin models, as far as requests and room allow."""

import asyncio

import pytest

from smart_router.decide.load import Load
from smart_router.errors import (
    LifecycleFailed,
    ModelBusy,
    ModelKept,
    ModelNotReady,
    NoRoom,
    NotManaged,
    UnknownModel,
)
from tests.fakes import a_model
from tests.lifecycle.conftest import Start
from tests.lifecycle.fakes import Servers, a_sleeper, at, registry_of, until

A, B = a_sleeper("a"), a_sleeper("b")


async def test_a_model_is_loaded_without_any_request(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"))
    await router.manager.load("b")
    assert (router.state("a"), router.state("b")) == ("sleeping", "awake")
    await router.manager.load("b")
    assert router.servers.times("wake", "b") == 1


async def test_what_does_not_load_says_why(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    router.servers.fail("wake", "a", *[LifecycleFailed("no GPU")] * 3)
    for _ in range(3):
        with pytest.raises(LifecycleFailed, match="no GPU"):
            await router.manager.load("a")


async def test_what_does_not_load_in_time_says_so(start: Start) -> None:
    router = await start(registry_of(A), Servers(), model_load_timeout=0.05)
    router.servers.hold("wake", "a")
    with pytest.raises(LifecycleFailed, match=r"not awake within MODEL_LOAD_TIMEOUT \(0\.05 s\)"):
        await router.manager.load("a")


async def test_a_model_whose_server_was_killed_is_not_loaded(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    router.servers.gone.add("http://a:8000")
    await until(lambda: router.state("a") == "unknown")
    with pytest.raises(LifecycleFailed, match='model "a" cannot be told to wake: http://a:8000: refused'):
        await router.manager.load("a")
    router.servers.gone.clear()
    await until(lambda: router.state("a") == "awake")
    await router.manager.load("a")


async def test_a_model_is_put_to_sleep(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    await router.manager.unload("a")
    assert router.state("a") == "sleeping"
    await router.manager.unload("a")
    assert router.servers.times("sleep", "a") == 1


async def test_a_busy_model_is_not_unloaded(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    lease = await router.ask("a")
    with pytest.raises(ModelBusy, match="a has 1 requests"):
        await router.manager.unload("a")
    assert router.admits("a")
    lease.release()
    await router.manager.unload("a")


async def test_a_model_that_nobody_has_to_make_room_for_is_unloaded_once_others_leave_it(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    router.servers.loads[at("a")] = Load(running=1)
    order = asyncio.create_task(router.manager.unload("a"))
    await until(lambda: order.done() or router.servers.times("load", "a") > 5)
    assert (order.done(), router.state("a")) == (False, "draining")
    router.servers.loads.clear()
    await order
    assert router.state("a") == "sleeping"


async def test_a_model_that_requests_come_for_while_it_is_unloaded_stays(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    router.servers.loads[at("a")] = Load(running=1)
    order = asyncio.create_task(router.manager.unload("a"))
    await until(lambda: not router.admits("a"))
    await router.served("a")
    with pytest.raises(LifecycleFailed, match="it has requests"):
        await order


async def test_an_unload_that_others_do_not_let_end_is_given_up(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"), model_load_timeout=0.2)
    router.servers.loads[at("a")] = Load(running=1)
    with pytest.raises(LifecycleFailed, match="it has requests"):
        await router.manager.unload("a")
    await until(lambda: router.admits("a"))


async def test_an_unload_that_the_server_does_not_carry_out_in_time_says_so(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"), model_load_timeout=0.1)
    router.servers.hold("sleep", "a")
    with pytest.raises(LifecycleFailed, match=r"not asleep within MODEL_LOAD_TIMEOUT \(0\.1 s\)"):
        await router.manager.unload("a")


async def test_while_another_router_acts_nothing_is_unloaded(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    router.lose_lease("gpu")
    with pytest.raises(ModelBusy, match="another router"):
        await router.manager.unload("a")


async def test_what_does_not_sleep_says_why(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    router.servers.fail("sleep", "a", LifecycleFailed("/sleep is refused"))
    with pytest.raises(LifecycleFailed, match="/sleep is refused"):
        await router.manager.unload("a")
    assert router.admits("a")


async def test_a_pinned_model_is_woken_and_stays(start: Start) -> None:
    router = await start(registry_of(A, B), Servers())
    await router.manager.pin("a", True)
    await until(lambda: router.state("a") == "awake")
    assert router.report("a").pinned
    with pytest.raises(ModelKept, match="a is pinned: unpin it first"):
        await router.manager.unload("a")
    for order in (router.manager.load("b"), router.manager.pin("b", True)):
        with pytest.raises(
            NoRoom, match="b has no room beside a, which are kept awake: unpin a model; in ROUTING_MODE"
        ):
            await order
    assert router.report("b").trouble == "no room beside a, which are kept awake"
    assert router.report("a").trouble == ""
    await router.manager.pin("a", False)
    assert router.report("b").trouble == ""
    await router.served("b")


async def test_a_preloaded_model_is_not_unloaded(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"), routing_mode="realtime")
    with pytest.raises(ModelKept, match="preloaded"):
        await router.manager.unload("a")


async def test_only_models_that_come_and_go_are_ordered_about(start: Start) -> None:
    router = await start(registry_of(A, a_model("m")), Servers())
    for order in (router.manager.load, router.manager.unload):
        with pytest.raises(NotManaged, match="m is always awake"):
            await order("m")
        with pytest.raises(UnknownModel, match="there is no model 'x'; there are a, m"):
            await order("x")
    with pytest.raises(UnknownModel):
        await router.manager.pin("x", True)


async def test_one_that_cannot_be_managed_says_why(start: Start) -> None:
    servers = Servers("a")
    servers.trouble["http://a:8000"] = LifecycleFailed("development mode is off")
    router = await start(registry_of(A), servers)
    with pytest.raises(LifecycleFailed, match="development mode is off"):
        await router.manager.unload("a")


async def test_the_report_tells_how_a_model_stands(start: Start) -> None:
    router = await start(registry_of(A, B, a_model("m")), Servers("a"))
    await router.served("b", "s1")
    await router.served("b", "s2")
    await until(lambda: router.report("b").wakes == 1)
    one, other = router.manager.report()
    assert (one.id, one.group, one.lifecycle, one.state, one.evictions) == ("a", "gpu", "sleep", "sleeping", 1)
    assert (one.awake_since, one.last_used, one.endpoints) == (None, None, ("http://a:8000",))
    assert (other.state, other.sessions, other.wakes) == ("awake", 2, 1)
    assert other.last_used
    assert other.awake_since
    assert other.last_wake_s is not None


async def test_a_swap_lasts_from_the_eviction_on(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"))
    wake = router.servers.hold("wake", "b")
    request = router.begin("b")
    await until(lambda: router.servers.times("wake", "b"))
    assert router.manager.waiting("b") == 1
    wake()
    await request
    value = router.metrics.registry.get_sample_value
    await until(lambda: value("smart_router_model_swap_seconds_count", {"model": "b"}) == 1)
    assert router.manager.waiting("b") == 0


async def test_requests_of_a_model_that_is_gone_are_told_so(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    with pytest.raises(ModelNotReady, match="x is not served here any more"):
        await router.manager.awake("x", 1)
