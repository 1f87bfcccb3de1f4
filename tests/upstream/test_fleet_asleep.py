"""Replicas that sleep: a request sent to one would hang for ever."""

import asyncio

import pytest

from smart_router.upstream.fleet import Fleet, Lease, NoReplica
from tests.fakes import a_model

from .fleets import World, take, until

A, B = "http://a:1", "http://b:1"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def hanging(lease: Lease) -> str:
    """A request whose answer never begins: what became of it."""
    lease.ask()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        if lease.taken_back and not task.uncancel():
            return "taken back"
        raise
    finally:
        lease.asked()
    return "answered"


async def pending(fleet: Fleet, model: str = "m") -> "asyncio.Task[str]":
    task = asyncio.create_task(hanging(take(fleet, model=model)))
    await asyncio.sleep(0)
    return task


class TestOneThatIsAlwaysAwake:
    """Somebody put it to sleep all the same; the router does not wake what it was not told to."""

    async def test_it_gets_no_requests_until_it_is_awake_again(self, world: World) -> None:
        fleet = world.fleet(a_model("m", A, B))
        world.servers.sleepers = {A}
        await fleet.check_all()
        assert {take(fleet, key=f"ann/{i}").endpoint for i in range(20)} == {B}
        world.servers.sleepers = set()
        await fleet.check_all()
        assert A in {take(fleet, key=f"ann/{i}").endpoint for i in range(20)}

    async def test_its_report_says_so(self, world: World) -> None:
        fleet = world.fleet(a_model("m", A))
        world.servers.sleepers = {A}
        await fleet.check_all()
        (report,) = fleet.report()
        assert (report.status, "sleeps" in report.trouble) == ("unhealthy", True)
        assert not fleet.can_answer("m")

    async def test_what_it_keeps_waiting_is_taken_back(self, world: World) -> None:
        fleet = world.fleet(a_model("m", A))
        request = await pending(fleet)
        world.servers.sleepers = {A}
        await fleet.look_for_sleepers()
        assert not request.done(), "it has not waited for long"
        world.clock.pass_(2)
        await fleet.look_for_sleepers()
        assert await request == "taken back"

    async def test_one_that_is_only_slow_goes_on(self, world: World) -> None:
        fleet = world.fleet(a_model("m", A))
        request = await pending(fleet)
        world.clock.pass_(2)
        await fleet.look_for_sleepers()
        assert not request.done()
        request.cancel()


class TestOneThatComesAndGoes:
    def fleet(self, world: World, *endpoints: str) -> Fleet:
        return world.fleet(a_model("m", *(endpoints or (A,)), lifecycle="sleep"))

    async def test_it_gets_nothing_before_it_is_known_to_be_awake(self, world: World) -> None:
        fleet = self.fleet(world)
        assert fleet.is_shut("m")
        with pytest.raises(NoReplica):
            take(fleet)
        fleet.admit("m", A)
        assert take(fleet).endpoint == A
        assert not fleet.is_shut("m")

    async def test_it_is_not_asked_for_its_health_while_it_sleeps(self, world: World) -> None:
        fleet = self.fleet(world)
        await fleet.check_all()
        assert world.servers.checked == []
        fleet.admit("m", A)
        await fleet.check_all()
        assert world.servers.checked == [A]

    async def test_a_check_that_passes_does_not_open_it_again(self, world: World) -> None:
        """It may be on its way to sleep."""
        fleet = self.fleet(world)
        fleet.admit("m", A)
        world.servers.hold()
        checking = asyncio.create_task(fleet.check_all())
        await until(lambda: world.servers.waiting)
        fleet.shut("m", A)
        world.servers.let_go()
        await checking
        assert fleet.is_shut("m")

    async def test_who_looks_after_it_hears_that_it_was_found_asleep(self, world: World) -> None:
        fleet, heard = self.fleet(world), []
        fleet.on_asleep = lambda *found: heard.append(found)
        fleet.admit("m", A)
        request = await pending(fleet)
        world.servers.sleepers = {A}
        await fleet.check_all()
        assert (heard, await request, fleet.is_shut("m")) == ([("m", A)], "taken back", True)

    async def test_those_who_wait_for_a_place_are_told_that_there_is_none(self, world: World) -> None:
        fleet = world.fleet(a_model("m", A, lifecycle="sleep", max_in_flight=1))
        fleet.admit("m", A)
        take(fleet)
        waiting = asyncio.create_task(fleet.wait({"m": None}, "key", "ann", 30))
        await until(lambda: fleet.waiting("m"))
        fleet.shut("m", A)
        with pytest.raises(NoReplica):
            await waiting

    async def test_what_is_in_flight_there_goes_on(self, world: World) -> None:
        fleet = self.fleet(world)
        fleet.admit("m", A)
        lease = take(fleet)
        fleet.shut("m", A)
        assert fleet.in_flight("m") == 1
        lease.release()
        assert fleet.in_flight("m") == 0

    async def test_it_can_answer_if_it_can_be_woken(self, world: World) -> None:
        fleet = self.fleet(world)
        assert not fleet.can_answer("m")
        fleet.may_wake = lambda model: model == "m"
        assert fleet.can_answer("m")

    async def test_the_one_replica_that_can_answer_is_not_asked_while_it_sleeps(self, world: World) -> None:
        fleet = self.fleet(world)
        with pytest.raises(NoReplica):
            fleet.lease_at("m", A)


async def test_who_leaves_by_himself_is_not_taken_back(world: World) -> None:
    fleet = world.fleet(a_model("m", A))
    request = await pending(fleet)
    request.cancel()
    world.servers.sleepers = {A}
    await fleet.check_all()
    with pytest.raises(asyncio.CancelledError):
        await request
