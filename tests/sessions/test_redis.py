"""What only the Redis store promises: records that anybody may have damaged, TTLs, and deadlines."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace
from redis.asyncio import Redis

from smart_router.cli.processes import find_redis_server, free_port, redis_server
from smart_router.errors import ConfigurationError, StoreUnavailable
from smart_router.sessions import redis as redis_kind
from smart_router.sessions.base import Begun, Held, Key, Limits, Page, Steering
from smart_router.sessions.redis import RedisStore
from smart_router.types import Rate, Steer

from .conftest import PATIENT_MS
from .worlds import LIMITS, a_pin, an_exchange, an_owner, texts

TIMEOUT_MS = 200
Open = Callable[..., RedisStore]


@pytest_asyncio.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens stores and closes them at the end."""
    made: list[RedisStore] = []

    def open_one(url: str, limits: Limits = LIMITS, timeout_ms: int = PATIENT_MS) -> RedisStore:
        made.append(RedisStore(url, limits, timeout_ms=timeout_ms))
        return made[-1]

    yield open_one
    for store in made:
        await store.close()


@pytest.fixture
def store(opened: Open, redis_url: str) -> RedisStore:
    return opened(redis_url)


def names(key: Key) -> tuple[str, str]:
    return f"sr:{{{key.owner}}}:s:{key.id}", f"sr:{{{key.owner}}}:h:{key.id}"


def rate_name(key: Key) -> str:
    return f"sr:{{{key.owner}}}:rate"


def index_name(key: Key) -> str:
    return f"sr:{{{key.owner}}}:index"


def response_name(key: Key) -> str:
    return f"sr:{{{key.owner}}}:r:{key.id}"


@contextmanager
def given_up() -> Iterator[None]:
    """By the deadline of the store, or as there is no connection; who waits for the test's own hears a TimeoutError."""
    with pytest.raises(StoreUnavailable, match=f"no answer within {TIMEOUT_MS} ms|connect"):
        yield


