"""What routers tell one another of models that come and go: alone, and through a real Redis, a cluster among them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast
from uuid import uuid4

import pytest
import pytest_asyncio
from redis.asyncio import Redis, RedisCluster

from smart_router.cli.processes import free_port
from smart_router.errors import ConfigurationError, StoreUnavailable
from smart_router.lifecycle.agreement import Agreement, Alone, Known, Note, Told
from smart_router.sessions import open_agreement
from smart_router.sessions.agreement import ALIVE_S, RedisAgreement
from smart_router.sessions.slots import slot_of_key
from smart_router.settings import Settings
from tests.chaos.slow_redis import slow_redis
from tests.fakes import Clock
from tests.needs import redis_program
from tests.redis_servers import Server, all_started
from tests.redis_topologies import Cluster, redis_cluster

PATIENT_MS = 5000  # where no deadline is tested
ALIVE_FOR_S = 300.0  # however slow the machine is
HARDLY_S = 0.1  # less than that, for a router that dies
SLACK_S = 120.0  # what a test may take
WITHIN_S = 20.0
HOUR_S = 3600.0

Behind = Redis | RedisCluster


class World:
    """Routers of one kind that agree, and what only a test can do: look behind their backs, have time pass."""

    def __init__(self, kind: str, url: str = "", behind: Behind | None = None) -> None:
        self.kind = kind
        self.arena = f"gpu-{uuid4().hex}"  # of this test alone: the Redis is shared by all of them
        self.model = f"m-{uuid4().hex}"
        self._url = url
        self._behind = behind
        self._clock = Clock()
        self._routers: list[Agreement] = []

    @property
    def behind(self) -> Any:
        assert self._behind is not None
        return self._behind

    @property
    def keys(self) -> tuple[str, str, str]:
        """Of the lease, of what was told, of the notes of `model`."""
        lease, told, note = f"lease:{self.arena}", f"told:{self.arena}", f"note:{self.model}"
        return f"sr:{{models}}:{lease}", f"sr:{{models}}:{told}", f"sr:{{models}}:{note}"

    def router(self, alive_s: float = ALIVE_FOR_S) -> Agreement:
        if self.kind == "alone":
            self._routers.append(Alone(self._clock))
        else:
            self._routers.append(RedisAgreement(self._url, timeout_ms=PATIENT_MS, alive_s=alive_s))
        return self._routers[-1]

    async def learn(self, router: Agreement, told: Told | None = None) -> Known:
        """What *router* hears of `model` when it tells *told* of it."""
        return (await router.exchange(self.arena, {self.model: told or Told()}))[self.model]

    async def note(self, router: Agreement, note: Note) -> None:
        await router.note(self.arena, self.model, note)

    async def pass_(self, seconds: float) -> None:
        """As if *seconds* had passed since all that was told and noted."""
        self._clock.pass_(seconds)
        if self._behind is not None:
            await self._set_back(round(seconds * 1000))

    async def _set_back(self, by_ms: int) -> None:
        _, told, notes = self.keys
        for name in ("used", "woke"):
            if moment := await self.behind.hget(notes, name):
                await self.behind.hset(notes, name, int(moment) - by_ms)
        for router, value in (await self.behind.hgetall(told)).items():
            at, till, said = value.split(b" ", 2)
            moments = (str(int(moment) - by_ms) for moment in (at, till))
            await self.behind.hset(told, router, " ".join((*moments, said.decode())))

    async def close(self) -> None:
        for router in self._routers:
            await router.close()
        if self._behind is not None:
            await self._behind.aclose()


def about(seconds: float) -> Any:
    """At least so many, and what a test may take."""
    return pytest.approx(seconds + SLACK_S / 2, abs=SLACK_S / 2 + 0.01)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await holds():  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with redis_cluster(redis_program()) as found:
        yield found


def world_of(kind: str, request: pytest.FixtureRequest) -> World:
    if kind == "alone":
        return World(kind)
    if kind == "redis":
        url: str = request.getfixturevalue("redis_url")
        return World(kind, url, Redis.from_url(url))
    cluster: Cluster = request.getfixturevalue("cluster")
    return World(kind, cluster.url, RedisCluster("127.0.0.1", cluster.nodes[0].port))


@pytest_asyncio.fixture(params=["alone", "redis", "cluster"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    found = world_of(request.param, request)
    yield found
    await found.close()


@pytest_asyncio.fixture(params=["redis", "cluster"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Where there may be several routers."""
    found = world_of(request.param, request)
    yield found
    await found.close()


