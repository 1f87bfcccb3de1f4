"""Sessions go on in the process while Redis is away, and in Redis once it is back."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from smart_router.errors import StoreUnavailable
from smart_router.sessions import fallback
from smart_router.sessions.base import Begun, Held, Key, Limits, Page, Pin, Position, Steering
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

    async def steer(self, key: Key, steering: Steering) -> Session | None:
        self._check()
        return await super().steer(key, steering)

    async def page(self, owner: str, limit: int, after: Position | None = None) -> Page:
        self._check()
        return await super().page(owner, limit, after)

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


def a_router(remote: Remote) -> FallbackStore:
    """Another one than `store`."""
    return FallbackStore(remote, EmbeddedStore(Limits()))


def a_lane(model: str = "m", replica: str = "http://a", use_case: str = "agent") -> Lane:
    return Lane(use_case, model, replica)


async def a_turn(
    store: FallbackStore, lane: Lane, said: Sequence[Message] = (), key: Key = KEY, *, sure: bool = False
) -> Begun:
    """As the pipeline takes it: what it found, before its own choice was committed."""
    begun = await store.begin(key, history=True)
    if begun.session is None or begun.session.lane != lane:
        await store.commit(key, Pin("g", lane, begun.session.turn if begun.session else 0, sure=sure))
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


TTS, STT, VIDEO = a_lane("t", use_case="tts"), a_lane("s", use_case="stt"), a_lane("v", use_case="video")


async def back(store: FallbackStore, remote: Remote, by: str) -> Session:
    """Redis is there again, and the session as it stands there once *store* has been heard."""
    remote.away = False
    if by == "its next turn":
        found = (await store.begin(KEY, history=False)).session
        assert found == await remote.get(KEY)
    else:
        await store.ping()
        await settled(store)
        found = await remote.get(KEY)
    assert found is not None
    return found


either_way = pytest.mark.parametrize("by", ["its next turn", "the task"])


@either_way
async def test_what_a_caller_named_where_the_session_was_unknown_outlives_what_was_chosen_before(
    store: FallbackStore, remote: Remote, by: str
) -> None:
    elsewhere = a_router(remote)
    for lane in (TTS, STT, TTS):
        await a_turn(elsewhere, lane)
    remote.away = True
    await a_turn(store, VIDEO, sure=True)
    assert (await back(store, remote, by)).lane == VIDEO


@either_way
async def test_a_guess_where_the_session_was_unknown_does_not(store: FallbackStore, remote: Remote, by: str) -> None:
    await a_turn(a_router(remote), TTS)
    remote.away = True
    await a_turn(store, VIDEO)
    assert (await back(store, remote, by)).lane == TTS


@either_way
async def test_what_a_caller_named_after_a_guess_does(store: FallbackStore, remote: Remote, by: str) -> None:
    await a_turn(a_router(remote), TTS)
    remote.away = True
    await a_turn(store, VIDEO)
    await a_turn(store, STT, sure=True)
    assert (await back(store, remote, by)).lane == STT


@either_way
@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_routers_choices_the_later_stands_whoever_is_back_first(
    remote: Remote, by: str, first: int
) -> None:
    routers = [a_router(remote), a_router(remote)]
    await a_turn(routers[0], TTS)
    await a_turn(routers[1], TTS)
    remote.away = True
    await a_turn(routers[0], STT)
    await a_turn(routers[0], VIDEO)
    await a_turn(routers[1], STT)
    await back(routers[first], remote, by)
    assert (await back(routers[1 - first], remote, by)).lane == STT


@either_way
async def test_going_to_another_replica_is_no_later_choice(store: FallbackStore, remote: Remote, by: str) -> None:
    await a_turn(store, TTS)
    await a_turn(a_router(remote), STT)
    remote.away = True
    await a_turn(store, a_lane("t", "http://b", "tts"))
    assert (await back(store, remote, by)).lane == STT


async def test_a_clock_that_is_behind_does_not_make_a_choice_an_earlier_one(remote: Remote) -> None:
    behind = FallbackStore(remote, EmbeddedStore(Limits(), wall_clock=lambda: 50.0))
    await a_turn(behind, TTS)
    remote.away = True
    await a_turn(behind, STT)
    assert (await back(behind, remote, "its next turn")).lane == STT


async def test_a_turn_that_began_without_redis_is_kept_though_it_is_back_before_its_end(
    store: FallbackStore, remote: Remote
) -> None:
    for lane in (TTS, VIDEO):
        await a_turn(a_router(remote), lane)
    remote.away = True
    assert (await store.begin(KEY, history=False)).session is None
    remote.away = False
    assert (await store.commit(KEY, Pin("g", STT, 0, sure=True))).lane == STT
    session = await remote.get(KEY)
    assert session is not None
    assert session.lane == STT


async def test_a_guess_gives_way_to_what_redis_knows_if_it_is_back_before_its_end(
    store: FallbackStore, remote: Remote
) -> None:
    await a_turn(a_router(remote), TTS)
    remote.away = True
    await store.begin(KEY, history=False)
    remote.away = False
    assert (await store.commit(KEY, Pin("g", STT, 0))).lane == TTS
    assert (await store.get(KEY)) == await remote.get(KEY)


async def test_two_choices_without_redis_outlive_its_return_between_them(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, TTS)
    remote.away = True
    await a_turn(store, STT)
    begun = await store.begin(KEY, history=False)
    assert begun.session is not None
    remote.away = False
    assert (await store.commit(KEY, Pin("g", VIDEO, begun.session.turn))).lane == VIDEO
    session = await remote.get(KEY)
    assert session is not None
    assert session.lane == VIDEO


async def test_a_turn_that_redis_answered_before_it_had_the_session_goes_on_as_it_stood_here(
    store: FallbackStore, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_turn(store, TTS)
    remote.away = True
    await a_turn(store, STT)
    remote.away = False
    answered, begin = asyncio.Event(), EmbeddedStore.begin

    async def late(self: EmbeddedStore, key: Key, *, history: bool, rate: Rate | None = None) -> Begun:
        found = await begin(self, key, history=history, rate=rate)
        await answered.wait()
        return found

    monkeypatch.setattr(remote, "begin", late.__get__(remote))
    beginning = asyncio.create_task(store.begin(KEY, history=False))
    await asyncio.sleep(0)
    written = asyncio.create_task(store._written_back(KEY))
    await asyncio.sleep(0)
    answered.set()
    begun = await beginning
    await written
    assert begun.session is not None
    assert begun.session.lane == STT


def commits_slowly(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Set are: the first once a commit has come, by us the second, for it to go on."""
    committing, may_commit, commit = asyncio.Event(), asyncio.Event(), remote.commit

    async def slowly(key: Key, pin: Pin) -> Session:
        committing.set()
        await may_commit.wait()
        return await commit(key, pin)

    monkeypatch.setattr(remote, "commit", slowly)
    return committing, may_commit


