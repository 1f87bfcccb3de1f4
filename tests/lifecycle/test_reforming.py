"""What begins and ends with a process, or with another registry."""

import asyncio

import pytest

from smart_router.cli.processes import free_port
from smart_router.errors import ModelNotReady
from smart_router.lifecycle.process import ByProcess
from smart_router.registry import Model, Registry
from tests.fakes import a_model
from tests.lifecycle.conftest import Start
from tests.lifecycle.fakes import Router, Servers, a_sleeper, at, registry_of, until
from tests.lifecycle.programs import Ground

A, B, C = a_sleeper("a"), a_sleeper("b"), a_sleeper("c")


async def changed(router: Router, registry: Registry) -> None:
    await router.fleet.change(registry)
    await router.manager.change(registry)


async def test_models_that_stay_keep_their_state(start: Start) -> None:
    router = await start(registry_of(A, B, gpu=2), Servers("a"))
    await router.served("a")
    await changed(router, registry_of(A, C, gpu=2))
    assert [report.id for report in router.manager.report()] == ["a", "c"]
    assert router.report("a").sessions == 1
    await router.served("a", within_s=0)
    await router.served("c")


async def test_who_waits_for_a_model_that_stays_goes_on_waiting(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    wake = router.servers.hold("wake", "a")
    request = router.begin("a")
    await until(lambda: router.servers.times("wake", "a"))
    await changed(router, registry_of(A, B))
    wake()
    await request
    assert router.servers.times("wake", "a") == 1


async def test_who_waits_for_a_model_that_goes_is_told_so(start: Start) -> None:
    router = await start(registry_of(A, B, gpu=2), Servers())
    router.servers.hold("wake", "a")
    request = router.begin("a")
    await until(lambda: router.servers.times("wake", "a"))
    await changed(router, registry_of(B, gpu=2))
    with pytest.raises(ModelNotReady):
        await request


async def test_a_group_with_more_room_holds_more(start: Start) -> None:
    router = await start(registry_of(A, B), Servers())
    await changed(router, registry_of(A, B, gpu=2))
    await router.served("a")
    await router.served("b")
    assert router.servers.most_awake == 2


async def test_a_model_that_is_managed_from_now_on_is_looked_at(start: Start) -> None:
    router = await start(registry_of(a_model("a"), B), Servers("a"))
    await changed(router, registry_of(A, B))
    await router.served("b")
    assert router.state("a") == "sleeping"


async def test_a_model_that_is_always_awake_from_now_on_gets_requests_at_once(start: Start) -> None:
    router = await start(registry_of(A), Servers(), lifecycle_interval=3600)
    router.servers.awake.add(at("a"))
    await changed(router, registry_of(a_model("a")))
    router.fleet.lease("a", None, "s1").release()


async def test_the_server_that_this_process_started_for_a_model_that_goes_is_stopped_once_idle(start: Start) -> None:
    started = a_sleeper("p", lifecycle="process", group="")
    router = await start(registry_of(started, A), Servers("p"))
    lease = await router.ask("p")
    await changed(router, registry_of(A))
    await router.fleet.keep({"a"})
    await asyncio.sleep(0.3)
    assert router.servers.times("sleep", "p") == 0
    lease.release()
    await until(lambda: router.servers.times("sleep", "p"))


async def test_the_process_of_a_model_that_goes_ends_once_idle(ground: Ground, start: Start) -> None:
    model, servers = ground.model("m", free_port()), Servers()
    servers.awake.add(model.endpoints[0])
    given = {"process_dir": ground.folder / "processes", "process_stop_timeout": 1.0}
    router = await start(registry_of(model, A), servers, kinds={"process": ByProcess}, **given)
    lease = await router.ask("m")
    await changed(router, registry_of(A))
    await router.served("a")
    assert len(ground.living()) == 1
    lease.release()
    await until(lambda: not ground.living())


def a_started(**changed: object) -> Model:
    return a_sleeper("p", lifecycle="process", group="", **changed)


@pytest.mark.parametrize("mode", ["standard", "realtime"])
@pytest.mark.parametrize(
    "changed_how",
    [{"process": {"gpu_memory_fraction": 0.5}}, {"served_as": "q"}, {"endpoints": ("http://127.0.0.1:9",)}],
    ids=["process", "name", "endpoint"],
)
async def test_a_server_that_is_to_be_started_otherwise_is_stopped_once_idle_and_started_so(
    start: Start, changed_how: dict[str, object], mode: str
) -> None:
    router = await start(registry_of(a_started()), Servers("p"), routing_mode=mode)
    lease = await router.ask("p")
    now = Model.model_validate(a_started().model_dump() | changed_how)
    await changed(router, registry_of(now))
    request = router.begin("p")
    await asyncio.sleep(0.2)
    assert (router.servers.times("sleep", "p"), request.done()) == (0, False)
    lease.release()
    await request
    assert router.servers.times("sleep", "p") == 1
    assert router.servers.awake == set(now.endpoints)


async def test_one_that_is_just_being_started_is_started_otherwise(start: Start) -> None:
    router = await start(registry_of(a_started()), Servers())
    wake = router.servers.hold("wake", "p")
    request = router.begin("p")
    await until(lambda: router.servers.times("wake", "p"))
    await changed(router, registry_of(a_started(process={"gpu_memory_fraction": 0.5})))
    await until(lambda: router.servers.times("wake", "p") == 2)
    wake()
    await request


async def test_a_server_that_need_not_be_started_otherwise_goes_on(start: Start) -> None:
    router = await start(registry_of(a_started(), A), Servers("p"))
    await changed(router, registry_of(a_started(performance=7)))
    await router.served("p", within_s=0)
    assert router.servers.times("sleep", "p") == 0


async def test_whoever_waits_when_the_router_stops_is_told_so(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    router.servers.hold("wake", "a")
    request = router.begin("a")
    await until(lambda: router.servers.times("wake", "a"))
    await router.manager.close()
    with pytest.raises(ModelNotReady):
        await request
    assert router.servers.closed


async def test_a_router_may_stop_before_it_started(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    await router.manager.close()
    await router.manager.close()