# what every kind promises to a router


async def test_who_has_the_lease_may_prolong_it(world: World) -> None:
    router = world.router()
    assert [await router.hold(world.arena, 60.0) for _ in range(3)] == [True] * 3


async def test_who_let_go_may_take_the_lease_again(world: World) -> None:
    router = world.router()
    await router.let_go(world.arena)
    await router.hold(world.arena, 60.0)
    await router.let_go(world.arena)
    assert await router.hold(world.arena, 60.0)


async def test_of_a_new_model_nothing_is_known(world: World) -> None:
    assert await world.learn(world.router()) == Known()


async def test_something_is_said_of_the_models_that_one_tells_of_and_of_no_others(world: World) -> None:
    router = world.router()
    await world.learn(router, Told(idle_s=1.0))
    assert await router.exchange(world.arena, {"another": Told()}) == {"another": Known()}
    assert await router.exchange(world.arena, {}) == {}


async def test_when_a_model_was_used_is_remembered(world: World) -> None:
    router = world.router()
    assert (await world.learn(router, Told(idle_s=5.0))).told.idle_s == about(5)
    await world.pass_(HOUR_S)
    assert (await world.learn(router)).told.idle_s == about(HOUR_S + 5)


async def test_the_latest_use_of_a_model_counts(world: World) -> None:
    router = world.router()
    for idle_s in (500.0, 5.0, 900.0):
        found = await world.learn(router, Told(idle_s=idle_s))
    assert found.told.idle_s == about(5)


async def test_what_this_router_tells_itself_is_left_out_but_for_the_use(world: World) -> None:
    told = Told(idle_s=5.0, sessions=3, in_flight=2, waiting=1, waiting_for_s=4.0)
    found = (await world.learn(world.router(), told)).told
    assert (found.sessions, found.in_flight, found.waiting, found.waiting_for_s) == (0, 0, 0, 0.0)


async def test_a_model_is_awake_since_it_woke(world: World) -> None:
    router = world.router()
    await world.note(router, Note(woke=True))
    await world.pass_(HOUR_S)
    assert (await world.learn(router)).awake_for_s == about(HOUR_S)
    await world.note(router, Note(woke=False))
    assert (await world.learn(router)).awake_for_s is None


async def test_what_a_note_says_nothing_of_stays_as_it_was(world: World) -> None:
    router = world.router()
    await world.note(router, Note(woke=True, wake_s=2.5, pinned=True, draining=True))
    await world.note(router, Note())
    found = await world.learn(router)
    assert (found.wake_s, found.pinned, found.draining) == (2.5, True, True)
    assert found.awake_for_s == about(0)


async def test_what_was_noted_may_be_taken_back(world: World) -> None:
    router = world.router()
    await world.note(router, Note(pinned=True, draining=True, wake_s=2.0))
    await world.note(router, Note(pinned=False, draining=False, wake_s=3.0))
    assert await world.learn(router) == Known(wake_s=3.0, pinned=False)


async def test_notes_of_a_model_stay_with_it_when_arenas_are_made_anew(world: World) -> None:
    router = world.router()
    await world.note(router, Note(pinned=True))
    await world.learn(router, Told(idle_s=1.0))
    found = (await router.exchange(f"{world.arena}-all", {world.model: Told()}))[world.model]
    assert found.pinned
    assert found.told.idle_s == about(1)


async def test_who_took_no_part_may_close(world: World) -> None:
    await world.router().close()


# leases


async def test_of_many_who_want_a_lease_at_once_one_has_it(shared: World) -> None:
    routers = [shared.router() for _ in range(5)]
    for _ in range(3):
        held = await asyncio.gather(*(router.hold(shared.arena, 60.0) for router in routers))
        assert sum(held) == 1
    assert not await shared.router().hold(shared.arena, 60.0)


async def test_every_arena_has_a_lease_of_its_own(shared: World) -> None:
    one, other = shared.router(), shared.router()
    assert await one.hold(shared.arena, 60.0)
    assert await other.hold(f"{shared.arena}-other", 60.0)


