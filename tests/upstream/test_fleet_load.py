"""Load is read beside the requests, and a busy replica is left to others."""

import pytest

from smart_router.decide.load import Load
from smart_router.errors import BackendTimeout, BackendUnreachable
from smart_router.upstream.watch import AT_ONCE
from tests.fakes import a_model

from .fleets import World, take, until

A, B = "http://a:8000", "http://b:8000"

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_a_warm_replica_that_others_keep_busy_is_left(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B), replica_slack=2)
    world.servers.loads = {A: Load(running=3)}
    take(fleet, A).release()
    await fleet.read_loads()
    assert take(fleet, A).endpoint == B
    assert take(fleet, A).endpoint == A, "three are at most two more than the one that the other has now"


async def test_our_own_requests_are_not_taken_for_those_of_others(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B), replica_slack=2)
    ours = [take(fleet, A) for _ in range(3)]
    world.servers.loads = {A: Load(running=3)}
    await fleet.read_loads()
    for lease in ours:
        lease.release()
    assert [take(fleet, A).endpoint for _ in range(3)] == [A, A, A]


async def test_who_has_requests_waiting_is_busier_than_who_runs_as_many(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B), replica_slack=0)
    world.servers.loads = {A: Load(running=4, waiting=1), B: Load(running=5)}
    await fleet.read_loads()
    assert take(fleet, A).endpoint == B


async def test_a_load_that_is_not_read_again_counts_for_three_intervals(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B), replica_slack=2, load_interval=1.0)
    world.servers.loads = {A: Load(running=30)}
    await fleet.read_loads()
    world.servers.load_trouble = {A: BackendTimeout("slow"), B: BackendTimeout("slow")}
    world.clock.pass_(2.9)
    await fleet.read_loads()
    assert take(fleet, A).endpoint == B
    assert fleet.report()[0].load == Load(running=30)
    world.clock.pass_(0.1)
    assert take(fleet, A).endpoint == A
    assert fleet.report()[0].load is None


async def test_only_who_has_a_choice_is_asked(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B), a_model("alone", "http://c:8000"))
    await fleet.read_loads()
    assert sorted(world.servers.load_asked) == [A, B]


async def test_who_is_down_is_not_asked(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    world.servers.trouble = {A: BackendUnreachable("refused")}
    await fleet.check_all()
    await fleet.read_loads()
    assert world.servers.load_asked == [B]


async def test_one_reading_that_goes_wrong_leaves_the_others(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    world.servers.load_trouble = {A: ValueError("odd")}
    world.servers.loads = {B: Load(running=1)}
    await fleet.read_loads()
    assert [replica.load for replica in fleet.report()] == [None, Load(running=1)]


async def test_requests_do_not_wait_for_a_reading(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B), load_interval=0.001)
    world.servers.hold()
    await fleet.start()
    await until(lambda: world.servers.load_asked)
    assert take(fleet, A).endpoint == A
    world.servers.let_go()
    await until(lambda: len(world.servers.load_asked) > 4)
    await fleet.close()


async def test_many_replicas_are_asked_at_once_but_not_all(world: World) -> None:
    fleet = world.fleet(a_model("m", *(f"http://r{i}:8000" for i in range(3 * AT_ONCE))))
    await fleet.check_all()
    assert len(world.servers.checked) == 3 * AT_ONCE
    await fleet.read_loads()
    assert len(world.servers.load_asked) == 3 * AT_ONCE
    world.servers.hold()
    await fleet.start()
    await until(lambda: world.servers.waiting == 2 * AT_ONCE)
    assert world.servers.most_waiting == 2 * AT_ONCE, "health and load, each at most so many"
    await fleet.close()
