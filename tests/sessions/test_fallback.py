"""Sessions go on in the process while Redis is away, and in Redis once it is back."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from smart_router.errors import StoreUnavailable
from smart_router.sessions import fallback
from smart_router.sessions.base import Begun, Held, Key, Limits, Pin
from smart_router.sessions.fallback import FallbackStore
from smart_router.sessions.memory import EmbeddedStore
from smart_router.types import Admission, Lane, Message, Rate, Session

KEY = Key("owner", "s1")
HELLO = (Message("user", "hello"), Message("assistant", "hi"))
MORE = (Message("user", "more"), Message("assistant", "of it"))


class Remote(EmbeddedStore):
    """In Redis's place: everything fails while it is `away`, and what needs room while it is `full`."""

    kind = "redis"
    away = False
    full = False

    async def ping(self) -> None:
        self._check()

    def begin(self, key: Key, *, history: bool, rate: Rate | None = None) -> Coroutine[Any, Any, Begun]:
        self._check()
        return super().begin(key, history=history, rate=rate)

    async def admit(self, owner: str, rate: Rate) -> Admission:
        self._check()
        return await super().admit(owner, rate)

    async def commit(self, key: Key, pin: Pin) -> Session:
        self._check()
        if self.full:
            raise StoreUnavailable("OOM")
        return await super().commit(key, pin)

    def remember(self, key: Key, messages: Sequence[Message]) -> None:
        if self.away:
            self.on_trouble(StoreUnavailable("away"))
        else:
            super().remember(key, messages)

    async def get(self, key: Key) -> Session | None:
        self._check()
        return await super().get(key)

    async def history(self, key: Key) -> tuple[Message, ...]:
        self._check()
        return await super().history(key)

    async def end(self, key: Key) -> bool:
        self._check()
        return await super().end(key)

    async def held(self, key: Key) -> Held | None:
        self._check()
        return await super().held(key)

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")


@pytest.fixture(autouse=True)
def well_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "WELL_AFTER_S", 0.0)


@pytest.fixture
def remote() -> Remote:
    return Remote(Limits())


@pytest.fixture
def store(remote: Remote) -> FallbackStore:
    return FallbackStore(remote, EmbeddedStore(Limits()))


def a_lane(model: str = "m", replica: str = "http://a") -> Lane:
    return Lane("agent", model, replica)


async def a_turn(store: FallbackStore, lane: Lane, said: Sequence[Message] = (), key: Key = KEY) -> Begun:
    """As the pipeline takes it: what it found, before its own choice was committed."""
    begun = await store.begin(key, history=True)
    if begun.session is None or begun.session.lane != lane:
        await store.commit(key, Pin("g", lane, begun.session.turn if begun.session else 0))
    if said:
        store.remember(key, said)
    return begun


async def settled(store: FallbackStore) -> None:
    """What was to be written back has been."""
    if store._writing is not None:
        await store._writing


async def test_a_session_keeps_its_model_when_redis_goes(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane("m"))
    remote.away = True
    begun = await store.begin(KEY, history=True)
    assert begun.session is not None
    assert begun.session.lane == a_lane("m")
    assert store.degraded


async def test_a_session_begins_without_redis_and_remembers(store: FallbackStore, remote: Remote) -> None:
    remote.away = True
    await a_turn(store, a_lane(), HELLO)
    begun = await a_turn(store, a_lane(), MORE)
    assert begun.session is not None
    assert begun.history == HELLO
    assert (await store.begin(KEY, history=True)).history == HELLO + MORE


async def test_what_began_without_redis_is_there_for_others_once_it_is_back(
    store: FallbackStore, remote: Remote
) -> None:
    remote.away = True
    await a_turn(store, a_lane("m"), HELLO)
    remote.away = False
    await store.get(Key("owner", "another"))  # any call that is answered
    await settled(store)
    other = FallbackStore(remote, EmbeddedStore(Limits()))
    begun = await other.begin(KEY, history=True)
    assert begun.session is not None
    assert begun.session.lane == a_lane("m")
    assert begun.history == HELLO


async def test_its_next_turn_need_not_wait_for_that(store: FallbackStore, remote: Remote) -> None:
    remote.away = True
    await a_turn(store, a_lane("m"), HELLO)
    remote.away = False
    begun = await store.begin(KEY, history=True)
    assert begun.session is not None
    assert begun.session.lane == a_lane("m")
    assert begun.history == HELLO
    await settled(store)
    assert (await store.begin(KEY, history=True)).history == HELLO, "written back once"