async def test_a_client_that_leaves_while_its_session_is_written_back_takes_nothing_with_it(
    store: FallbackStore, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.away = True
    await a_turn(store, TTS, HELLO)
    remote.away = False
    committing, may_commit = commits_slowly(remote, monkeypatch)
    beginning = asyncio.create_task(store.begin(KEY, history=True))
    await committing.wait()
    beginning.cancel()
    await asyncio.wait({beginning})
    may_commit.set()
    await asyncio.wait(store._underway.values())
    begun = await remote.begin(KEY, history=True)
    assert begun.session is not None
    assert (begun.session.lane, begun.history) == (TTS, HELLO)


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
    commit, calls = remote.commit, iter([True, False])

    async def gone_again(key: Key, pin: Pin) -> Session:
        remote.away = next(calls, False)
        return await commit(key, pin)

    remote.commit = gone_again  # type: ignore[method-assign]
    begun = await store.begin(KEY, history=True)
    assert begun.session is not None, "what is here counts"
    remote.away = False
    assert (await store.begin(KEY, history=True)).session is not None
    await settled(store)
    session = await remote.get(KEY)
    assert session is not None
    assert session.lane == a_lane("m")


async def test_a_session_that_made_room_for_others_here_is_not_ended_there(remote: Remote) -> None:
    store = FallbackStore(remote, EmbeddedStore(Limits(sessions=2)))
    for name in ("s1", "s2"):
        await a_turn(store, TTS, key=Key("owner", name))
    remote.away = True
    await a_turn(store, STT, key=Key("owner", "s1"))
    await store.begin(Key("owner", "s2"), history=False)
    await a_turn(store, STT, key=Key("owner", "s3"))
    remote.away = False
    await store.ping()
    await settled(store)
    sessions = [await remote.get(Key("owner", name)) for name in ("s1", "s3")]
    assert [session and session.lane for session in sessions] == [TTS, STT]


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
    committing, may_commit = commits_slowly(remote, monkeypatch)
    await store.ping()  # it is back: the session is written back
    await committing.wait()
    beginning = asyncio.create_task(store.begin(KEY, history=True))
    await asyncio.sleep(0)  # Redis has answered it
    may_commit.set()
    begun = await beginning
    await settled(store)
    assert begun.session is not None
    assert (begun.session.lane.model, begun.history) == ("m", HELLO)


# what a person asks of a session


async def test_a_pin_is_known_here_when_redis_goes(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, TTS)
    await store.steer(KEY, Steering(pinned="stt", bypass=False))
    remote.away = True
    begun = await store.begin(KEY, history=False)
    assert begun.session is not None
    assert (begun.session.steer.pinned, begun.session.steer.bypass) == ("stt", False)


@either_way
async def test_what_was_asked_without_redis_is_there_once_it_is_back(
    store: FallbackStore, remote: Remote, by: str
) -> None:
    await a_turn(store, TTS)
    remote.away = True
    asked = await store.steer(KEY, Steering(pinned="stt", bypass=False))
    assert asked is not None
    assert (asked.steer.pinned, asked.steer.bypass) == ("stt", False)
    assert await store.get(KEY) == asked
    found = await back(store, remote, by)
    assert found.steer == asked.steer
    assert found.lane == TTS


@either_way
async def test_a_session_that_began_without_redis_keeps_what_was_asked_of_it(
    store: FallbackStore, remote: Remote, by: str
) -> None:
    remote.away = True
    await a_turn(store, TTS)
    await store.steer(KEY, Steering(pinned="stt"))
    assert (await back(store, remote, by)).steer.pinned == "stt"


@either_way
async def test_what_was_asked_elsewhere_later_stands(remote: Remote, by: str) -> None:
    times = iter(range(100, 1000))
    remote._wall_clock = lambda: float(next(times))
    cut_off = FallbackStore(remote, EmbeddedStore(Limits(), wall_clock=lambda: 150.0))
    await a_turn(cut_off, TTS)
    remote.away = True
    await cut_off.steer(KEY, Steering(pinned="stt"))
    await cut_off.steer(KEY, Steering(bypass=False))
    remote.away = False
    times = iter(range(200, 1000))
    await a_router(remote).steer(KEY, Steering(pinned="video"))
    found = await back(cut_off, remote, by)
    assert (found.steer.pinned, found.steer.bypass) == ("video", False)


async def test_a_pin_that_is_asked_for_before_all_is_written_back_is_not_lost(
    store: FallbackStore, remote: Remote
) -> None:
    await a_turn(store, TTS)
    remote.away = True
    await a_turn(store, STT)
    remote.away = False
    asked = await store.steer(KEY, Steering(pinned="video"))
    there = await remote.get(KEY)
    assert asked is not None
    assert there is not None
    assert (asked.steer.pinned, there.steer.pinned, there.lane) == ("video", "video", STT)


async def test_it_goes_away_while_what_was_asked_is_written_back(store: FallbackStore, remote: Remote) -> None:
    await a_turn(store, TTS)
    remote.away = True
    await store.steer(KEY, Steering(pinned="stt"))
    remote.away = False
    commit = remote.commit

    async def the_last(key: Key, pin: Pin) -> Session:
        session = await commit(key, pin)
        remote.away = True
        return session

    remote.commit = the_last  # type: ignore[method-assign]
    await store.begin(KEY, history=False)
    remote.commit = commit  # type: ignore[method-assign]
    assert (await back(store, remote, "its next turn")).steer.pinned == "stt"


async def test_without_redis_a_session_that_is_not_known_here_is_unknown(store: FallbackStore, remote: Remote) -> None:
    await a_turn(a_router(remote), TTS)
    remote.away = True
    assert await store.steer(KEY, Steering(pinned="stt")) is None
    remote.away = False
    assert (await back(store, remote, "the task")).steer.pinned == ""


# which sessions there are


def ids(page: Page) -> list[str]:
    return [id for id, _ in page.sessions]


async def test_the_list_is_that_of_redis(store: FallbackStore, remote: Remote) -> None:
    await a_turn(a_router(remote), TTS, key=Key("owner", "s0"))
    await a_turn(store, TTS)
    assert ids(await store.page("owner", 10)) == ["s1", "s0"]


async def test_without_redis_the_list_is_what_is_known_here(store: FallbackStore, remote: Remote) -> None:
    await a_turn(a_router(remote), TTS, key=Key("owner", "s0"))
    await a_turn(store, TTS)
    remote.away = True
    await a_turn(store, STT, key=Key("owner", "s2"))
    assert ids(await store.page("owner", 10)) == ["s2", "s1"]
    assert store.degraded


async def test_a_list_that_was_begun_with_redis_goes_on_without_it_and_back(
    store: FallbackStore, remote: Remote
) -> None:
    for number in range(6):
        await a_turn(store, TTS, key=Key("owner", f"s{number}"))
    first = await store.page("owner", 2)
    remote.away = True
    second = await store.page("owner", 2, first.after)
    remote.away = False
    third = await store.page("owner", 2, second.after)
    assert [ids(page) for page in (first, second, third)] == [["s5", "s4"], ["s3", "s2"], ["s1", "s0"]]


async def test_what_changed_here_is_listed_as_it_stands_here(
    store: FallbackStore, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in ("s1", "s2", "s3"):
        await a_turn(store, TTS, key=Key("owner", id))
    remote.away = True
    await a_turn(store, STT, key=Key("owner", "s1"))
    await store.end(Key("owner", "s2"))
    remote.away = False
    monkeypatch.setattr(fallback, "WELL_AFTER_S", 60.0)  # nothing is written back yet
    page = await store.page("owner", 10)
    assert {id: session.lane for id, session in page.sessions} == {"s3": TTS, "s1": STT}


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
