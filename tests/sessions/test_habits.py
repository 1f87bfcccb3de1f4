"""What sessions go on to, as routers of one Redis count it together."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from smart_router.decide.succession import MOST_SEEN, Habit, Habits
from smart_router.errors import StoreUnavailable
from smart_router.lifecycle.agreement import SharedHabits
from smart_router.sessions import open_agreement
from smart_router.sessions.agreement import RedisAgreement
from smart_router.sessions.habits import MOST_PAIRS, NAME, TTL_S
from tests.fakes import settings

PATIENT_MS = 5000


@pytest_asyncio.fixture
async def behind(redis_url: str) -> AsyncIterator["Redis"]:
    redis = Redis.from_url(redis_url)
    await redis.delete(NAME)
    yield redis
    await redis.delete(NAME)
    await redis.aclose()


@pytest_asyncio.fixture
async def routers(redis_url: str, behind: "Redis") -> AsyncIterator[list[SharedHabits]]:
    found = [RedisAgreement(redis_url, timeout_ms=PATIENT_MS) for _ in range(2)]
    yield [one.habits for one in found]
    for one in found:
        await one.close()


def counted(visits: float, **steps: float) -> Habits:
    return {("stt", "agent"): Habit(visits, steps)}


async def test_what_one_counted_all_learn(routers: list[SharedHabits]) -> None:
    one, other = routers
    assert await one.add(counted(3, tts=2)) == counted(3, tts=2)
    assert await other.add({**counted(1, tts=1, vision=1), (None, "stt"): Habit(4, {"agent": 1.5})}) == {
        **counted(4, tts=3, vision=1),
        (None, "stt"): Habit(4, {"agent": 1.5}),
    }
    assert await one.add({}) == await other.add({})


async def test_it_outlives_the_routers_for_a_while(
    redis_url: str, routers: list[SharedHabits], behind: "Redis"
) -> None:
    await routers[0].add(counted(3, tts=2))
    assert TTL_S - 60 < await behind.ttl(NAME) <= TTL_S
    later = RedisAgreement(redis_url, timeout_ms=PATIENT_MS)
    assert await later.habits.add({}) == counted(3, tts=2)
    await later.close()


async def test_what_was_counted_often_is_halved(routers: list[SharedHabits]) -> None:
    await routers[0].add(counted(MOST_SEEN, tts=900))
    assert await routers[0].add(counted(2, tts=2)) == counted(501, tts=451)
    found = (await routers[0].add(counted(10 * MOST_SEEN)))["stt", "agent"]
    assert found.visits <= MOST_SEEN


@pytest.mark.parametrize(
    "odd", ["", "7", "[]", "{", '{"visits":"a","steps":{}}', '{"visits":1e999,"steps":{}}', "[" * 5000]
)
async def test_what_cannot_be_read_counts_as_absent(routers: list[SharedHabits], behind: "Redis", odd: str) -> None:
    await behind.hset(NAME, '["stt","agent"]', odd)
    await behind.hset(NAME, odd, '{"visits":1,"steps":{}}')
    assert await routers[0].add({}) == {}
    assert await routers[0].add(counted(1)) == counted(1)


async def test_what_is_no_hash_makes_way(routers: list[SharedHabits], behind: "Redis") -> None:
    await behind.set(NAME, "odd")
    assert await routers[0].add(counted(1)) == counted(1)


async def test_too_many_pairs_are_forgotten(routers: list[SharedHabits], behind: "Redis") -> None:
    many: Habits = {(None, f"m{number}"): Habit(1) for number in range(MOST_PAIRS)}
    assert len(await routers[0].add(many)) == MOST_PAIRS
    assert await routers[0].add(counted(1)) == {}
    assert await routers[0].add(counted(1)) == counted(1)


async def test_without_redis_it_is_said_so(redis_url: str) -> None:
    gone = RedisAgreement("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable):
        await gone.habits.add(counted(1))
    await gone.close()


async def test_a_router_without_redis_shares_with_nobody(bare_environment: object) -> None:
    assert open_agreement(settings()).habits is None
