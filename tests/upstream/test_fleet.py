"""Leases, blame and health of replicas."""

import asyncio
from typing import Any

import pytest

from smart_router.errors import (
    BackendAway,
    BackendBroke,
    BackendRejected,
    BackendTimeout,
    BackendUnreachable,
    UpstreamError,
)
from smart_router.registry import BACKENDS, Model
from smart_router.upstream import KINDS
from smart_router.upstream.fleet import AllBusy, Fleet, Lease, NoReplica
from tests.fakes import Clock, FakeUpstream, a_model, a_registry, settings

A, B = "http://a:8000", "http://b:8000"
DOWN = BackendUnreachable("refused")

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeUpstream:
    """Answers for the kind vllm."""
    found = FakeUpstream()
    monkeypatch.setitem(KINDS, "vllm", lambda *_: found)
    return found


@pytest.fixture
def make(fake: FakeUpstream, clock: Clock) -> Any:
    def make_one(*models: Model, **changed: Any) -> Fleet:
        return Fleet(a_registry(*models), settings(**changed), now=clock)

    return make_one


@pytest.fixture
def fleet(make: Any) -> Fleet:
    found: Fleet = make(a_model("m", A, B))
    return found


def take(fleet: Fleet, warm: str | None = A, without: frozenset[str] = frozenset(), model: str = "m") -> Lease:
    return fleet.lease(model, warm, "ann/s1", without)


def in_flight(fleet: Fleet) -> dict[str, int]:
    return {replica.endpoint: replica.in_flight for replica in fleet.report()}


def test_a_lease_is_a_place_in_the_count(fleet: Fleet) -> None:
    lease = take(fleet)
    assert (lease.endpoint, lease.model.id) == (A, "m")
    assert in_flight(fleet) == {A: 1, B: 0}


def test_a_lease_is_given_back_exactly_once(fleet: Fleet) -> None:
    one, _ = take(fleet), take(fleet)
    one.release()
    one.release()
    assert in_flight(fleet) == {A: 1, B: 0}


def test_the_warm_replica_is_kept_within_the_slack(make: Any) -> None:
    fleet = make(a_model("m", A, B), replica_slack=1)
    assert [take(fleet).endpoint for _ in range(4)] == [A, A, B, A]


def test_without_leaves_replicas_out(fleet: Fleet) -> None:
    assert take(fleet, without=frozenset({A})).endpoint == B
    with pytest.raises(NoReplica):
        take(fleet, without=frozenset({A, B}))


def test_a_limit_is_never_exceeded(make: Any) -> None:
    fleet = make(a_model("m", A, B, max_in_flight=2), replica_slack=100)
    leases = [take(fleet) for _ in range(4)]
    assert in_flight(fleet) == {A: 2, B: 2}
    with pytest.raises(AllBusy):
        take(fleet)
    leases[0].release()
    assert take(fleet).endpoint == leases[0].endpoint


def test_models_at_one_address_have_places_of_their_own(make: Any) -> None:
    fleet = make(a_model("m", A, max_in_flight=1), a_model("n", A, max_in_flight=1))
    take(fleet)
    assert take(fleet, model="n").endpoint == A


def test_a_slash_at_the_end_makes_no_other_address(make: Any) -> None:
    assert take(make(a_model("m", A + "/"))).endpoint == A


# blame


@pytest.mark.parametrize("error", [BackendUnreachable("x"), BackendAway("x")])
def test_two_failures_take_a_replica_out_until_its_pause_is_over(
    fleet: Fleet, clock: Clock, error: UpstreamError
) -> None:
    take(fleet).answered()
    for _ in range(2):
        lease = take(fleet)
        lease.blame(error)
        lease.release()
    assert take(fleet).endpoint == B
    clock.pass_(2.0)
    assert take(fleet).endpoint == A


@pytest.mark.parametrize("error", [BackendRejected("x"), BackendBroke("x"), BackendTimeout("x")])
def test_what_a_few_requests_met_with_is_no_failure_of_the_replica(fleet: Fleet, error: UpstreamError) -> None:
    for _ in range(4):
        lease = take(fleet)
        lease.blame(error)
        lease.release()
    assert take(fleet).endpoint == A


def test_an_answer_clears_the_blame(fleet: Fleet) -> None:
    lease = take(fleet)
    lease.answered()
    lease.blame(DOWN)
    lease.answered()
    lease.blame(DOWN)
    assert take(fleet).endpoint == A


# health


async def test_a_check_asks_every_replica(fleet: Fleet, fake: FakeUpstream) -> None:
    await fleet.check_all()
    assert sorted(fake.checked) == [A, B]
    assert {replica.status for replica in fleet.report()} == {"healthy"}


async def test_an_unhealthy_replica_is_skipped_and_comes_back(fleet: Fleet, fake: FakeUpstream) -> None:
    fake.trouble[A] = DOWN
    await fleet.check_all()
    assert take(fleet).endpoint == B
    assert {r.endpoint: (r.status, r.trouble) for r in fleet.report()} == {
        A: ("unhealthy", "refused"),
        B: ("healthy", ""),
    }
    del fake.trouble[A]
    await fleet.check_all()
    assert take(fleet).endpoint == A


async def test_nobody_healthy_is_no_replica(fleet: Fleet, fake: FakeUpstream) -> None:
    fake.trouble = {A: DOWN, B: DOWN}
    await fleet.check_all()
    with pytest.raises(NoReplica) as caught:
        take(fleet)
    assert not isinstance(caught.value, AllBusy)


async def test_a_model_can_answer_once_a_replica_has(fleet: Fleet, fake: FakeUpstream) -> None:
    assert not fleet.can_answer("m")
    fake.trouble = {A: DOWN}
    await fleet.check_all()
    assert fleet.can_answer("m")
    fake.trouble = {A: DOWN, B: DOWN}
    await fleet.check_all()
    await fleet.check_all()
    assert not fleet.can_answer("m")


def test_nothing_is_known_before_the_first_check(fleet: Fleet) -> None:
    assert {replica.status for replica in fleet.report()} == {"unknown"}


async def test_one_check_that_goes_wrong_leaves_the_others(fleet: Fleet, fake: FakeUpstream) -> None:
    fake.trouble[A] = UnicodeError("label empty or too long")  # what a client raises for an odd host name
    await fleet.check_all()
    assert {r.endpoint: r.status for r in fleet.report()} == {A: "unhealthy", B: "healthy"}


async def test_the_watch_goes_on_until_the_fleet_is_closed(make: Any, fake: FakeUpstream) -> None:
    fleet = make(a_model("m", A), health_interval=0.001)
    await fleet.start()
    assert fake.running
    async with asyncio.timeout(20):
        while len(fake.checked) < 3:  # noqa: ASYNC110 - the fake only records
            await asyncio.sleep(0.001)
    await fleet.close()
    assert not fake.running


async def test_closing_a_fleet_that_never_started_is_fine(fleet: Fleet) -> None:
    await fleet.close()


def test_every_kind_that_a_registry_may_name_is_there() -> None:
    assert set(KINDS) == set(BACKENDS)
