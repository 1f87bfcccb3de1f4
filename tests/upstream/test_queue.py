"""Waiting for a place at a model, on a fleet of fakes."""

import asyncio

import pytest

from smart_router.errors import BackendBusy, BackendUnreachable, Overloaded
from smart_router.upstream.fleet import AllBusy, Fleet, Lease, NoReplica
from tests.fakes import a_model
from tests.upstream.fleets import World, in_flight, take, until

A, B = "http://a:1", "http://b:1"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def narrow(world: World, *endpoints: str, most: int = 100) -> Fleet:
    return world.fleet(a_model("m", *endpoints, max_in_flight=1, max_queue=most))


def waits(fleet: Fleet, caller: str = "ann", within_s: float = 5.0) -> "asyncio.Task[Lease]":
    return asyncio.create_task(fleet.wait({"m": None}, caller, caller, within_s))


async def test_a_place_that_comes_free_is_handed_over(world: World) -> None:
    fleet = narrow(world, A)
    held, waiting = take(fleet), waits(fleet)
    await until(lambda: fleet.waiting("m") == 1)
    held.release()
    assert (await waiting).endpoint == A
    assert (in_flight(fleet), fleet.waiting("m")) == ({A: 1}, 0)


async def test_nobody_overtakes_those_who_wait(world: World) -> None:
    fleet = narrow(world, A)
    held, waiting = take(fleet), waits(fleet)
    await until(lambda: fleet.waiting("m") == 1)
    held.release()
    with pytest.raises(AllBusy) as refused:
        take(fleet)
    assert refused.value.full
    (await waiting).release()
    take(fleet)


async def test_callers_take_turns(world: World) -> None:
    fleet = narrow(world, A)
    held, served = take(fleet), list[str]()

    async def one(caller: str) -> None:
        lease = await fleet.wait({"m": None}, caller, caller, 5.0)
        served.append(caller)
        lease.release()

    flood = [asyncio.create_task(one("flood")) for _ in range(20)]
    await until(lambda: fleet.waiting("m") == 20)
    other = asyncio.create_task(one("other"))
    await until(lambda: fleet.waiting("m") == 21)
    held.release()
    await asyncio.gather(*flood, other)
    assert served.index("other") == 1


async def test_when_too_many_wait_the_next_is_refused_at_once(world: World) -> None:
    fleet = narrow(world, A, most=1)
    take(fleet)
    waiting = waits(fleet)
    await until(lambda: fleet.waiting("m") == 1)
    with pytest.raises(Overloaded) as refused:
        await fleet.wait({"m": None}, "bob", "bob", 5.0)
    assert (refused.value.limit, refused.value.status, refused.value.retry_after_s) == ("queue_full", 503, 1.0)
    waiting.cancel()


async def test_whoever_waited_too_long_gets_no_place_later(world: World) -> None:
    fleet = narrow(world, A)
    held = take(fleet)
    with pytest.raises(Overloaded) as refused:
        await fleet.wait({"m": None}, "ann", "ann", 0.01)
    assert refused.value.limit == "queue_timeout"
    held.release()
    assert (in_flight(fleet), fleet.waiting("m")) == ({A: 0}, 0)


async def test_whoever_leaves_gives_back_what_it_was_just_given(world: World) -> None:
    fleet = narrow(world, A)
    held, waiting = take(fleet), waits(fleet)
    await until(lambda: fleet.waiting("m") == 1)
    held.release()  # it is handed over now, and heard of in the next turn of the loop
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (in_flight(fleet), fleet.waiting("m")) == ({A: 0}, 0)


async def test_whoever_leaves_the_queue_is_not_served(world: World) -> None:
    fleet = narrow(world, A)
    held, leaving, staying = take(fleet), waits(fleet, "ann"), waits(fleet, "bob")
    await until(lambda: fleet.waiting("m") == 2)
    leaving.cancel()
    await until(lambda: fleet.waiting("m") == 1)
    held.release()
    (await staying).release()
    assert in_flight(fleet) == {A: 0}


async def test_a_replica_that_became_fit_serves_without_anybody_leaving(world: World) -> None:
    fleet = narrow(world, A, B)
    take(fleet, A)
    lost = take(fleet, B)
    for _ in range(3):
        lost.blame(BackendUnreachable("gone"))
    lost.release()
    waiting = waits(fleet)
    await until(lambda: fleet.waiting("m") == 1)
    assert in_flight(fleet) == {A: 1, B: 0}
    world.clock.pass_(60)
    assert (await waiting).endpoint == B


async def test_when_no_replica_is_left_those_who_wait_hear_of_it(world: World) -> None:
    fleet = narrow(world, A)
    held, waiting = take(fleet), waits(fleet)
    await until(lambda: fleet.waiting("m") == 1)
    for _ in range(3):
        held.blame(BackendUnreachable("gone"))
    held.release()
    with pytest.raises(NoReplica):
        await waiting


# several models


def two_models(world: World, most: int = 100) -> Fleet:
    changed = {"max_in_flight": 1, "max_queue": most}
    return world.fleet(a_model("m", A, **changed), a_model("n", B, **changed))


@pytest.mark.parametrize("free", ["m", "n"])
async def test_whoever_waits_for_two_models_gets_the_first_place_of_either(world: World, free: str) -> None:
    fleet = two_models(world)
    held = {"m": take(fleet), "n": take(fleet, model="n")}
    waiting = asyncio.create_task(fleet.wait({"m": None, "n": None}, "ann", "ann", 5.0))
    await until(lambda: (fleet.waiting("m"), fleet.waiting("n")) == (1, 1))
    held[free].release()
    assert (await waiting).model.id == free
    assert (fleet.waiting("m"), fleet.waiting("n")) == (0, 0)
    (held["n"] if free == "m" else held["m"]).release()
    assert sum(in_flight(fleet).values()) == 1


async def test_where_one_queue_is_full_the_other_is_joined(world: World) -> None:
    fleet = two_models(world, most=1)
    held = take(fleet), take(fleet, model="n")
    first = waits(fleet)
    await until(lambda: fleet.waiting("m") == 1)
    second = asyncio.create_task(fleet.wait({"m": None, "n": None}, "bob", "bob", 5.0))
    await until(lambda: fleet.waiting("n") == 1)
    with pytest.raises(Overloaded):
        await fleet.wait({"m": None, "n": None}, "cem", "cem", 5.0)
    for lease in held:
        lease.release()
    assert ((await first).model.id, (await second).model.id) == ("m", "n")


async def test_whoever_waits_hears_that_all_replicas_rest(world: World) -> None:
    fleet = narrow(world, A)
    held, waiting = take(fleet), waits(fleet)
    await until(lambda: fleet.waiting("m") == 1)
    held.blame(BackendBusy("busy", retry_after_s=60.0))
    held.release()
    with pytest.raises(AllBusy) as refused:
        await waiting
    assert (refused.value.full, refused.value.retry_after_s) == (False, 60.0)
    with pytest.raises(AllBusy) as refused:
        take(fleet)
    assert not refused.value.full
