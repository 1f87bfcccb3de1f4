"""Sums in a real Redis that several processes share."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from smart_router.errors import StoreUnavailable
from smart_router.sessions.counts import SUMS, TAKEN, RedisCounts
from smart_router.sessions.redis import RedisStore

from .conftest import PATIENT_MS
from .worlds import LIMITS


@pytest_asyncio.fixture
async def two(redis_url: str) -> AsyncIterator[tuple[RedisCounts, RedisCounts]]:
    """Of two processes; nothing has been counted."""
    stores = [RedisStore(redis_url, LIMITS, timeout_ms=PATIENT_MS) for _ in range(2)]
    await stores[0].counts.clear()
    yield stores[0].counts, stores[1].counts
    for store in stores:
        await store.close()


async def test_what_both_add_is_summed(two: tuple[RedisCounts, RedisCounts]) -> None:
    one, other = two
    await one.add(1, {"total": 2, "routing_s": 0.25})
    await other.add(1, {"total": 3})
    await one.add(2, {"total": 1, "models|Qwen/Qwen2.5|requests": 1})
    sums = await other.read()
    assert sums.counts == {"total": 6, "routing_s": 0.25, "models|Qwen/Qwen2.5|requests": 1}


async def test_an_addition_that_is_repeated_counts_once(two: tuple[RedisCounts, RedisCounts]) -> None:
    one, _ = two
    for _ in range(3):
        await one.add(1, {"total": 2})
    assert (await one.read()).counts == {"total": 2}


async def test_nothing_is_nothing(two: tuple[RedisCounts, RedisCounts]) -> None:
    sums = await two[0].read()
    assert (sums.counts, sums.since) == ({}, None)


async def test_what_was_cleared_begins_anew(two: tuple[RedisCounts, RedisCounts], redis_url: str) -> None:
    one, other = two
    await one.add(1, {"total": 2})
    await other.clear()
    await one.add(2, {"total": 1})
    sums = await other.read()
    assert sums.counts == {"total": 1}
    assert sums.since is not None
    assert sums.since > 1_700_000_000


async def test_every_key_has_a_time_to_live(two: tuple[RedisCounts, RedisCounts], redis_url: str) -> None:
    await two[0].add(1, {"total": 2})
    async with Redis.from_url(redis_url) as redis:
        keys = [SUMS.encode(), *[key async for key in redis.scan_iter(TAKEN + "*")]]
        assert len(keys) >= 2
        assert all([await redis.ttl(key) > 0 for key in keys])


async def test_a_key_of_another_type_is_replaced(two: tuple[RedisCounts, RedisCounts], redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.set(SUMS, "garbage")
    await two[0].add(1, {"total": 2})
    assert (await two[0].read()).counts == {"total": 2}


async def test_without_redis_every_call_says_so() -> None:
    store = RedisStore("redis://127.0.0.1:1/0", LIMITS, timeout_ms=PATIENT_MS)
    for call in (store.counts.add(1, {"total": 1}), store.counts.read(), store.counts.clear()):
        with pytest.raises(StoreUnavailable):
            await call
    await store.close()