async def test_a_conversation_goes_on_over_an_outage(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane(), HELLO)
    remote.away = True
    await a_turn(store, a_lane(), MORE)
    remote.away = False
    assert (await store.begin(KEY, history=True)).history == HELLO + MORE


async def test_a_change_of_model_during_an_outage_is_written_back(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane("m"))
    remote.away = True
    await a_turn(store, a_lane("n"))
    remote.away = False
    await store.get(KEY)
    await settled(store)
    session = await remote.get(KEY)
    assert session is not None
    assert session.lane == a_lane("n")


async def test_a_change_of_model_during_an_outage_outlives_the_next_turn(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane("m"))
    remote.away = True
    await a_turn(store, a_lane("n"))
    remote.away = False
    begun = await store.begin(KEY, history=True)
    session = await remote.get(KEY)
    assert begun.session is not None
    assert session is not None
    assert (begun.session.lane, session.lane) == (a_lane("n"), a_lane("n"))


async def test_what_went_on_elsewhere_meanwhile_is_not_overwritten(remote: Remote) -> None:
    times = iter(range(100, 1000))
    remote._wall_clock = lambda: float(next(times))
    cut_off = FallbackStore(remote, EmbeddedStore(Limits(), wall_clock=lambda: 50.0))
    await a_turn(cut_off, a_lane("m"))
    remote.away = True
    await a_turn(cut_off, a_lane("n"))
    remote.away = False
    await a_turn(FallbackStore(remote, EmbeddedStore(Limits())), a_lane("o"))
    begun = await cut_off.begin(KEY, history=True)
    await settled(cut_off)
    assert begun.session is not None
    assert begun.session.lane == a_lane("o")


async def test_a_turn_that_changed_nothing_has_nothing_to_write_back(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane("m"))
    remote.away = True
    await store.begin(KEY, history=True)
    assert not store._changed


async def test_a_session_ended_without_redis_is_ended_there_later(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane())
    remote.away = True
    assert await store.end(KEY)
    assert await store.get(KEY) is None
    remote.away = False
    await store.get(Key("owner", "another"))
    await settled(store)
    assert await remote.get(KEY) is None


async def test_a_session_that_redis_does_not_know_is_not_kept_here(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane())
    await remote.end(KEY)  # by another router
    assert (await store.begin(KEY, history=True)).session is None
    remote.away = True
    assert (await store.begin(KEY, history=True)).session is None


async def test_an_outage_is_told_once(store: FallbackStore, remote: Remote) -> None:
    heard: list[StoreUnavailable] = []
    store.on_trouble = heard.append
    for _ in range(2):
        remote.away = True
        for _ in range(3):
            await store.begin(KEY, history=True)
        remote.away = False
        await store.begin(KEY, history=True)
        assert not store.degraded
    assert len(heard) == 2


async def test_a_store_that_fails_now_and_then_is_not_well(
    store: FallbackStore, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "WELL_AFTER_S", 60.0)
    heard: list[StoreUnavailable] = []
    store.on_trouble = heard.append
    for _ in range(3):
        remote.away = True
        await store.begin(KEY, history=True)
        remote.away = False
        await store.begin(KEY, history=True)
    assert store.degraded
    assert len(heard) == 1


async def until_well(store: FallbackStore) -> None:
    """Nobody calls the store meanwhile."""
    async with asyncio.timeout(10):
        while store.degraded:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.001)


async def test_the_end_of_an_outage_needs_no_call(
    store: FallbackStore, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "WATCH_S", 0.001)
    for _ in range(2):
        remote.away = True
        await a_turn(store, a_lane("m"), HELLO)
        await asyncio.sleep(0.02)
        assert store.degraded
        remote.away = False
        await until_well(store)
        await settled(store)
    assert (await remote.begin(KEY, history=True)).history == HELLO + HELLO


async def test_a_full_store_is_not_well_until_it_takes_what_changed(
    store: FallbackStore, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "WATCH_S", 0.001)
    heard: list[StoreUnavailable] = []
    store.on_trouble = heard.append
    remote.full = True
    begun = await a_turn(store, a_lane("m"), HELLO)
    assert begun.session is None
    for _ in range(20):
        begun = await store.begin(KEY, history=True)
        assert begun.session is not None
        assert (begun.session.lane, begun.history, store.degraded) == (a_lane("m"), HELLO, True)
        await asyncio.sleep(0.001)
    assert len(heard) == 1
    remote.full = False
    await until_well(store)
    assert (await remote.begin(KEY, history=True)).history == HELLO