async def test_a_lease_that_was_let_go_is_free(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await one.hold(shared.arena, 60.0)
    await one.let_go(shared.arena)
    assert await other.hold(shared.arena, 60.0)


async def test_nobody_lets_go_of_the_lease_of_another(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await one.hold(shared.arena, 60.0)
    await other.let_go(shared.arena)
    assert not await other.hold(shared.arena, 60.0)


async def test_the_lease_of_a_holder_that_is_heard_of_no_more_ends(shared: World) -> None:
    dead, other = shared.router(), shared.router()
    await dead.hold(shared.arena, HARDLY_S)
    await eventually(lambda: other.hold(shared.arena, 60.0))
    assert not await dead.hold(shared.arena, 60.0)


async def test_a_lease_that_is_prolonged_ends_later(shared: World) -> None:
    router = shared.router()
    await router.hold(shared.arena, 100.0)
    await router.hold(shared.arena, 1000.0)
    assert await shared.behind.pttl(shared.keys[0]) > 500_000


async def test_a_router_that_closes_leaves_its_lease_to_others(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await one.hold(shared.arena, 60.0)
    await one.close()
    assert await other.hold(shared.arena, 60.0)


# what others told


async def test_what_others_told_is_summed(shared: World) -> None:
    one, two, three = (shared.router() for _ in range(3))
    await shared.learn(one, Told(idle_s=50.0, sessions=3, in_flight=2, waiting=1, waiting_for_s=400.0))
    await shared.learn(two, Told(idle_s=900.0, sessions=4, in_flight=1, waiting=2, waiting_for_s=30.0))
    found = (await shared.learn(three, Told(sessions=100, in_flight=100, waiting=100))).told
    assert (found.sessions, found.in_flight, found.waiting) == (7, 3, 3)
    assert (found.idle_s, found.waiting_for_s) == (about(50), about(400))


async def test_what_is_told_takes_the_place_of_what_was_told_before(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.learn(one, Told(sessions=3, in_flight=2, waiting=1))
    await shared.learn(one, Told(sessions=1))
    assert (await shared.learn(other)).told == Told(sessions=1)


async def test_who_waits_elsewhere_waits_longer_as_time_passes(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.learn(one, Told(idle_s=10.0, waiting=1, waiting_for_s=20.0))
    await shared.pass_(150.0)
    found = (await shared.learn(other)).told
    assert (found.idle_s, found.waiting_for_s) == (about(160), about(170))


async def test_models_that_only_others_have_are_no_matter(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await one.exchange(shared.arena, {shared.model: Told(sessions=1), "another": Told(sessions=2)})
    assert await other.exchange(shared.arena, {shared.model: Told()}) == {shared.model: Known(Told(sessions=1))}


async def test_what_is_told_in_one_arena_is_not_heard_in_another(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await one.exchange(f"{shared.arena}-other", {shared.model: Told(sessions=1)})
    assert (await shared.learn(other)).told.sessions == 0


async def test_a_router_that_is_heard_of_no_more_is_gone(shared: World) -> None:
    dead, other = shared.router(alive_s=HARDLY_S), shared.router()
    await shared.learn(dead, Told(idle_s=1.0, sessions=3, in_flight=2))

    async def gone() -> bool:
        return (await shared.learn(other)).told.in_flight == 0

    await eventually(gone)
    assert (await shared.learn(other)).told.idle_s == about(1)
    assert await shared.behind.hlen(shared.keys[1]) == 1


async def test_a_router_that_tells_again_is_back(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.learn(one, Told(sessions=3))
    await shared.pass_(ALIVE_FOR_S + 1)
    assert (await shared.learn(other)).told.sessions == 0
    await shared.learn(one, Told(sessions=3))
    assert (await shared.learn(other)).told.sessions == 3


async def test_a_router_lives_as_long_as_it_said_itself(shared: World) -> None:
    patient, hasty = shared.router(), shared.router(alive_s=HARDLY_S)
    await shared.learn(patient, Told(sessions=3))
    await shared.pass_(ALIVE_FOR_S / 2)
    assert (await shared.learn(hasty)).told.sessions == 3
    assert await shared.behind.pttl(shared.keys[1]) > HARDLY_S * 1000


async def test_what_a_router_told_ends_with_it(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.learn(one, Told(sessions=3))
    await one.close()
    assert (await shared.learn(other)).told.sessions == 0


# what outlives routers


async def test_recency_pins_and_wakes_survive_all_routers(shared: World) -> None:
    one = shared.router()
    await shared.learn(one, Told(idle_s=5.0, sessions=1))
    await shared.note(one, Note(woke=True, wake_s=2.5, pinned=True))
    await one.close()
    await shared.pass_(200.0)
    found = await shared.learn(shared.router())
    assert found == Known(Told(idle_s=about(205)), about(200), 2.5, True)


async def test_a_model_drains_for_everybody_until_somebody_says_otherwise(shared: World) -> None:
    one, other, third = (shared.router() for _ in range(3))
    await shared.note(one, Note(draining=True))
    assert [(await shared.learn(router)).draining for router in (one, other, third)] == [True] * 3
    await shared.note(other, Note(draining=False))
    assert [(await shared.learn(router)).draining for router in (one, other, third)] == [False] * 3


async def test_to_drain_a_model_takes_back_nothing_that_was_told(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.learn(one, Told(sessions=3))
    await shared.note(one, Note(draining=True))
    assert await shared.learn(other) == Known(Told(sessions=3), draining=True)


async def test_a_model_drains_while_who_drains_it_goes_on_to_exchange(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.note(one, Note(draining=True))
    for _ in range(3):
        await shared.pass_(ALIVE_FOR_S / 2)
        await shared.learn(one)
        assert (await shared.learn(other)).draining


async def test_a_draining_ends_with_a_router_that_is_heard_of_no_more(shared: World) -> None:
    dead, other = shared.router(alive_s=HARDLY_S), shared.router()
    await shared.note(dead, Note(draining=True, pinned=True))

    async def ended() -> bool:
        return not (await shared.learn(other)).draining

    await eventually(ended)
    assert (await shared.learn(other)).pinned


async def test_a_draining_ends_with_a_router_that_closes(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.learn(one)
    await shared.note(one, Note(draining=True))
    await one.close()
    assert not (await shared.learn(other)).draining


# what is in Redis


async def a_full_world(world: World) -> tuple[Agreement, Agreement]:
    """All keys are there; two routers."""
    one, other = world.router(), world.router()
    await one.hold(world.arena, 60.0)
    await world.learn(one, Told(idle_s=5.0, sessions=1))
    await world.note(one, Note(woke=True, wake_s=1.0, pinned=True, draining=True))
    return one, other


async def test_every_key_has_a_time_to_live(shared: World) -> None:
    await a_full_world(shared)
    assert [await shared.behind.pttl(key) > 0 for key in shared.keys] == [True] * 3


async def test_a_note_of_a_model_that_nobody_told_of_has_a_time_to_live_too(shared: World) -> None:
    await shared.note(shared.router(), Note(pinned=True))
    assert await shared.behind.ttl(shared.keys[2]) > 24 * HOUR_S


async def test_the_notes_of_a_model_live_on_while_it_is_told_of(shared: World) -> None:
    one, _ = await a_full_world(shared)
    await shared.behind.expire(shared.keys[2], 100)
    await shared.learn(one)
    assert await shared.behind.ttl(shared.keys[2]) > 24 * HOUR_S


async def test_all_keys_share_a_slot(shared: World) -> None:
    await a_full_world(shared)
    assert await shared.behind.exists(*shared.keys) == 3
    assert len({slot_of_key(key.encode()) for key in shared.keys}) == 1


@pytest.mark.parametrize("name", ["a}b{c", "{}", "}", " ", "Qwen/Qwen2.5-7B", "größe"])
async def test_arenas_and_models_may_have_any_name(shared: World, name: str) -> None:
    one, other = shared.router(), shared.router()
    arena, model = name + shared.arena, name + shared.model
    assert await one.hold(arena, 60.0)
    await one.exchange(arena, {model: Told(sessions=2)})
    await one.note(arena, model, Note(pinned=True))
    assert await other.exchange(arena, {model: Told()}) == {model: Known(Told(sessions=2), pinned=True)}
    await one.let_go(arena)


async def test_an_exchange_is_one_round_trip(redis_url: str) -> None:
    router = RedisAgreement(redis_url, timeout_ms=PATIENT_MS)
    await router.exchange("an-arena", {})
    async with Redis.from_url(redis_url) as behind:

        async def calls() -> int:
            stats = await behind.info("commandstats")
            return sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)

        before = await calls()
        await router.exchange("an-arena", {f"model-{number}": Told(idle_s=1.0) for number in range(50)})
        assert await calls() == before + 1
    await router.close()


async def test_a_lease_of_another_type_counts_as_absent(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.behind.lpush(shared.keys[0], "garbage")
    await shared.behind.expire(shared.keys[0], 1000)
    await one.let_go(shared.arena)
    assert await one.hold(shared.arena, 60.0)
    assert not await other.hold(shared.arena, 60.0)


async def test_a_lease_that_never_ends_counts_as_absent(shared: World) -> None:
    await shared.behind.set(shared.keys[0], "garbage")
    assert await shared.router().hold(shared.arena, 60.0)


async def test_what_is_of_another_type_counts_as_absent_and_makes_way(shared: World) -> None:
    one, other = await a_full_world(shared)
    for key in shared.keys:
        await shared.behind.delete(key)
        await shared.behind.set(key, "garbage")
    assert await shared.learn(one, Told(idle_s=5.0, sessions=1)) == Known(Told(about(5)))
    await shared.behind.delete(shared.keys[1], shared.keys[2])
    for key in shared.keys[1:]:
        await shared.behind.set(key, "garbage")
    await shared.note(one, Note(pinned=True, draining=True))
    assert await shared.learn(other) == Known(pinned=True, draining=True)


@pytest.mark.parametrize("garbage", ["", "x", "-5", "nan", "inf", "1e999", "9" * 400, "\0", "[]"])
async def test_notes_that_cannot_be_read_count_as_absent(shared: World, garbage: str) -> None:
    names = ("used", "woke", "wake_s", "pinned", "draining", "unheard-of")
    await shared.behind.hset(shared.keys[2], mapping=dict.fromkeys(names, garbage))
    router = shared.router()
    assert await shared.learn(router) == Known()
    assert (await shared.learn(router, Told(idle_s=5.0))).told.idle_s == about(5)


@pytest.mark.parametrize("garbage", ["", "x", "1 2", "1 2 {}", "{}", "-1 -1 {}", "9" * 400 + " 1 {}"])
async def test_a_router_that_cannot_be_read_counts_as_absent(shared: World, garbage: str) -> None:
    await shared.behind.hset(shared.keys[1], "somebody", garbage)
    await shared.behind.hset(shared.keys[2], "draining", "somebody")
    assert await shared.learn(shared.router()) == Known()
    assert not await shared.behind.hexists(shared.keys[1], "somebody")


async def told_by_somebody(world: World, said: str, *, for_s: float = ALIVE_FOR_S, from_now_s: float = 0.0) -> None:
    """As if a router that we do not know had told it."""
    seconds, _ = await world.behind.eval("return redis.call('TIME')", 1, world.keys[1])
    at = round((int(seconds) + from_now_s) * 1000)
    await world.behind.hset(world.keys[1], "somebody", f"{at} {at + round(for_s * 1000)} {said}")


TOO_DEEP = '{"MODEL": {"sessions": 1, "unheard_of": ' + "[" * 10_000 + "]" * 10_000 + "}}"


@pytest.mark.parametrize("said", ["", "[]", "null", '{"MODEL": 1}', '{"MODEL": {"sessions": "many"}}', TOO_DEEP])
async def test_what_cannot_be_read_of_what_a_router_told_counts_as_untold(shared: World, said: str) -> None:
    await told_by_somebody(shared, said.replace("MODEL", shared.model))
    assert await shared.learn(shared.router()) == Known()


async def test_what_a_router_told_is_bounded(shared: World) -> None:
    said = '{"MODEL": {"idle_s": -5, "sessions": -1, "in_flight": 1000000000000, "waiting": 1, "waiting_for_s": 1e300}}'
    await told_by_somebody(shared, said.replace("MODEL", shared.model))
    assert (await shared.learn(shared.router())).told == Told(about(0), 0, 10**9, 1, 1e9)


async def test_what_a_later_version_says_besides_is_no_matter(shared: World) -> None:
    await told_by_somebody(shared, f'{{"{shared.model}": {{"sessions": 2, "unheard_of": [1]}}}}')
    assert (await shared.learn(shared.router())).told == Told(sessions=2)


async def test_numbers_that_are_none_do_no_harm(shared: World) -> None:
    one, other = shared.router(), shared.router()
    await shared.learn(one, Told(float("nan"), -3, 2, 1, float("inf")))
    assert (await shared.learn(other)).told == Told(about(0), 0, 2, 1, 1e9)


async def test_what_was_told_by_a_clock_that_was_set_back_since_counts_no_more(shared: World) -> None:
    said = f'{{"{shared.model}": {{"sessions": 2}}}}'
    await told_by_somebody(shared, said, from_now_s=HOUR_S)
    assert (await shared.learn(shared.router())).told.sessions == 0
    await told_by_somebody(shared, said, for_s=2 * HOUR_S, from_now_s=HOUR_S)  # within what it may be wrong
    assert (await shared.learn(shared.router())).told.sessions == 2


async def test_no_moment_is_to_come(shared: World) -> None:
    router = shared.router()
    await shared.learn(router, Told(idle_s=1.0))
    await shared.note(router, Note(woke=True))
    await shared.pass_(-HOUR_S)
    found = await shared.learn(router)
    assert (found.told.idle_s, found.awake_for_s) == (0.0, 0.0)


# a Redis that is gone, or was emptied


@pytest.fixture
def server() -> Iterator[Server]:
    """A Redis of the test's own."""
    port = free_port()
    found = Server([redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""], port)
    with all_started([found]):
        yield found


@pytest_asyncio.fixture
async def lonely(server: Server) -> AsyncIterator[World]:
    """Routers of a Redis that the test may harm."""
    found = World("redis", f"redis://{server.place}/0", Redis.from_url(f"redis://{server.place}/0"))
    yield found
    await found.close()


async def test_what_redis_lost_is_absent_until_it_is_told_again(lonely: World) -> None:
    one, other = await a_full_world(lonely)
    await lonely.behind.flushall()
    assert await lonely.learn(other) == Known()
    assert await other.hold(lonely.arena, 60.0)
    await lonely.learn(one, Told(idle_s=5.0, sessions=1))
    assert await lonely.learn(other) == Known(Told(about(5), 1))


async def test_all_calls_say_that_redis_is_gone_and_work_when_it_is_back(lonely: World, server: Server) -> None:
    one, other = await a_full_world(lonely)
    server.kill()
    for call in every_call(lonely, one):
        with pytest.raises(StoreUnavailable):
            await call
    server.start()

    async def back() -> bool:
        try:
            return bool(await one.hold(lonely.arena, 60.0)) and bool(await lonely.learn(other))
        except StoreUnavailable:
            return False

    await eventually(back)
    await lonely.learn(one, Told(sessions=1))
    assert (await lonely.learn(other)).told.sessions == 1


async def test_the_first_call_waits_for_a_connection(server: Server) -> None:
    async def worked() -> bool:
        late_s = iter([0.3])  # the first reply
        slow.late = lambda: next(late_s, 0.0)
        router = RedisAgreement(slow.url, timeout_ms=100)
        try:
            return await router.hold("an-arena", 60.0)
        except StoreUnavailable:  # this machine was slow itself
            return False
        finally:
            await router.close()

    async with slow_redis(server.port) as slow:
        await eventually(worked)


async def test_nobody_waits_for_a_redis_that_hangs(server: Server) -> None:
    router = RedisAgreement(f"redis://{server.place}/0", timeout_ms=50)
    server.pause()
    try:
        async with asyncio.timeout(WITHIN_S):
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    await router.exchange("an-arena", {"a": Told()})
            await router.close()
    finally:
        server.go_on()


async def test_without_redis_every_call_says_so() -> None:
    world = World("redis", "redis://127.0.0.1:1/0")
    for call in every_call(world, world.router()):
        with pytest.raises(StoreUnavailable):
            await call
    await world.close()


async def test_after_closing_every_call_says_so(shared: World) -> None:
    used, unused = shared.router(), shared.router()
    await shared.learn(used)
    for router in (used, unused):
        await router.close()
        for call in every_call(shared, router):
            with pytest.raises(StoreUnavailable):
                await call


def every_call(world: World, router: Agreement) -> list[Awaitable[Any]]:
    hold, let_go = router.hold(world.arena, 60.0), router.let_go(world.arena)
    return [hold, let_go, world.learn(router), world.note(router, Note(pinned=True))]


# how a router gets one


async def test_without_redis_a_router_is_alone(bare_environment: object) -> None:
    assert isinstance(open_agreement(Settings()), Alone)


@pytest.mark.parametrize(("interval_s", "alive_s"), [(1.0, ALIVE_S), (60.0, 180.0)])
async def test_a_router_is_gone_after_some_intervals_without_a_word(
    bare_environment: object, redis_url: str, interval_s: float, alive_s: float
) -> None:
    settings = Settings(REDIS_URL=redis_url, REDIS_TIMEOUT_MS=PATIENT_MS, LIFECYCLE_INTERVAL=interval_s)
    router, arena = open_agreement(settings), uuid4().hex
    await router.exchange(arena, {})
    async with Redis.from_url(redis_url) as behind:
        [value] = await cast(Any, behind).hvals(f"sr:{{models}}:told:{arena}")
    at, till, _ = value.split(b" ")
    assert int(till) - int(at) == alive_s * 1000
    await router.close()


async def test_a_url_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        RedisAgreement("http://somewhere")
