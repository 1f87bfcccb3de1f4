"""What becomes of a replica whose requests fail, and of one that asks to be left alone."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smart_router.decide.outlier import BASE_S, FAILURES_IN_A_ROW
from smart_router.errors import (
    BackendAway,
    BackendBroke,
    BackendBusy,
    BackendRejected,
    BackendTimeout,
    BackendUnreachable,
    UpstreamError,
)
from smart_router.upstream.fleet import AllBusy, Fleet, NoReplica
from tests.fakes import a_model

from .fleets import World, take

A, B, C, D = (f"http://{name}:8000" for name in "abcd")
BUSY = BackendBusy("full", retry_after_s=3.0)

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def fail(fleet: Fleet, endpoint: str, error: UpstreamError, times: int = 1) -> None:
    leases = [fleet.lease_at("m", endpoint) for _ in range(times)]
    for lease in leases:
        lease.blame(error)
        lease.release()


def serve(fleet: Fleet, endpoint: str, times: int = 1) -> None:
    for _ in range(times):
        lease = fleet.lease_at("m", endpoint)
        lease.answered()
        lease.release()


def ejected(fleet: Fleet) -> list[str]:
    return [replica.endpoint for replica in fleet.report() if replica.ejected]


def picked(fleet: Fleet) -> set[str]:
    """Who gets requests, of many sessions."""
    found = set()
    for i in range(60):
        lease = take(fleet, key=f"ann/{i}")
        found.add(lease.endpoint)
        lease.release()
    return found


# busy


def test_a_busy_replica_rests_for_as_long_as_it_asks(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    fail(fleet, A, BUSY)
    assert take(fleet, A).endpoint == B
    assert [replica.resting for replica in fleet.report()] == [True, False]
    world.clock.pass_(3.0)
    assert take(fleet, A).endpoint == A


def test_being_busy_is_no_failure(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    serve(fleet, A)
    for _ in range(2 * FAILURES_IN_A_ROW):
        fail(fleet, A, BUSY)
        world.clock.pass_(3.0)
    assert fleet.report()[0].status == "healthy"
    assert ejected(fleet) == []
    assert fleet.can_answer("m")


def test_when_all_rest_the_soonest_is_told(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    fail(fleet, A, BUSY)
    fail(fleet, B, BackendBusy("full", retry_after_s=2.0))
    world.clock.pass_(0.5)
    with pytest.raises(AllBusy) as caught:
        take(fleet)
    assert caught.value.retry_after_s == 1.5


def test_a_shorter_rest_does_not_cut_a_longer_one_short(world: World) -> None:
    fleet = world.fleet(a_model("m", A))
    first, second = take(fleet), take(fleet)
    first.blame(BUSY)
    second.blame(BackendBusy("full", retry_after_s=0.5))
    with pytest.raises(AllBusy) as caught:
        take(fleet)
    assert caught.value.retry_after_s == 3.0


# failing though healthy


@pytest.mark.parametrize("error", [BackendBroke("x"), BackendTimeout("x")])
async def test_a_replica_that_only_fails_is_ejected_and_returns(world: World, error: UpstreamError) -> None:
    fleet = world.fleet(a_model("m", A, B))
    await fleet.check_all()
    fail(fleet, A, error, FAILURES_IN_A_ROW - 1)
    assert ejected(fleet) == []
    fail(fleet, A, error)
    assert ejected(fleet) == [A]
    assert take(fleet, A).endpoint == B
    assert fleet.report()[0].status == "healthy"
    await fleet.check_all()
    assert ejected(fleet) == [A], "it answers its health check all the time"
    world.clock.pass_(BASE_S)
    assert take(fleet, A).endpoint == A


def test_a_replica_that_fails_every_second_request_is_ejected(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    for _ in range(10):
        serve(fleet, A)
        fail(fleet, A, BackendBroke("x"))
    assert ejected(fleet) == [A]


@pytest.mark.parametrize("error", [BackendRejected("x"), BUSY])
def test_who_refuses_a_request_has_not_failed(world: World, error: UpstreamError) -> None:
    fleet = world.fleet(a_model("m", A, B))
    lease = take(fleet, A)
    for _ in range(50):
        lease.blame(error)
    assert ejected(fleet) == []


def test_the_only_replica_is_never_ejected(world: World) -> None:
    fleet = world.fleet(a_model("m", A))
    fail(fleet, A, BackendBroke("x"), 50)
    assert ejected(fleet) == []
    assert take(fleet).endpoint == A


def test_at_least_half_stay(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B, C))
    for endpoint in (A, B, C):
        fail(fleet, endpoint, BackendBroke("x"), 50)
    assert ejected(fleet) == [A]
    assert picked(fleet) == {B, C}


async def test_who_is_down_bears_no_ejection_of_others(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B, C, D))
    world.servers.trouble = {C: BackendUnreachable("refused"), D: BackendUnreachable("refused")}
    await fleet.check_all()
    fail(fleet, A, BackendBroke("x"), 50)
    fail(fleet, B, BackendBroke("x"), 50)
    assert ejected(fleet) == [A]


async def test_when_others_go_down_the_ejected_come_back(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    await fleet.check_all()
    fail(fleet, A, BackendBroke("x"), 5)
    world.servers.trouble = {B: BackendUnreachable("refused")}
    for _ in range(2):
        await fleet.check_all()
    assert ejected(fleet) == []
    assert take(fleet).endpoint == A


def test_when_a_request_finds_the_others_down_the_ejected_come_back(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    fail(fleet, A, BackendBroke("x"), 5)
    fail(fleet, B, BackendAway("x"), 2)
    assert take(fleet).endpoint == A


async def test_who_was_down_has_a_fresh_start(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    await fleet.check_all()
    fail(fleet, A, BackendBroke("x"), 5)
    world.servers.trouble = {A: BackendUnreachable("refused")}
    for _ in range(2):
        await fleet.check_all()
    world.servers.trouble = {}
    await fleet.check_all()
    assert ejected(fleet) == []
    assert take(fleet, A).endpoint == A


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([A, B, C, D]),
        st.sampled_from(["served", "broke", "away", "down", "up"]),
        st.floats(0, 4),
    ),
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, size=st.integers(1, 4))
def test_ejection_never_empties_a_pool(
    monkeypatch: pytest.MonkeyPatch, events: list[tuple[str, str, float]], size: int
) -> None:
    world = World(monkeypatch)
    members = [A, B, C, D][:size]
    fleet = world.fleet(a_model("m", *members))
    leases = {lease.endpoint: lease for lease in (fleet.lease_at("m", endpoint) for endpoint in members)}
    for endpoint, event, seconds in events:
        world.clock.pass_(seconds)
        if endpoint not in leases:
            continue
        if event in ("down", "up"):
            world.servers.trouble = {} if event == "up" else {endpoint: BackendUnreachable("refused")}
            asyncio.run(fleet.check_all())
        elif event == "served":
            leases[endpoint].answered()
        else:
            leases[endpoint].blame(BackendBroke("x") if event == "broke" else BackendAway("x"))
        sound = [replica for replica in fleet.report() if replica.status != "unhealthy"]
        out = [replica for replica in sound if replica.ejected]
        assert len(out) <= len(sound) // 2
        if sound:
            take(fleet).release()


# trying again


def test_one_request_tries_an_unhealthy_replica_while_others_leave_it_alone(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    fail(fleet, A, BackendAway("x"), 2)
    world.clock.pass_(2.0)
    trial, other = take(fleet, A), take(fleet, A)
    assert (trial.endpoint, other.endpoint) == (A, B)
    trial.answered()
    assert take(fleet, A).endpoint == A


def test_all_may_try_the_only_replica(world: World) -> None:
    fleet = world.fleet(a_model("m", A))
    fail(fleet, A, BackendAway("x"), 2)
    with pytest.raises(NoReplica):
        take(fleet)
    world.clock.pass_(2.0)
    assert [take(fleet).endpoint for _ in range(3)] == [A, A, A]


# one that nobody can stand in for


def test_a_lease_at_one_replica_is_a_lease_there(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    lease = fleet.lease_at("m", B)
    assert (lease.endpoint, fleet.report()[1].in_flight) == (B, 1)


def test_one_that_is_unknown_or_unhealthy_cannot_be_had(world: World) -> None:
    fleet = world.fleet(a_model("m", A))
    with pytest.raises(NoReplica):
        fleet.lease_at("m", B)
    fail(fleet, A, BackendAway("x"), 2)
    with pytest.raises(NoReplica) as caught:
        fleet.lease_at("m", A)
    assert not isinstance(caught.value, AllBusy)


def test_one_that_is_busy_says_for_how_long(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B, max_in_flight=1))
    fleet.lease_at("m", B)
    with pytest.raises(AllBusy):
        fleet.lease_at("m", B)
    fail(fleet, A, BUSY)
    with pytest.raises(AllBusy) as caught:
        fleet.lease_at("m", A)
    assert caught.value.retry_after_s == 3.0


def test_one_that_is_ejected_is_asked_all_the_same(world: World) -> None:
    fleet = world.fleet(a_model("m", A, B))
    fail(fleet, A, BackendBroke("x"), 5)
    assert ejected(fleet) == [A]
    assert fleet.lease_at("m", A).endpoint == A


# the budget


def test_retries_are_a_share_of_the_requests(world: World) -> None:
    fleet = world.fleet(a_model("m", A), retry_budget=0.1)
    for _ in range(200):
        fleet.note_request()
    assert sum(fleet.may_retry() for _ in range(200)) == 20
    world.clock.pass_(10.0)
    assert fleet.may_retry()


def test_no_retries_when_the_budget_is_nothing(world: World) -> None:
    fleet = world.fleet(a_model("m", A), retry_budget=0.0)
    fleet.note_request()
    assert not fleet.may_retry()