async def test_closing_during_an_outage_leaves_nothing_behind(store: FallbackStore, remote: Remote) -> None:
    before = asyncio.all_tasks()
    remote.away = True
    await a_turn(store, a_lane())
    assert asyncio.all_tasks() != before
    await store.close()
    assert asyncio.all_tasks() == before


async def test_it_goes_away_while_it_is_written_back(store: FallbackStore, remote: Remote) -> None:
    remote.away = True
    await a_turn(store, a_lane("m"))
    remote.away = False
    get, calls = remote.get, iter([True, False])

    async def gone_again(key: Key) -> Session | None:
        remote.away = next(calls, False)
        return await get(key)

    remote.get = gone_again  # type: ignore[method-assign]
    begun = await store.begin(KEY, history=True)
    assert begun.session is not None, "what is here counts"
    remote.away = False
    assert (await store.begin(KEY, history=True)).session is not None
    await settled(store)
    session = await get(KEY)
    assert session is not None
    assert session.lane == a_lane("m")


async def test_what_changed_is_bounded(remote: Remote) -> None:
    store = FallbackStore(remote, EmbeddedStore(Limits(sessions=5)))
    remote.away = True
    for number in range(20):
        await a_turn(store, a_lane(), key=Key("owner", f"s{number}"))
    assert len(store._changed) == 5


async def test_where_a_response_is_kept_is_known_here_or_not_at_all(store: FallbackStore, remote: Remote) -> None:
    there, here = Key("owner", "there"), Key("owner", "here")
    store.hold(there, Held("s1", "m", "http://a"))
    remote.away = True
    await store.begin(KEY, history=False)
    store.hold(here, Held("s1", "m", "http://b"))
    found = await store.held(here)
    assert found is not None
    assert found.replica == "http://b"
    with pytest.raises(StoreUnavailable):
        await store.held(there)


# looking at a conversation


async def test_the_history_is_that_of_redis(store: FallbackStore) -> None:
    await a_turn(store, a_lane(), HELLO)
    assert await store.history(KEY) == HELLO


async def test_without_redis_the_history_is_what_was_said_meanwhile(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane(), HELLO)
    remote.away = True
    assert await store.history(KEY) == ()
    assert store.degraded
    await a_turn(store, a_lane(), MORE)
    assert await store.history(KEY) == MORE


async def test_once_an_outage_is_over_and_written_back_the_history_is_whole(
    store: FallbackStore, remote: Remote
) -> None:
    await a_turn(store, a_lane("m"), HELLO)
    remote.away = True
    await a_turn(store, a_lane("n"), MORE)
    remote.away = False
    await store.get(KEY)
    await settled(store)
    assert await store.history(KEY) == HELLO + MORE


async def test_the_history_is_whole_before_it_is_written_back(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, a_lane("m"), HELLO)
    remote.away = True
    await a_turn(store, a_lane("n"), MORE)
    remote.away = False
    assert await store.history(KEY) == HELLO + MORE


async def test_a_turn_that_begins_while_its_session_is_on_its_way_back_finds_it(
    store: FallbackStore, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.away = True
    await a_turn(store, a_lane("m"), HELLO)
    remote.away = False
    committing, may_commit, commit = asyncio.Event(), asyncio.Event(), remote.commit

    async def slowly(key: Key, pin: Pin) -> Session:
        committing.set()
        await may_commit.wait()
        return await commit(key, pin)

    monkeypatch.setattr(remote, "commit", slowly)
    await store.ping()  # it is back: the session is written back
    await committing.wait()
    begun = await store.begin(KEY, history=True)
    may_commit.set()
    await settled(store)
    assert begun.session is not None
    assert (begun.session.lane.model, begun.history) == ("m", HELLO)


# limits


async def test_while_redis_is_away_each_process_limits_for_itself(remote: Remote, store: FallbackStore) -> None:
    rate = Rate(per_minute=1, burst=2)
    assert [(await store.admit("owner", rate)).remaining for _ in range(2)] == [1, 0]
    remote.away = True
    found = [await store.admit("owner", rate), (await store.begin(KEY, history=True, rate=rate)).admission]
    assert [one and one.remaining for one in found] == [1, 0]
    assert not (await store.admit("owner", rate)).admitted


async def test_a_turn_that_is_not_admitted_does_not_make_us_forget_the_session(
    remote: Remote, store: FallbackStore
) -> None:
    rate = Rate(per_minute=1, burst=1)
    made = await store.commit(KEY, Pin("gpu0", a_lane(), 0))
    await store.admit(KEY.owner, rate)
    assert (await store.begin(KEY, history=False, rate=rate)).session is None
    remote.away = True
    assert await store.get(KEY) == made
