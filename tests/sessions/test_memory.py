"""What only the embedded store promises: its bound."""

from smart_router.sessions.base import Held, Key, Limits, Position
from smart_router.sessions.memory import EmbeddedStore
from tests.fakes import Clock

from .worlds import a_pin, an_exchange


def key(number: int) -> Key:
    return Key("ann", f"s{number}")


async def test_the_least_recently_used_session_makes_room() -> None:
    store = EmbeddedStore(Limits(sessions=3))
    for number in range(3):
        await store.commit(key(number), a_pin())
    await store.begin(key(0), history=False)
    await store.commit(key(3), a_pin())
    assert [await store.get(key(number)) is not None for number in range(4)] == [True, False, True, True]


async def test_looking_does_not_save_a_session_from_making_room() -> None:
    store = EmbeddedStore(Limits(sessions=2))
    await store.commit(key(0), a_pin())
    await store.commit(key(1), a_pin())
    await store.get(key(0))
    await store.commit(key(2), a_pin())
    assert await store.get(key(0)) is None


async def test_sessions_expire_one_by_one_in_the_order_of_use() -> None:
    clock = Clock()
    store = EmbeddedStore(Limits(ttl_s=60), monotonic=clock, wall_clock=clock)
    await store.commit(key(0), a_pin())
    clock.pass_(30)
    await store.commit(key(1), a_pin())
    clock.pass_(30)
    assert await store.get(key(0)) is None
    assert await store.get(key(1)) is not None


async def test_moments_are_those_of_the_wall_clock() -> None:
    clock = Clock(now=5.0)
    store = EmbeddedStore(Limits(), monotonic=Clock(), wall_clock=clock)
    await store.commit(key(0), a_pin())
    clock.pass_(2.5)
    found = await store.commit(key(0), a_pin(turn=1))
    assert (found.created, found.accessed) == (5.0, 7.5)


async def test_large_conversations_make_room_for_later_ones() -> None:
    store = EmbeddedStore(Limits(total_bytes=3000))
    for number in range(4):
        await store.commit(key(number), a_pin())
        store.remember(key(number), an_exchange(answer="x" * 1000))
    assert [await store.get(key(number)) is not None for number in range(4)] == [False, False, True, True]


async def test_room_is_given_back_by_sessions_that_end() -> None:
    store = EmbeddedStore(Limits(total_bytes=3000))
    for number in range(10):
        await store.commit(key(number), a_pin())
        store.remember(key(number), an_exchange(answer="x" * 1000))
        if number > 0:
            await store.end(key(number))
    assert await store.get(key(0)) is not None


async def test_the_oldest_held_responses_make_room() -> None:
    store = EmbeddedStore(Limits(sessions=2))
    for number in (0, 1, 0, 2):
        store.hold(key(number), Held("s1", "m", "a"))
    assert [await store.held(key(number)) is not None for number in range(3)] == [True, False, True]


async def listed(store: EmbeddedStore, owner: str) -> list[str]:
    return [id for id, _ in (await store.page(owner, 100)).sessions]


async def test_sessions_that_made_room_are_not_listed() -> None:
    store = EmbeddedStore(Limits(sessions=2))
    for number in range(4):
        await store.commit(key(number), a_pin())
    assert await listed(store, "ann") == ["s3", "s2"]


async def test_a_clock_that_is_set_back_does_not_change_the_order() -> None:
    clock = Clock(now=100.0)
    store = EmbeddedStore(Limits(), wall_clock=clock)
    for number in range(3):
        await store.commit(key(number), a_pin())
        clock.pass_(-10)
    assert await listed(store, "ann") == ["s2", "s1", "s0"]
    first = await store.page("ann", 1)
    assert first.after == Position(100_000_002, "s2")
    assert [id for id, _ in (await store.page("ann", 1, first.after)).sessions] == ["s1"]


async def test_nothing_is_kept_of_who_has_no_session_any_more() -> None:
    store = EmbeddedStore(Limits())
    await store.commit(key(0), a_pin())
    await store.end(key(0))
    assert not store._listing._owners
    await store.commit(key(0), a_pin())
    await store.close()
    assert await listed(store, "ann") == []
