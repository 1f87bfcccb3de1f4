"""A server that the router started, and that ends by itself, comes back where it is missed."""

import os
import signal

from structlog.testing import capture_logs

from smart_router.cli.processes import free_port
from smart_router.lifecycle.process import ByProcess
from smart_router.lifecycle.residence import Residence
from tests.fakes import Clock
from tests.lifecycle.conftest import Start
from tests.lifecycle.fakes import Servers, a_sleeper, registry_of, until
from tests.lifecycle.programs import Ground

P, Q = a_sleeper("p", lifecycle="process"), a_sleeper("q", lifecycle="process")


def test_it_is_missed_by_live_sessions_later_each_time() -> None:
    clock = Clock()
    residence = Residence(P, Servers(), clock, 1800.0)
    residence.was_lost()
    clock.pass_(1)
    assert not residence.missed
    for pause_s in (2, 4):
        residence.used("s1")
        residence.opened()
        residence.was_lost()
        clock.pass_(pause_s - 0.5)
        assert not residence.missed
        clock.pass_(0.5)
        assert residence.missed
    clock.pass_(300)
    assert not residence.missed


async def test_a_server_that_ended_comes_back_without_any_request(start: Start) -> None:
    router = await start(registry_of(P, Q), Servers("p"))
    await router.served("p")
    with capture_logs() as logs:
        router.servers.awake.clear()
        await until(lambda: router.report("p").wakes == 1)
    assert router.state("p") == "awake"
    assert "woken early" not in [log["event"] for log in logs]


async def test_one_whose_place_another_needs_makes_room_for_it(start: Start) -> None:
    router = await start(registry_of(P, Q), Servers("p"))
    await router.served("p")
    router.servers.awake.clear()
    await until(lambda: router.state("p") == "sleeping")
    await router.served("q", "s2")
    residence = router.manager._inventory.residences["p"]
    await until(lambda: residence.missed)
    looks = router.servers.times("look", "p")
    await until(lambda: router.servers.times("look", "p") > looks + 3)
    assert (router.state("p"), router.state("q")) == ("sleeping", "awake")


async def test_one_that_is_not_to_be_awake_stays_down(start: Start) -> None:
    router = await start(registry_of(P), Servers("p"))
    await router.served("p")
    router.servers.awake.clear()
    await until(lambda: router.state("p") == "sleeping")
    await router.manager.unload("p")
    assert not router.manager._inventory.residences["p"].lost


async def test_one_that_people_put_to_sleep_is_not_lost(start: Start) -> None:
    router = await start(registry_of(a_sleeper("a")), Servers("a"))
    await router.served("a")
    router.servers.awake.clear()
    await until(lambda: router.state("a") == "sleeping")
    assert not router.manager._inventory.residences["a"].lost


async def test_a_process_that_is_killed_is_started_again(ground: Ground, start: Start) -> None:
    model = ground.model("m", free_port())
    servers = Servers()
    servers.awake.add(model.endpoints[0])
    given = {"process_dir": ground.folder / "processes", "process_stop_timeout": 1.0}
    router = await start(registry_of(model), servers, kinds={"process": ByProcess}, **given)
    await router.served("m")
    os.kill(ground.living()[0], signal.SIGKILL)
    await until(lambda: len(ground.started()) == 2)
    await until(lambda: router.state("m") == "awake")
