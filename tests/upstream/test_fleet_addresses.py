"""Replicas behind a name come and go."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
import structlog

from smart_router.decide.load import Load
from smart_router.errors import BackendAway, BackendUnreachable
from smart_router.upstream import KINDS
from smart_router.upstream.addresses import Name, name_of, resolve
from smart_router.upstream.fleet import Fleet, NoReplica
from tests.fakes import a_model, a_registry

from .fleets import World, in_flight, take, until

POOL = "dns+http://vllm:8000"
ONE, TWO, THREE = (f"http://10.0.0.{i}:8000" for i in (1, 2, 3))

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest_asyncio.fixture
async def fleet(world: World) -> AsyncIterator[Fleet]:
    """Two replicas behind a name that is looked up all the time."""
    world.names.known = {"vllm": ["10.0.0.1", "10.0.0.2"]}
    found = world.fleet(a_model("m", POOL), dns_interval=0.001)
    await found.start()
    yield found
    await found.close()


def endpoints(fleet: Fleet) -> list[str]:
    return [replica.endpoint for replica in fleet.report()]


async def looked_up_again(world: World) -> None:
    """Whatever the names say now is known by then."""
    asked = world.names.asked
    await until(lambda: world.names.asked > asked + 1)


# what an endpoint says


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (POOL, Name("vllm", 8000)),
        ("dns+http://vllm", Name("vllm", 80)),
        ("dns+http://vllm.gpu.svc:1/base/", Name("vllm.gpu.svc", 1, "/base")),
        ("http://vllm:8000", None),
        ("https://vllm", None),
    ],
)
def test_a_name_is_told_by_its_scheme(endpoint: str, name: Name | None) -> None:
    assert name_of(endpoint) == name


def test_every_address_is_an_endpoint_once_in_whatever_order_they_came() -> None:
    addresses = ["10.0.0.2", "fd00::1", "10.0.0.1", "10.0.0.2"]
    found = Name("vllm", 8000, "/base").endpoints(addresses)
    assert found == ("http://10.0.0.1:8000/base", "http://10.0.0.2:8000/base", "http://[fd00::1]:8000/base")
    assert Name("vllm", 8000, "/base").endpoints(addresses[::-1]) == found


async def test_the_system_resolves() -> None:
    assert list(await resolve("127.0.0.1", 80)) == ["127.0.0.1"]
    with pytest.raises(socket.gaierror):
        await resolve("no-such-name.invalid", 80)


# coming and going


async def test_a_name_stands_for_a_replica_per_address_from_the_start(fleet: Fleet) -> None:
    assert endpoints(fleet) == [ONE, TWO]
    assert {take(fleet, warm).endpoint for warm in (ONE, TWO)} == {ONE, TWO}


async def test_names_and_addresses_may_stand_side_by_side_each_once(world: World) -> None:
    world.names.known = {"vllm": ["10.0.0.1"], "more": ["10.0.0.1", "10.0.0.2"]}
    fleet = world.fleet(a_model("m", "http://z:8000/", POOL, "dns+http://more:8000"))
    await fleet.start()
    assert endpoints(fleet) == ["http://z:8000", ONE, TWO]
    await fleet.close()


async def test_who_is_new_is_checked_and_used(world: World, fleet: Fleet) -> None:
    world.names.known = {"vllm": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}
    await until(lambda: THREE in world.servers.checked)
    await until(lambda: fleet.report()[-1].status == "healthy")
    assert take(fleet, THREE).endpoint == THREE


async def test_who_is_gone_gets_nothing_new_while_its_requests_finish(world: World, fleet: Fleet) -> None:
    lease = take(fleet, TWO)
    world.names.known = {"vllm": ["10.0.0.1"]}
    await until(lambda: endpoints(fleet) == [ONE])
    assert take(fleet, TWO).endpoint == ONE
    assert (lease.endpoint, lease.model.id) == (TWO, "m")
    upstream: object = lease.upstream
    assert upstream is world.servers
    with pytest.raises(NoReplica):
        fleet.lease_at("m", TWO)
    lease.answered()
    lease.blame(BackendAway("x"))
    lease.release()
    assert endpoints(fleet) == [ONE]


async def test_who_returns_with_requests_in_flight_still_has_them(world: World, fleet: Fleet) -> None:
    lease, other = take(fleet, TWO), take(fleet, TWO)
    for _ in range(2):
        world.names.known = {"vllm": ["10.0.0.1"]}
        await until(lambda: endpoints(fleet) == [ONE])
        world.names.known = {"vllm": ["10.0.0.3"]}
        await until(lambda: endpoints(fleet) == [THREE])
    world.names.known = {"vllm": ["10.0.0.1", "10.0.0.2"]}
    await until(lambda: endpoints(fleet) == [ONE, TWO])
    assert in_flight(fleet) == {ONE: 0, TWO: 2}
    lease.release()
    other.release()
    assert in_flight(fleet) == {ONE: 0, TWO: 0}


async def test_what_is_known_of_those_who_stay_is_kept(world: World, fleet: Fleet) -> None:
    world.servers.trouble = {ONE: BackendUnreachable("refused")}
    for _ in range(2):
        await fleet.check_all()
    world.servers.hold()
    world.names.known = {"vllm": ["10.0.0.1", "10.0.0.3"]}
    await until(lambda: endpoints(fleet) == [ONE, THREE])
    assert fleet.report()[0].status == "unhealthy"
    world.servers.let_go()


async def test_load_is_read_once_there_is_a_choice(world: World) -> None:
    world.names.known = {"vllm": ["10.0.0.1"]}
    world.servers.loads = {ONE: Load(running=7)}
    fleet = world.fleet(a_model("m", POOL), dns_interval=0.001)
    await fleet.start()
    await fleet.read_loads()
    assert fleet.report()[0].load is None
    world.names.known = {"vllm": ["10.0.0.1", "10.0.0.2"]}
    await until(lambda: len(endpoints(fleet)) == 2)
    await fleet.read_loads()
    assert fleet.report()[0].load == Load(running=7)
    await fleet.close()


async def test_who_leaves_takes_the_room_for_an_ejection_along(world: World, fleet: Fleet) -> None:
    lease = take(fleet, ONE)
    for _ in range(5):
        lease.blame(BackendAway("x"))
        lease.answered()
    for _ in range(5):
        lease.blame(BackendAway("x"))
        lease.answered()
    assert fleet.report()[0].ejected
    world.names.known = {"vllm": ["10.0.0.1"]}
    await until(lambda: endpoints(fleet) == [ONE])
    assert take(fleet).endpoint == ONE


# trouble


@pytest.mark.parametrize("trouble", [socket.gaierror("try again"), UnicodeError("label too long"), []], ids=str)
async def test_a_name_that_cannot_be_resolved_keeps_its_addresses_and_is_told_once(
    world: World, fleet: Fleet, trouble: Exception | Sequence[str]
) -> None:
    with structlog.testing.capture_logs() as logs:
        world.names.known = {"vllm": trouble}
        await looked_up_again(world)
        await looked_up_again(world)
        assert endpoints(fleet) == [ONE, TWO]
        assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["name not resolved"]
        world.names.known = {"vllm": ["10.0.0.1", "10.0.0.2"]}
        await looked_up_again(world)
        world.names.known = {"vllm": trouble}
        await looked_up_again(world)
    events = [entry["event"] for entry in logs]
    assert events == ["name not resolved", "name resolved again", "name not resolved"]


async def test_a_resolver_that_goes_wrong_is_asked_again(world: World, fleet: Fleet) -> None:
    world.names.known = {"vllm": RuntimeError("odd")}
    await looked_up_again(world)
    assert endpoints(fleet) == [ONE, TWO]
    world.names.known = {"vllm": ["10.0.0.3"]}
    await until(lambda: endpoints(fleet) == [THREE])


async def test_a_name_that_was_never_resolved_is_no_replica(world: World) -> None:
    world.names.known = {"vllm": socket.gaierror("unknown")}
    fleet = world.fleet(a_model("m", POOL), dns_interval=0.001)
    with pytest.raises(NoReplica):
        take(fleet)
    await fleet.start()
    with pytest.raises(NoReplica):
        take(fleet)
    assert not fleet.can_answer("m")
    world.names.known = {"vllm": ["10.0.0.1"]}
    await until(lambda: endpoints(fleet) == [ONE])
    assert take(fleet).endpoint == ONE
    await fleet.close()


async def test_a_resolver_that_hangs_does_not_hold_up_the_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def hang(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr("smart_router.upstream.watch.START_PATIENCE_S", 0.01)
    fleet = world.fleet(a_model("m", POOL), a_model("n", "http://n:8000"), resolve=hang, dns_interval=0.001)
    async with asyncio.timeout(20):
        await fleet.start()
    await until(lambda: fleet.can_answer("n"))
    assert asked == ["vllm"], "it is not asked again while it has not answered"
    await fleet.close()


async def test_a_model_that_changes_its_backend_is_followed_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name stands for the same addresses, but the replicas are of another kind."""
    monkeypatch.setitem(KINDS, "openai", lambda *_: world.servers)
    world.names.known = {"vllm": ["10.0.0.1"]}
    fleet = world.fleet(a_model("m", POOL), dns_interval=0.001)
    await fleet.start()
    await fleet.change(a_registry(a_model("m", POOL, backend="openai")))
    await fleet.keep({"m"})
    assert endpoints(fleet) == [ONE]
    world.names.known = {"vllm": ["10.0.0.2"]}
    await until(lambda: endpoints(fleet) == [TWO])
    await fleet.close()