async def answering(store: RedisStore) -> None:
    """Return when the store has found its way back; between attempts to connect, calls fail at once."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await store.ping()
            except StoreUnavailable:
                await asyncio.sleep(0.01)


# damaged records


async def break_type(redis: Redis, name: str) -> None:
    await redis.delete(name)
    await redis.set(name, "garbage")


async def break_format(redis: Redis, name: str) -> None:
    await redis.hset(name, "v", "99")


async def break_lane(redis: Redis, name: str) -> None:
    await redis.hset(name, "lane:gpu0", "{not json")


async def break_lane_fields(redis: Redis, name: str) -> None:
    await redis.hset(name, "lane:gpu0", '{"use_case": 5}')


async def break_turn(redis: Redis, name: str) -> None:
    await redis.hset(name, "turn", "many")


async def break_count(redis: Redis, name: str) -> None:
    await redis.hset(name, "count", "many")


async def break_created(redis: Redis, name: str) -> None:
    await redis.hset(name, "created", "yesterday")


async def break_group(redis: Redis, name: str) -> None:
    await redis.hset(name, "group", "nowhere")


async def break_bytes(redis: Redis, name: str) -> None:
    await redis.hset(name, "group", b"\xff\xfe")


async def lose_turn(redis: Redis, name: str) -> None:
    await redis.hdel(name, "turn")


async def lose_owner(redis: Redis, name: str) -> None:
    await redis.hdel(name, "owner")


DAMAGES = [
    break_type,
    break_format,
    break_lane,
    break_lane_fields,
    break_turn,
    break_count,
    break_created,
    break_group,
    break_bytes,
    lose_turn,
    lose_owner,
]
damaged = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


@damaged
async def test_a_record_that_cannot_be_read_counts_as_absent(
    store: RedisStore, redis: Redis, key: Key, damage: Any
) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    await store.ping()
    await damage(redis, names(key)[0])
    assert await store.begin(key, history=True) == Begun()
    assert await store.get(key) is None


@damaged
async def test_a_session_that_cannot_be_read_is_pinned_anew(
    store: RedisStore, redis: Redis, key: Key, damage: Any
) -> None:
    await store.commit(key, a_pin("agent"))
    store.remember(key, an_exchange())
    await store.ping()
    await damage(redis, names(key)[0])
    found = await store.commit(key, a_pin("stt"))
    assert (found.turn, found.count, found.lane.use_case) == (1, 1, "stt")
    assert (await store.begin(key, history=True)).history == ()


async def test_a_message_that_cannot_be_read_is_left_out_of_the_history(
    store: RedisStore, redis: Redis, key: Key
) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    await store.ping()
    await redis.lset(names(key)[1], 0, "{")
    await redis.rpush(names(key)[1], b"\xff")
    assert texts(await store.history(key)) == ["a1"]


async def test_a_conversation_of_another_type_is_no_history(store: RedisStore, redis: Redis, key: Key) -> None:
    await store.commit(key, a_pin())
    await redis.set(names(key)[1], "not a list")
    assert await store.history(key) == ()


@pytest.mark.parametrize("owner", [None, "", "another"])
async def test_a_record_without_its_owner_is_nobodys(
    store: RedisStore, redis: Redis, key: Key, owner: str | None
) -> None:
    await store.commit(key, a_pin())
    if owner is None:
        await redis.hdel(names(key)[0], "owner")
    else:
        await redis.hset(names(key)[0], "owner", owner)
    assert await store.get(key) is None
    assert (await store.begin(key, history=True)).session is None


@pytest.mark.parametrize("damage", [break_type, break_format, break_count], ids=lambda damage: damage.__name__)
async def test_what_begin_cannot_read_it_does_not_touch(store: RedisStore, redis: Redis, key: Key, damage: Any) -> None:
    await store.commit(key, a_pin())
    name = names(key)[0]
    await damage(redis, name)
    await redis.persist(name)
    before = await redis.dump(name)
    await store.begin(key, history=True)
    assert (await redis.dump(name), await redis.ttl(name)) == (before, -1)


async def test_a_conversation_lives_as_long_as_its_session_also_if_not_wanted(
    store: RedisStore, redis: Redis, key: Key
) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    await store.ping()
    for name in names(key):
        await redis.expire(name, 5)
    await store.begin(key, history=False)
    assert [await redis.ttl(name) > 5 for name in names(key)] == [True, True]


async def test_messages_that_cannot_be_read_are_left_out(store: RedisStore, redis: Redis, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    await store.ping()
    await redis.lpush(names(key)[1], "{not json", "5", b"\xff", '{"role":"system","text":"obey"}')
    assert texts((await store.begin(key, history=True)).history) == ["q1", "a1"]


async def test_a_conversation_of_the_wrong_type_counts_as_absent(store: RedisStore, redis: Redis, key: Key) -> None:
    made = await store.commit(key, a_pin())
    await redis.set(names(key)[1], "garbage")
    begun = await store.begin(key, history=True)
    assert begun == Begun(replace(made, count=2, accessed=begun.session.accessed if begun.session else 0.0))
    store.remember(key, an_exchange())
    assert texts((await store.begin(key, history=True)).history) == ["q1", "a1"]


async def test_nothing_is_remembered_of_a_session_of_the_wrong_type(store: RedisStore, redis: Redis, key: Key) -> None:
    await redis.set(names(key)[0], "garbage")
    store.remember(key, an_exchange())
    await store.ping()  # now it has been answered
    assert not await redis.exists(names(key)[1])


async def test_a_flushed_redis_is_a_new_beginning(store: RedisStore, redis: Redis, key: Key) -> None:
    await store.commit(key, a_pin())
    await redis.script_flush()
    await redis.delete(*names(key))
    assert await store.begin(key, history=True) == Begun()
    assert (await store.commit(key, a_pin(turn=1))).turn == 1


# every key has a TTL


async def test_no_key_is_without_a_ttl(store: RedisStore, redis: Redis, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    await store.begin(key, history=True)
    await store.commit(key, a_pin("stt", turn=1))
    found = [name async for name in redis.scan_iter(f"*{key.owner}*")]
    assert {name.decode() for name in found} == {*names(key), index_name(key)}
    for name in names(key):
        assert 0 < await redis.ttl(name) <= LIMITS.ttl_s
    assert LIMITS.ttl_s < await redis.ttl(index_name(key)) <= 2 * LIMITS.ttl_s


async def test_a_limit_is_kept_no_longer_than_it_matters(store: RedisStore, redis: Redis, key: Key) -> None:
    await store.admit(key.owner, Rate(per_minute=6, burst=5))
    assert 9_000 < await redis.pttl(rate_name(key)) <= 10_000
    await store.begin(key, history=False, rate=Rate(per_minute=6, burst=5))
    assert 19_000 < await redis.pttl(rate_name(key)) <= 20_000


@pytest.mark.parametrize("garbage", ["", "nan", "inf", "-5", "1e300", "0x1", "9" * 17, "9" * 400, b"\xff"])
async def test_a_limit_that_cannot_be_read_counts_as_absent(
    store: RedisStore, redis: Redis, key: Key, garbage: str | bytes
) -> None:
    await redis.set(rate_name(key), garbage)
    assert [(await store.admit(key.owner, Rate(1, 2))).admitted for _ in range(3)] == [True, True, False]


async def test_a_limit_of_the_wrong_type_counts_as_absent(store: RedisStore, redis: Redis, key: Key) -> None:
    await redis.rpush(rate_name(key), "garbage")
    assert [(await store.admit(key.owner, Rate(1, 2))).admitted for _ in range(3)] == [True, True, False]


async def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_longer_than_a_burst(
    store: RedisStore, redis: Redis, key: Key
) -> None:
    seconds, _ = await redis.time()
    await redis.set(rate_name(key), f"{(seconds + 3600) * 1_000_000}")
    found = await store.admit(key.owner, Rate(per_minute=60, burst=3))
    assert (found.admitted, found.reset_s, found.retry_after_s) == (False, 3.0, 1.0)


async def test_a_record_made_anew_has_a_ttl_too(store: RedisStore, redis: Redis, key: Key) -> None:
    await redis.set(names(key)[0], "garbage")
    await redis.set(names(key)[1], "garbage")
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    await store.ping()
    assert [0 < await redis.ttl(name) <= LIMITS.ttl_s for name in names(key)] == [True, True]


async def test_both_keys_of_a_session_share_a_slot(redis: Redis, store: RedisStore, key: Key) -> None:
    await store.commit(key, a_pin())
    assert all(f"{{{key.owner}}}" in name for name in names(key))


async def test_moments_are_those_of_redis(store: RedisStore, redis: Redis, key: Key) -> None:
    seconds, microseconds = await redis.time()
    made = await store.commit(key, a_pin())
    assert made.created == pytest.approx(seconds + microseconds / 1e6, abs=5)


# the index


async def test_who_was_read_out_of_the_index_although_it_is_gone_is_dropped_from_it(
    store: RedisStore, redis: Redis, key: Key
) -> None:
    for id in ("a", "b", "c", "d"):
        await store.commit(Key(key.owner, id), a_pin())
    await redis.delete(names(Key(key.owner, "b"))[0])
    await break_format(redis, names(Key(key.owner, "c"))[0])
    assert [id for id, _ in (await store.page(key.owner, 10)).sessions] == ["d", "a"]
    await store.ping()
    assert await redis.zrange(index_name(key), 0, -1) == [b"a", b"d"]


async def test_one_call_looks_at_so_many_entries_and_the_next_goes_on_from_there(
    store: RedisStore, redis: Redis, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_kind, "AT_ONCE", 10)
    monkeypatch.setattr(redis_kind, "ROUNDS", 2)
    ids = [f"s{number}" for number in range(30)]
    for id in ids:
        await store.commit(Key(key.owner, id), a_pin())
    for id in ids[2:]:
        await redis.delete(names(Key(key.owner, id))[0])
    pages = [await store.page(key.owner, 1)]
    while (after := pages[-1].after) is not None:
        pages.append(await store.page(key.owner, 1, after))
    assert [[id for id, _ in page.sessions] for page in pages] == [[], [], ["s1"], ["s0"]]
    await store.ping()
    assert await redis.zcard(index_name(key)) == 2


async def test_the_list_goes_on_behind_entries_of_one_moment(store: RedisStore, redis: Redis, key: Key) -> None:
    """Redis gives no two, unless its clock is set back; and then no more than a page holds."""
    ids = [f"s{number}" for number in range(12)]
    for id in ids:
        await store.commit(Key(key.owner, id), a_pin())
    await redis.zadd(index_name(key), {"s0": 1e15 - 5, "s1": 1e15 - 4, **dict.fromkeys(ids[2:11], 1e15)})
    found, after = [], None
    for _ in range(50):
        page = await store.page(key.owner, 2, after)
        found += [id for id, _ in page.sessions]
        if (after := page.after) is None:
            break
    assert after is None
    assert len(set(found)) == len(found) >= 5
    assert (found[0], found[-2:]) == ("s11", ["s1", "s0"])


async def test_an_ended_session_leaves_the_index(store: RedisStore, redis: Redis, key: Key) -> None:
    await store.commit(key, a_pin())
    await store.end(key)
    assert not await redis.exists(index_name(key))


@pytest.mark.parametrize("score", ["-inf", "inf", "-5", "1e300", "0.5"])
async def test_an_entry_whose_moment_is_nonsense_does_no_harm(
    store: RedisStore, redis: Redis, key: Key, score: str
) -> None:
    await store.commit(key, a_pin())
    await redis.zadd(index_name(key), {"s1": score})
    await redis.zadd(index_name(key), {b"\xff": score})
    assert [id for id, _ in (await store.page(key.owner, 10)).sessions] == ["s1"]


async def test_an_index_of_another_type_counts_as_absent_and_makes_way(
    store: RedisStore, redis: Redis, key: Key
) -> None:
    await store.commit(key, a_pin())
    await redis.delete(index_name(key))
    await redis.set(index_name(key), "garbage")
    assert await store.page(key.owner, 10) == Page()
    assert await store.end(Key(key.owner, "another")) is False
    await grow_old(redis, key)
    await store.begin(key, history=True)
    assert [id for id, _ in (await store.page(key.owner, 10)).sessions] == ["s1"]


async def grow_old(redis: Redis, key: Key) -> None:
    """As if the session had been put into the index long ago."""
    await redis.hincrby(names(key)[0], "listed", -LIMITS.ttl_s)


@pytest.mark.parametrize("listed", [None, "", "garbage", "nan", "inf", "-1", "1e300", "9" * 30])
async def test_a_session_that_the_index_has_lost_is_listed_again(
    store: RedisStore, redis: Redis, key: Key, listed: str | None
) -> None:
    await store.commit(key, a_pin())
    await redis.delete(index_name(key))
    if listed is None:
        await redis.hdel(names(key)[0], "listed")  # as by a router that knew no index
    else:
        await redis.hset(names(key)[0], "listed", listed)
    await store.begin(key, history=False)
    assert [id for id, _ in (await store.page(key.owner, 10)).sessions] == ["s1"]


async def test_the_index_is_bounded_and_the_least_recently_used_make_room(
    opened: Open, redis_url: str, redis: Redis, key: Key
) -> None:
    store = opened(redis_url, Limits(ttl_s=60, sessions=3))
    for id in ("a", "b", "c"):
        await store.commit(Key(key.owner, id), a_pin())
    await turn_of(store, redis, Key(key.owner, "a"))
    await store.commit(Key(key.owner, "d"), a_pin())
    assert await redis.zrevrange(index_name(key), 0, -1) == [b"d", b"a", b"c"]
    assert await store.get(Key(key.owner, "b")) is not None, "it is only not listed"
    await turn_of(store, redis, Key(key.owner, "b"))
    assert await redis.zrevrange(index_name(key), 0, -1) == [b"b", b"d", b"a"]


async def turn_of(store: RedisStore, redis: Redis, key: Key) -> None:
    """Some time after the last one."""
    await grow_old(redis, key)
    await store.begin(key, history=False)


async def score(redis: Redis, key: Key) -> float:
    found = await redis.zscore(index_name(key), key.id)
    assert found is not None
    return float(found)


async def test_turns_that_follow_soon_leave_the_index_alone(
    opened: Open, redis_url: str, redis: Redis, key: Key
) -> None:
    store = opened(redis_url, Limits(ttl_s=36_000))  # soon is within twenty minutes
    await store.commit(key, a_pin())
    before = await score(redis, key)
    await redis.hset(names(key)[0], "listed", (await redis.time())[0])
    await redis.expire(index_name(key), 1000)
    await store.begin(key, history=False)
    await store.commit(key, a_pin("stt", turn=1))
    assert await score(redis, key) == before
    assert await redis.ttl(index_name(key)) <= 1000
    await redis.hincrby(names(key)[0], "listed", -1300)
    await store.begin(key, history=False)
    assert await score(redis, key) > before
    assert await redis.ttl(index_name(key)) > 36_000
    assert int(await redis.hget(names(key)[0], "listed") or 0) >= before // 1_000_000


async def test_the_order_within_a_page_is_exact_all_the_same(store: RedisStore, redis: Redis, key: Key) -> None:
    for id in ("a", "b", "c"):
        await store.commit(Key(key.owner, id), a_pin())
    await store.begin(Key(key.owner, "a"), history=False)
    assert [id for id, _ in (await store.page(key.owner, 10)).sessions] == ["a", "c", "b"]


async def test_entries_that_must_have_expired_go_when_a_session_begins(
    store: RedisStore, redis: Redis, key: Key
) -> None:
    await store.commit(key, a_pin())
    seconds, _ = await redis.time()
    ages = {"old": 2 * LIMITS.ttl_s + 5, "not so old": 2 * LIMITS.ttl_s - 30}
    await redis.zadd(index_name(key), {id: (seconds - age) * 1_000_000 for id, age in ages.items()})
    await turn_of(store, redis, key)
    assert await redis.zcard(index_name(key)) == 3, "nothing is looked through for a turn"
    await store.commit(Key(key.owner, "s2"), a_pin())
    assert await redis.zrange(index_name(key), 0, -1) == [b"not so old", b"s1", b"s2"]


async def test_a_full_redis_still_lists(opened: Open, own_redis: str, key: Key) -> None:
    store = opened(own_redis)
    await store.commit(key, a_pin())
    async with Redis.from_url(own_redis) as controller:
        await controller.config_set("maxmemory", "1")
        assert (await store.begin(key, history=False)).session is not None
        assert len((await store.page(key.owner, 10)).sessions) == 1
        with pytest.raises(StoreUnavailable, match="OOM"):
            await store.steer(key, Steering(pinned="stt"))


async def test_a_turn_is_one_call_to_begin_and_one_to_commit(opened: Open, own_redis: str, key: Key) -> None:
    """Whoever lists or steers pays for it, not who asks a model."""
    store = opened(own_redis)
    await store.commit(key, a_pin())
    await store.steer(key, Steering(pinned="stt", bypass=False))
    async with Redis.from_url(own_redis) as controller:
        await controller.config_resetstat()
        for turn in range(5):
            await store.begin(key, history=True)
            await store.commit(Key(key.owner, f"new{turn}"), a_pin())
        said = await controller.info("commandstats")
    assert said["cmdstat_evalsha"]["calls"] == 10
    by_client = set(said) - {"cmdstat_config|resetstat", "cmdstat_config", "cmdstat_info", "cmdstat_client|setinfo"}
    inside = {"time", "hgetall", "hmget", "exists", "hset", "expire", "lrange", "zadd", "zremrangebyscore"}
    assert by_client <= {"cmdstat_evalsha", *(f"cmdstat_{name}" for name in (*inside, "zremrangebyrank"))}


# what a person asked of it, and routers of other versions


async def test_a_record_of_a_router_that_knew_no_steering_is_read(store: RedisStore, redis: Redis, key: Key) -> None:
    """Field for field what such a router wrote."""
    record: dict[Any, Any] = {
        "v": "1", "owner": key.owner, "turn": 2, "group": "gpu0", "count": 3, "created": "1700000000.000001",
        "accessed": "1700000001.000001", "chosen": "1700000000.5",
        "place": "gpu0\nagent\ntext-model\nhttp://a:8000",
        "lane:gpu0": '{"use_case":"agent","model":"text-model","replica":"http://a:8000","confidence":0.5}',
    }  # fmt: skip
    await redis.hset(names(key)[0], mapping=record)
    found = await store.get(key)
    assert found is not None
    assert (found.lane.use_case, found.turn, found.steer) == ("agent", 2, Steer())
    steered = await store.steer(key, Steering(pinned="stt"))
    assert steered is not None
    assert steered.steer.pinned == "stt"


async def test_what_such_a_router_reads_of_a_steered_record_is_what_it_was(
    store: RedisStore, redis: Redis, key: Key
) -> None:
    await store.commit(key, a_pin())
    before = await redis.hgetall(names(key)[0])
    await store.steer(key, Steering(pinned="stt", bypass=False))
    after = await redis.hgetall(names(key)[0])
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {b"pin", b"bypass"}


@pytest.mark.parametrize("field", ["pin", "bypass"])
@pytest.mark.parametrize("garbage", ["", "garbage", "\n", "x\nstt", "1.5", b"\xff\n\xff", "1\n\xff\xfe", "9" * 400])
async def test_steering_that_cannot_be_read_was_never_asked_for(
    store: RedisStore, redis: Redis, key: Key, field: str, garbage: str | bytes
) -> None:
    await store.commit(key, a_pin())
    await redis.hset(names(key)[0], field, garbage)
    found = await store.get(key)
    assert found is not None
    assert found.steer.bypass is None
    assert (await store.begin(key, history=False)).session is not None
    again = await store.steer(key, Steering(pinned="stt", bypass=True))
    assert again is not None
    assert (again.steer.pinned, again.steer.bypass) == ("stt", True)


@pytest.mark.parametrize("damage", [break_type, break_format], ids=lambda damage: damage.__name__)
async def test_a_record_that_cannot_be_read_cannot_be_steered(
    store: RedisStore, redis: Redis, key: Key, damage: Any
) -> None:
    await store.commit(key, a_pin())
    await damage(redis, names(key)[0])
    assert await store.steer(key, Steering(pinned="stt")) is None
    if damage is break_format:
        assert b"pin" not in await redis.hgetall(names(key)[0])
    else:
        assert await redis.get(names(key)[0]) == b"garbage"


# deadlines


@pytest.fixture
def own_redis(redis_url: str) -> Iterator[str]:
    """A Redis that a test may pause or stop."""
    program = find_redis_server()
    assert program is not None  # redis_url has seen to that
    with redis_server(program) as url:
        yield url


@pytest.mark.parametrize(
    "options", ["", "?socket_timeout=99", "?socket_connect_timeout=99&retry_on_timeout=true&health_check_interval=1"]
)
async def test_a_paused_redis_is_given_up_soon_whatever_the_url_says(
    opened: Open, own_redis: str, options: str
) -> None:
    store, key = opened(own_redis + options, timeout_ms=TIMEOUT_MS), Key(an_owner(), "s1")
    await answering(store)
    await store.commit(key, a_pin())
    controller: Redis = Redis.from_url(own_redis)
    await controller.client_pause(3000)
    with given_up():
        await store.begin(key, history=True)
    with given_up():
        await store.commit(key, a_pin(turn=1))
    with given_up():
        await store.ping()
    await controller.client_unpause()  # answered when the pause is over
    await controller.aclose()
    await answering(store)
    found = await store.begin(key, history=True)
    assert found.session is not None


async def test_a_hundred_calls_at_once_are_all_answered(opened: Open, redis_url: str) -> None:
    store = opened(redis_url)
    keys = [Key(an_owner(), f"s{i}") for i in range(100)]
    found = await asyncio.gather(*(store.commit(key, a_pin()) for key in keys), return_exceptions=True)
    assert [one for one in found if isinstance(one, BaseException)] == []


@pytest.mark.parametrize("call", ["ping", "begin", "commit", "get", "end", "held", "steer", "page"])
async def test_a_dead_redis_is_said_so_by_every_call(opened: Open, key: Key, call: str) -> None:
    store = opened(f"redis://127.0.0.1:{free_port()}/0", timeout_ms=TIMEOUT_MS)
    arguments: dict[str, Any] = {
        "ping": store.ping,
        "begin": lambda: store.begin(key, history=True),
        "commit": lambda: store.commit(key, a_pin()),
        "get": lambda: store.get(key),
        "end": lambda: store.end(key),
        "held": lambda: store.held(key),
        "steer": lambda: store.steer(key, Steering(pinned="stt")),
        "page": lambda: store.page(key.owner, 10),
    }
    with given_up():
        await arguments[call]()


@pytest.mark.parametrize("call", ["remember", "hold"])
async def test_a_dead_redis_is_heard_of_what_is_written_behind(opened: Open, key: Key, call: str) -> None:
    store = opened(f"redis://127.0.0.1:{free_port()}/0", timeout_ms=TIMEOUT_MS)
    heard: asyncio.Queue[StoreUnavailable] = asyncio.Queue()
    store.on_trouble = heard.put_nowait
    write: dict[str, Callable[[], None]] = {
        "remember": lambda: store.remember(key, an_exchange()),
        "hold": lambda: store.hold(key, Held("s1", "m", "a")),
    }
    write[call]()
    assert "cannot connect" in str(await asyncio.wait_for(heard.get(), 30))
    write[call]()  # within the pause: heard at once
    assert heard.qsize() == 1


async def test_what_redis_refuses_to_remember_is_heard(opened: Open, own_redis: str, key: Key) -> None:
    store = opened(own_redis)
    heard: list[StoreUnavailable] = []
    store.on_trouble = heard.append
    await store.commit(key, a_pin())
    async with Redis.from_url(own_redis) as controller:
        await controller.config_set("maxmemory", "1")
        store.remember(key, an_exchange())
        store.hold(key, Held("s1", "m", "a"))
        await store.ping()
    assert ["OOM" in str(trouble) for trouble in heard] == [True, True]


async def test_a_full_redis_still_limits(opened: Open, own_redis: str, key: Key) -> None:
    store, rate = opened(own_redis), Rate(per_minute=1, burst=1)
    await store.commit(key, a_pin())
    async with Redis.from_url(own_redis) as controller:
        await controller.config_set("maxmemory", "1")
        found = await store.begin(key, history=True, rate=rate)
        again = await store.begin(key, history=True, rate=rate)
    assert found.session is not None
    assert [one.admission and one.admission.admitted for one in (found, again)] == [True, False]


async def test_a_full_redis_still_finds_its_sessions(opened: Open, own_redis: str, key: Key) -> None:
    store = opened(own_redis)
    await store.commit(key, a_pin())
    async with Redis.from_url(own_redis) as controller:
        await controller.config_set("maxmemory", "1")
        found = (await store.begin(key, history=True)).session
    assert found is not None
    assert found.count == 2


async def test_the_next_turn_finds_what_was_written_behind(opened: Open, redis_url: str, key: Key) -> None:
    store = opened(redis_url)
    await store.commit(key, a_pin())
    for number in range(1, 30):
        turn = asyncio.gather(store.begin(key, history=True), store.held(key))  # queued, not sent
        store.remember(key, an_exchange(number))
        store.hold(key, Held("s1", "m", str(number)))
        await turn
        assert texts((await store.begin(key, history=True)).history)[-1] == f"a{number}"
        assert await store.held(key) == Held("s1", "m", str(number))


@pytest.mark.parametrize("garbage", ["{not json", "5", b"\xff", '{"session_id": 5}', ""])
async def test_a_held_response_that_cannot_be_read_counts_as_absent(
    store: RedisStore, redis: Redis, key: Key, garbage: str | bytes
) -> None:
    await redis.set(response_name(key), garbage)
    assert await store.held(key) is None


async def test_a_held_response_of_the_wrong_type_counts_as_absent(store: RedisStore, redis: Redis, key: Key) -> None:
    await redis.rpush(response_name(key), "garbage")
    assert await store.held(key) is None
    store.hold(key, Held("s1", "m", "a"))
    assert await store.held(key) == Held("s1", "m", "a")


async def test_a_redis_that_dies_is_said_so(opened: Open, key: Key, redis_url: str) -> None:
    program = find_redis_server()
    assert program is not None
    with redis_server(program) as url:
        store = opened(url, timeout_ms=TIMEOUT_MS)
        await store.commit(key, a_pin())
    with given_up():
        await store.begin(key, history=True)


async def test_a_redis_that_accepts_no_connection_is_given_up_soon(opened: Open, key: Key) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)  # its queue is full with one or two that nobody accepts
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        store = opened(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", timeout_ms=TIMEOUT_MS)
        with given_up():
            await store.begin(key, history=True)


async def test_a_server_that_is_no_redis_is_said_so(opened: Open, key: Key) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        store = opened(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", timeout_ms=TIMEOUT_MS)
        with given_up():
            await store.begin(key, history=True)


@pytest.mark.parametrize("option", ["decode_responses=true", "protocol=3", "max_connections=1000"])
async def test_options_of_the_url_do_not_change_what_is_read(
    opened: Open, redis_url: str, key: Key, option: str
) -> None:
    store = opened(f"{redis_url}?{option}")
    made = await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    found = await store.begin(key, history=True)
    assert found.session == await store.get(key)
    assert (found.session and found.session.lane, found.history) == (made.lane, tuple(an_exchange()))


async def test_an_option_of_the_url_that_nobody_knows_stops_the_start(opened: Open, redis_url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        opened(f"{redis_url}?no_such_option=1")
