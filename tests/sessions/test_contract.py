"""What every kind of session store promises."""

import asyncio

import pytest
from msgspec.structs import replace

from smart_router.sessions.base import Begun, Held, Key, Limits, Page, Position, SessionStore, Steering
from smart_router.types import Attachment, Lane, Message, Rate, Steer
from tests.fakes import a_lane, an_image

from .worlds import LIMITS, World, a_pin, an_exchange, an_owner, texts


async def history_of(store: SessionStore, key: Key) -> tuple[Message, ...]:
    return (await store.begin(key, history=True)).history


# begin and commit


async def test_it_answers(store: SessionStore) -> None:
    await store.ping()


async def test_an_unknown_session_stays_unknown(store: SessionStore, key: Key) -> None:
    assert await store.begin(key, history=True) == Begun()
    assert await store.get(key) is None
    assert await store.begin(key, history=True) == Begun()


async def test_the_first_commit_makes_the_session(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin("stt", group="gpu2"))
    assert (made.owner, made.turn, made.count) == (key.owner, 1, 1)
    assert (made.group, made.lanes) == ("gpu2", {"gpu2": a_lane("stt")})
    assert made.created == made.accessed


async def test_what_was_committed_is_found_again(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin())
    assert await store.get(key) == made
    found = (await store.begin(key, history=False)).session
    assert found is not None
    assert replace(found, count=1, accessed=made.accessed) == made


async def test_begin_counts_the_turn_of_a_known_session(world: World, key: Key) -> None:
    made = await world.store.commit(key, a_pin())
    if world.clock is not None:
        world.clock.pass_(1.0)
    begun = await world.store.begin(key, history=False)
    assert begun.session is not None
    assert begun.session.count == 2
    assert begun.session.created == made.created
    assert begun.session.accessed > made.accessed
    assert await world.store.get(key) == begun.session


async def test_a_lane_is_kept_with_all_that_it_says(store: SessionStore, key: Key) -> None:
    lane = Lane("agent", "org/model:7b", "http://[::1]:8000/über", 0.123456789)
    assert (await store.commit(key, a_pin(lane=lane))).lane == lane


async def test_the_same_choice_again_changes_no_turn(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    assert (await store.commit(key, a_pin(turn=1))).turn == 1


async def test_a_commit_does_not_count_what_begin_has_counted(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    await store.begin(key, history=False)
    assert (await store.commit(key, a_pin("stt", turn=1))).count == 2


async def test_another_choice_raises_the_turn(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin("agent"))
    moved = await store.commit(key, a_pin("stt", turn=1))
    assert (moved.turn, moved.lane.use_case) == (2, "stt")


@pytest.mark.parametrize(
    "lane",
    [a_lane("video"), a_lane(model="other"), a_lane(replica="http://b:8000")],
    ids=["use case", "model", "replica"],
)
async def test_any_part_of_the_place_is_a_change(store: SessionStore, key: Key, lane: Lane) -> None:
    await store.commit(key, a_pin())
    assert (await store.commit(key, a_pin(turn=1, lane=lane))).turn == 2


async def test_another_group_alone_is_a_change(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin(group="gpu0"))
    assert (await store.commit(key, a_pin(turn=1, group="gpu1"))).turn == 2


async def test_another_confidence_is_no_change_but_is_kept(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    surer = Lane("agent", "text-model", "http://a:8000", 0.5)
    found = await store.commit(key, a_pin(turn=1, lane=surer))
    assert (found.turn, found.lane.confidence) == (1, 0.5)


async def test_a_lane_of_another_group_is_kept_beside_the_new_one(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin("agent", group="gpu0"))
    found = await store.commit(key, a_pin("tts", turn=1, group="gpu2"))
    assert found.group == "gpu2"
    assert set(found.lanes) == {"gpu0", "gpu2"}
    assert found.lanes["gpu0"] == a_lane("agent")


# races


async def test_a_commit_with_an_old_turn_keeps_the_standing_pin(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin("agent"))
    await store.commit(key, a_pin("stt", turn=1))
    late = await store.commit(key, a_pin("video", turn=1, group="gpu1"))
    assert (late.turn, late.group) == (2, "gpu0")
    assert late.lanes == {"gpu0": a_lane("stt")}


async def test_a_commit_as_if_first_does_not_overwrite(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin("agent"))
    assert (await store.commit(key, a_pin("stt", turn=0))).lane.use_case == "agent"


async def test_of_choices_made_apart_the_later_stands_whatever_its_turn(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin("agent"))
    earlier = await store.commit(key, a_pin("stt", turn=9, chosen=made.chosen - 1))
    assert (earlier.lane, earlier.turn, earlier.chosen) == (a_lane("agent"), 1, made.chosen)
    later = await store.commit(key, a_pin("stt", turn=1, chosen=made.chosen + 1))
    assert (later.lane, later.turn, later.chosen) == (a_lane("stt"), 2, made.chosen + 1)
    assert await store.get(key) == later


async def test_of_the_same_choice_made_apart_that_of_more_turns_stands(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin())
    elsewhere = a_lane(replica="http://b:8000")
    assert (await store.commit(key, a_pin(turn=1, lane=elsewhere, chosen=made.chosen))).lane == a_lane()
    assert (await store.commit(key, a_pin(turn=2, lane=elsewhere, chosen=made.chosen))).lane == elsewhere


async def test_a_choice_made_apart_begins_a_session_that_is_unknown(store: SessionStore, key: Key) -> None:
    found = await store.commit(key, a_pin("stt", turn=3, chosen=0.0))
    assert (found.turn, found.count, found.chosen, found.lane) == (1, 1, 0.0, a_lane("stt"))


async def test_a_choice_made_apart_counts_no_turn_of_a_known_session(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin())
    assert (await store.commit(key, a_pin("stt", turn=1, chosen=made.chosen + 1))).count == 1


async def test_a_choice_is_later_than_the_one_it_follows(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin("agent"))
    await store.commit(key, a_pin("stt", turn=1, chosen=made.chosen + 1000))  # of a clock that is ahead
    follows = await store.commit(key, a_pin("video", turn=2))
    assert made.chosen + 1000 < follows.chosen < made.chosen + 1001


async def test_another_place_for_the_same_use_case_is_no_later_choice(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin())
    moved = await store.commit(key, a_pin(turn=1, lane=a_lane(replica="http://b:8000")))
    assert (moved.turn, moved.chosen) == (2, made.chosen)


async def test_a_turn_that_decides_alone_chooses_the_same_use_case_anew(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin())
    again = await store.commit(key, a_pin(turn=1, sure=True))
    assert again.turn == 1
    assert again.chosen > made.chosen


async def test_a_commit_after_the_session_was_lost_pins_anew(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin("agent"))
    await store.end(key)
    found = await store.commit(key, a_pin("stt", turn=7))
    assert (found.turn, found.count, found.lane.use_case) == (1, 1, "stt")


async def test_a_hundred_racing_first_turns_agree(store: SessionStore, key: Key) -> None:
    pins = [a_pin(lane=a_lane(replica=f"http://replica-{i}:8000")) for i in range(100)]
    begun = await asyncio.gather(*(store.begin(key, history=False) for _ in pins))
    assert begun == [Begun()] * 100
    found = await asyncio.gather(*(store.commit(key, pin) for pin in pins))
    assert len({session.lane for session in found}) == 1
    assert {session.turn for session in found} == {1}
    assert sorted(session.count for session in found) == list(range(1, 101))


async def test_a_call_that_is_cancelled_leaves_the_others_their_own_answers(store: SessionStore) -> None:
    keys = [Key(an_owner(), f"s{i}") for i in range(20)]
    for key in keys:
        await store.commit(key, a_pin(lane=a_lane(replica=key.id)))
    for key in keys:
        abandoned = asyncio.create_task(store.begin(key, history=True))
        await asyncio.sleep(0)
        abandoned.cancel()
        await asyncio.gather(abandoned, return_exceptions=True)
    found = await asyncio.gather(*(store.get(key) for key in keys))
    assert [session.lane.replica for session in found if session] == [key.id for key in keys]


# conversations


async def test_what_was_said_is_remembered_in_order(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange(1))
    store.remember(key, an_exchange(2))
    assert await history_of(store, key) == (*an_exchange(1), *an_exchange(2))


async def test_the_conversation_comes_only_when_wanted(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    assert (await store.begin(key, history=False)).history == ()


async def test_the_oldest_exchanges_make_room_for_the_latest_turns(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    for number in range(1, LIMITS.memory_turns + 3):
        store.remember(key, an_exchange(number))
    assert texts(await history_of(store, key)) == ["q3", "a3", "q4", "a4", "q5", "a5"]


async def test_the_oldest_messages_make_room_for_the_latest_bytes(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    long = "x" * (LIMITS.memory_bytes // 3)
    store.remember(key, an_exchange(1, question=long, answer=long))
    store.remember(key, an_exchange(2, question="short", answer=long))
    found = texts(await history_of(store, key))
    assert found == [long, "short", long]


async def test_a_message_longer_than_all_the_room_leaves_nothing(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange(answer="x" * (LIMITS.memory_bytes + 1)))
    assert await history_of(store, key) == ()


async def test_bytes_are_counted_and_not_characters(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange(answer="த" * (LIMITS.memory_bytes // 2)))
    assert await history_of(store, key) == ()


async def test_attachments_count_among_the_bytes(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, [Message("user", "look", (an_image("A" * LIMITS.memory_bytes),))])
    assert await history_of(store, key) == ()


async def test_attachments_are_remembered(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    link = Attachment("video", url="https://example.org/v?a=1&b=%20", media_type="video/mp4")
    said = [Message("user", "compare", (an_image(), link)), Message("assistant", "done")]
    store.remember(key, said)
    assert await history_of(store, key) == tuple(said)


@pytest.mark.parametrize(
    "text",
    ["", "नमस्ते, क्षत्रिय", "தமிழ் நிலை", "👩‍👩‍👧 emoji", 'quote " \\ \n \r \t \x00 \x7f', "\u2028\u2029", "%s {} $1"],
)
async def test_any_text_comes_back_as_it_was_said(store: SessionStore, key: Key, text: str) -> None:
    await store.commit(key, a_pin())
    store.remember(key, [Message("user", text)])
    assert texts(await history_of(store, key)) == [text]


async def test_nothing_is_remembered_of_an_unknown_session(store: SessionStore, key: Key) -> None:
    store.remember(key, an_exchange())
    assert await store.begin(key, history=True) == Begun()
    await store.commit(key, a_pin())
    assert await history_of(store, key) == ()


async def test_nothing_is_remembered_after_the_end(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange(1))
    await store.end(key)
    store.remember(key, an_exchange(2))
    await store.commit(key, a_pin())
    assert await history_of(store, key) == ()


async def test_no_turns_remember_nothing(world: World, key: Key) -> None:
    store = world.opened(Limits(memory_turns=0))
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    assert await history_of(store, key) == ()


async def test_remembering_nothing_is_fine(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, [])
    assert await history_of(store, key) == ()


# looking at a conversation


async def test_history_is_the_conversation_that_begin_would_find(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange(1))
    store.remember(key, [Message("user", "नमस्ते 👍", (an_image(),)), Message("assistant", "a2")])
    found = await store.history(key)
    assert texts(found) == ["q1", "a1", "नमस्ते 👍", "a2"]
    assert found == await history_of(store, key)


async def test_history_keeps_to_the_bounds_of_what_is_remembered(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    for number in range(1, LIMITS.memory_turns + 3):
        store.remember(key, an_exchange(number))
    assert texts(await store.history(key)) == ["q3", "a3", "q4", "a4", "q5", "a5"]


async def test_there_is_no_history_before_anything_was_said(store: SessionStore, key: Key) -> None:
    assert await store.history(key) == ()
    await store.commit(key, a_pin())
    assert await store.history(key) == ()


async def test_there_is_no_history_after_the_end(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    await store.end(key)
    assert await store.history(key) == ()


async def test_looking_at_the_history_counts_no_turn_and_makes_no_session(store: SessionStore, key: Key) -> None:
    await store.history(key)
    assert await store.get(key) is None
    made = await store.commit(key, a_pin())
    await store.history(key)
    assert await store.get(key) == made


async def test_another_owners_history_is_another(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    assert await store.history(Key(an_owner(), key.id)) == ()


async def test_history_does_not_prolong(world: World, key: Key) -> None:
    await world.store.commit(key, a_pin())
    world.store.remember(key, an_exchange())
    await world.spend(key, 40)
    await world.store.history(key)
    assert await world.left_s(key) == pytest.approx(LIMITS.ttl_s - 40, abs=5)


# the end


async def test_end_forgets_the_session_and_says_so(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    assert await store.end(key) is True
    assert await store.begin(key, history=True) == Begun()


async def test_there_is_nothing_to_end_twice(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    await store.end(key)
    assert await store.end(key) is False


async def test_an_unknown_session_cannot_be_ended(store: SessionStore, key: Key) -> None:
    assert await store.end(key) is False


# what a person asks of it


async def test_a_session_that_nobody_steered_is_as_it_comes(store: SessionStore, key: Key) -> None:
    assert (await store.commit(key, a_pin())).steer == Steer()


async def test_a_session_can_be_pinned_and_unpinned(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin())
    pinned = await store.steer(key, Steering(pinned="stt"))
    assert pinned is not None
    assert (pinned.steer.pinned, pinned.steer.bypass) == ("stt", None)
    assert replace(pinned, steer=Steer()) == made
    assert await store.get(key) == pinned
    assert (await store.begin(key, history=False)).session == replace(
        pinned, count=2, accessed=(await store.get(key) or made).accessed
    )
    unpinned = await store.steer(key, Steering(pinned=""))
    assert unpinned is not None
    assert unpinned.steer.pinned == ""
    assert unpinned.steer.pinned_at > pinned.steer.pinned_at


@pytest.mark.parametrize("bypass", [True, False])
async def test_its_bypass_is_another_thing_than_its_pin(store: SessionStore, key: Key, bypass: bool) -> None:
    await store.commit(key, a_pin())
    await store.steer(key, Steering(pinned="stt"))
    found = await store.steer(key, Steering(bypass=bypass))
    assert found is not None
    assert (found.steer.pinned, found.steer.bypass) == ("stt", bypass)
    both = await store.steer(key, Steering(pinned="tts", bypass=not bypass))
    assert both is not None
    assert (both.steer.pinned, both.steer.bypass) == ("tts", not bypass)


async def test_an_unknown_session_cannot_be_steered(store: SessionStore, key: Key) -> None:
    assert await store.steer(key, Steering(pinned="stt", bypass=False)) is None
    assert await store.get(key) is None
    assert (await store.commit(key, a_pin())).steer == Steer()


async def test_another_owners_session_cannot_be_steered(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin())
    assert await store.steer(Key(an_owner(), key.id), Steering(pinned="stt")) is None
    assert await store.get(key) == made


async def test_a_commit_does_not_lose_what_was_asked_since_its_turn_began(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin("agent"))
    begun = (await store.begin(key, history=False)).session
    assert begun is not None
    asked = await store.steer(key, Steering(pinned="stt", bypass=False))
    moved = await store.commit(key, a_pin("tts", turn=begun.turn))
    assert asked is not None
    assert (moved.lane.use_case, moved.turn, moved.steer) == ("tts", 2, asked.steer)


async def test_what_a_hundred_racing_turns_commit_leaves_the_pin_alone(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    turns = [store.commit(key, a_pin("tts" if i % 2 else "agent", turn=1 + i)) for i in range(100)]
    found = await asyncio.gather(*turns[:50], store.steer(key, Steering(pinned="stt")), *turns[50:])
    assert {session.steer.pinned for session in found[50:] if session} == {"stt"}
    session = await store.get(key)
    assert session is not None
    assert session.steer.pinned == "stt"


async def test_of_what_was_asked_apart_the_later_counts(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    asked = await store.steer(key, Steering(pinned="stt", bypass=False))
    assert asked is not None
    at = asked.steer.pinned_at
    earlier = await store.steer(key, Steering(pinned="tts", bypass=True, at=at - 1))
    assert earlier == asked
    later = await store.steer(key, Steering(pinned="tts", at=at + 1))
    assert later is not None
    assert (later.steer.pinned, later.steer.bypass) == ("tts", False)
    assert later.steer.pinned_at == pytest.approx(at + 1, abs=1e-5)
    again = await store.steer(key, Steering(pinned=""))
    assert again is not None
    assert again.steer.pinned == "", "a clock that is behind does not make it an earlier word"


async def test_what_was_asked_ends_with_the_session(store: SessionStore, key: Key) -> None:
    await store.commit(key, a_pin())
    await store.steer(key, Steering(pinned="stt", bypass=False))
    await store.end(key)
    assert (await store.commit(key, a_pin())).steer == Steer()


async def test_steering_does_not_prolong(world: World, key: Key) -> None:
    await world.store.commit(key, a_pin())
    await world.spend(key, 40)
    await world.store.steer(key, Steering(pinned="stt"))
    assert await world.left_s(key) == pytest.approx(LIMITS.ttl_s - 40, abs=5)


# which there are


async def sessions_of(world: World, owner: str, *ids: str) -> dict[str, str]:
    """Made one after the other; id -> use case."""
    made = {}
    for number, id in enumerate(ids):
        made[id] = ("agent", "stt", "tts")[number % 3]
        await world.store.commit(Key(owner, id), a_pin(made[id]))
        if world.clock is not None:
            world.clock.pass_(0.001)
    return made


async def listed(store: SessionStore, owner: str, limit: int = 50) -> list[str]:
    """All, page by page."""
    found: list[str] = []
    page = await store.page(owner, limit)
    found += [id for id, _ in page.sessions]
    while page.after is not None:
        page = await store.page(owner, limit, page.after)
        assert len(page.sessions) <= limit
        found += [id for id, _ in page.sessions]
    return found


async def test_who_has_no_session_has_an_empty_list(store: SessionStore) -> None:
    assert await store.page(an_owner(), 10) == Page()


async def test_the_list_has_the_sessions_as_they_stand_the_last_used_first(world: World, key: Key) -> None:
    await sessions_of(world, key.owner, "a", "b", "c")
    page = await world.store.page(key.owner, 10)
    assert [id for id, _ in page.sessions] == ["c", "b", "a"]
    assert page.after is None
    for id, session in page.sessions:
        assert session == await world.store.get(Key(key.owner, id))


async def test_another_turn_moves_a_session_to_the_front(world: World, key: Key) -> None:
    await sessions_of(world, key.owner, "a", "b", "c")
    await world.store.begin(Key(key.owner, "a"), history=False)
    assert await listed(world.store, key.owner) == ["a", "c", "b"]
    if world.clock is not None:
        world.clock.pass_(0.001)
    await world.store.commit(Key(key.owner, "b"), a_pin(turn=1))
    assert await listed(world.store, key.owner) == ["b", "a", "c"]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 100])
async def test_pages_hold_every_session_once(world: World, key: Key, limit: int) -> None:
    made = await sessions_of(world, key.owner, *(f"s{number}" for number in range(7)))
    assert await listed(world.store, key.owner, limit) == list(reversed(made))


async def test_the_last_page_says_that_it_is(world: World, key: Key) -> None:
    await sessions_of(world, key.owner, "a", "b")
    assert (await world.store.page(key.owner, 2)).after is None
    assert (await world.store.page(key.owner, 1)).after is not None


async def test_what_is_used_while_somebody_lists_may_be_missed_and_nothing_comes_twice(world: World, key: Key) -> None:
    await sessions_of(world, key.owner, "a", "b", "c", "d")
    first = await world.store.page(key.owner, 2)
    await world.store.begin(Key(key.owner, "b"), history=False)
    second = await world.store.page(key.owner, 2, first.after)
    assert [id for id, _ in (*first.sessions, *second.sessions)] in (["d", "c", "a"], ["d", "c", "b", "a"])


async def test_a_list_goes_on_after_a_session_that_is_gone(world: World, key: Key) -> None:
    await sessions_of(world, key.owner, "a", "b", "c", "d")
    first = await world.store.page(key.owner, 2)
    await world.store.end(Key(key.owner, "c"))
    second = await world.store.page(key.owner, 2, first.after)
    assert [id for id, _ in second.sessions] == ["b", "a"]


async def test_ended_sessions_are_not_listed(world: World, key: Key) -> None:
    await sessions_of(world, key.owner, "a", "b", "c")
    for id in ("a", "c"):
        await world.store.end(Key(key.owner, id))
    assert await listed(world.store, key.owner) == ["b"]


async def test_expired_sessions_are_not_listed(world: World, key: Key) -> None:
    await sessions_of(world, key.owner, "a", "b")
    for id in ("a", "b"):
        await world.spend(Key(key.owner, id), LIMITS.ttl_s)
        while await world.left_s(Key(key.owner, id)) > 0:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.001)
    await sessions_of(world, key.owner, "c")
    assert await listed(world.store, key.owner, 1) == ["c"]


async def test_another_owners_sessions_are_never_listed(world: World, key: Key) -> None:
    other = an_owner()
    await sessions_of(world, key.owner, "a", "b")
    await sessions_of(world, other, "b", "c")
    page = await world.store.page(key.owner, 1)
    assert await listed(world.store, key.owner) == ["b", "a"]
    assert await listed(world.store, other) == ["c", "b"]
    assert [id for id, _ in (await world.store.page(other, 10, page.after)).sessions] == []
    assert all(session.owner == other for _, session in (await world.store.page(other, 10)).sessions)


@pytest.mark.parametrize("after", [Position(0, "a"), Position(-5, ""), Position(2**53, "z" * 200), Position(1, "%$(")])
async def test_a_position_that_no_page_gave_is_somewhere_all_the_same(world: World, key: Key, after: Position) -> None:
    await sessions_of(world, key.owner, "a")
    found = await world.store.page(key.owner, 10, after)
    assert [id for id, _ in found.sessions] == (["a"] if after.at_us == 2**53 else [])


async def test_listing_neither_counts_nor_prolongs(world: World, key: Key) -> None:
    made = await world.store.commit(key, a_pin())
    await world.spend(key, 40)
    await world.store.page(key.owner, 10)
    assert await world.store.get(key) == made
    assert await world.left_s(key) == pytest.approx(LIMITS.ttl_s - 40, abs=5)


async def test_an_unknown_session_that_was_asked_for_is_not_listed(store: SessionStore, key: Key) -> None:
    await store.begin(key, history=True)
    await store.steer(key, Steering(pinned="stt"))
    assert await store.page(key.owner, 10) == Page()


# where stored responses live


async def test_a_response_is_found_where_it_is_held(store: SessionStore, key: Key) -> None:
    held = Held("s1", "org/model:7b", "http://[::1]:8000/über")
    store.hold(key, held)
    assert await store.held(key) == held


async def test_an_unknown_response_is_not_held(store: SessionStore, key: Key) -> None:
    assert await store.held(key) is None


async def test_what_is_held_last_stands(store: SessionStore, key: Key) -> None:
    for replica in "ab":
        store.hold(key, Held("s1", "m", replica))
    assert await store.held(key) == Held("s1", "m", "b")


async def test_a_response_is_its_owners_alone(store: SessionStore, key: Key) -> None:
    store.hold(key, Held("s1", "m", "a"))
    assert await store.held(Key(an_owner(), key.id)) is None


async def test_a_session_and_a_response_of_one_name_are_two_things(store: SessionStore, key: Key) -> None:
    store.hold(key, Held("s1", "m", "a"))
    assert await store.begin(key, history=True) == Begun()
    await store.commit(key, a_pin())
    await store.end(key)
    assert await store.held(key) == Held("s1", "m", "a")


async def test_a_response_is_held_for_the_ttl(world: World, key: Key) -> None:
    world.store.hold(key, Held("s1", "m", "a"))
    if world.clock is not None:
        world.clock.pass_(LIMITS.ttl_s - 1)
        assert await world.store.held(key) is not None
        world.clock.pass_(1)
        assert await world.store.held(key) is None
    if world.redis is not None:
        assert await world.store.held(key) is not None  # and so Redis has it
        assert 0 < await world.redis.ttl(f"sr:{{{key.owner}}}:r:{key.id}") <= LIMITS.ttl_s


# whose session it is


async def test_another_owners_session_of_that_name_is_another_session(store: SessionStore, key: Key) -> None:
    other = Key(an_owner(), key.id)
    await store.commit(key, a_pin("agent"))
    store.remember(key, an_exchange())
    assert await store.begin(other, history=True) == Begun()
    assert await store.end(other) is False
    await store.commit(other, a_pin("stt"))
    store.remember(other, an_exchange(9))
    found = await store.begin(key, history=True)
    assert found.session is not None
    assert found.session.lane.use_case == "agent"
    assert texts(found.history) == ["q1", "a1"]


@pytest.mark.parametrize("other", ["s12", "s", "S1", "s1:h", "h:s1", "s1*"])
async def test_a_similar_name_is_another_session(store: SessionStore, key: Key, other: str) -> None:
    await store.commit(key, a_pin("agent"))
    store.remember(key, an_exchange())
    similar = Key(key.owner, other)
    assert await store.begin(similar, history=True) == Begun()
    await store.commit(similar, a_pin("stt"))
    await store.end(similar)
    found = await store.begin(key, history=True)
    assert found.session is not None
    assert texts(found.history) == ["q1", "a1"]


# time


async def test_a_session_lives_for_the_ttl(world: World, key: Key) -> None:
    await world.store.commit(key, a_pin())
    assert await world.left_s(key) == pytest.approx(LIMITS.ttl_s, abs=5)


async def test_begin_prolongs(world: World, key: Key) -> None:
    await world.store.commit(key, a_pin())
    await world.spend(key, 40)
    await world.store.begin(key, history=False)
    assert await world.left_s(key) == pytest.approx(LIMITS.ttl_s, abs=5)


async def test_commit_prolongs(world: World, key: Key) -> None:
    await world.store.commit(key, a_pin())
    await world.spend(key, 40)
    await world.store.commit(key, a_pin(turn=1))
    assert await world.left_s(key) == pytest.approx(LIMITS.ttl_s, abs=5)


async def test_remember_prolongs(world: World, key: Key) -> None:
    await world.store.commit(key, a_pin())
    await world.spend(key, 40)
    world.store.remember(key, an_exchange())
    assert await world.left_s(key) == pytest.approx(LIMITS.ttl_s, abs=5)


async def test_get_does_not_prolong(world: World, key: Key) -> None:
    await world.store.commit(key, a_pin())
    await world.spend(key, 40)
    await world.store.get(key)
    assert await world.left_s(key) == pytest.approx(LIMITS.ttl_s - 40, abs=5)


async def test_a_session_and_its_conversation_end_together(world: World, key: Key) -> None:
    if world.clock is None:
        pytest.skip("Redis expires keys itself: test_redis.py looks at their TTLs")
    await world.store.commit(key, a_pin())
    world.store.remember(key, an_exchange())
    world.clock.pass_(LIMITS.ttl_s)
    assert await world.store.begin(key, history=True) == Begun()
    assert await world.store.end(key) is False
    await world.store.commit(key, a_pin())
    assert await history_of(world.store, key) == ()


async def test_begin_keeps_the_conversation_as_long_as_the_session(world: World, key: Key) -> None:
    await world.store.commit(key, a_pin())
    world.store.remember(key, an_exchange())
    await world.spend(key, 40)
    await world.store.begin(key, history=False)
    await world.spend(key, 40)
    assert texts(await history_of(world.store, key)) == ["q1", "a1"]


# limits


async def test_a_burst_is_admitted_and_then_nothing_that_comes_too_soon(store: SessionStore, key: Key) -> None:
    """Whether it is a turn of a session or not."""
    rate = Rate(per_minute=2, burst=3)
    found = [
        await store.admit(key.owner, rate),
        (await store.begin(key, history=False, rate=rate)).admission,
        (await store.begin(Key(key.owner, "another"), history=True, rate=rate)).admission,
        (await store.begin(key, history=True, rate=rate)).admission,
        await store.admit(key.owner, rate),
    ]
    assert [one and (one.rate, one.admitted, one.remaining) for one in found] == [
        (rate, True, 2), (rate, True, 1), (rate, True, 0), (rate, False, 0), (rate, False, 0),
    ]  # fmt: skip
    refused = found[-1]
    assert refused is not None
    assert 0 < refused.retry_after_s <= 30
    assert 60 < refused.reset_s <= 90


async def test_a_caller_without_a_limit_is_told_of_none(store: SessionStore, key: Key) -> None:
    assert (await store.begin(key, history=True)).admission is None


async def test_a_turn_that_is_not_admitted_finds_nothing_and_changes_nothing(store: SessionStore, key: Key) -> None:
    made = await store.commit(key, a_pin())
    store.remember(key, an_exchange())
    rate = Rate(per_minute=1, burst=1)
    assert (await store.admit(key.owner, rate)).admitted
    begun = await store.begin(key, history=True, rate=rate)
    assert (begun.session, begun.history) == (None, ())
    assert await store.get(key) == made
    assert len(await store.history(key)) == 2


async def test_one_callers_limit_is_not_anothers(store: SessionStore, key: Key) -> None:
    rate, other = Rate(per_minute=1, burst=1), Key(an_owner(), key.id)
    assert (await store.begin(key, history=False, rate=rate)).admission == await store.admit(other.owner, rate)
    assert not (await store.admit(key.owner, rate)).admitted


async def test_who_waited_long_enough_is_admitted_again(store: SessionStore, key: Key) -> None:
    rate = Rate(per_minute=600, burst=1)
    assert (await store.admit(key.owner, rate)).admitted
    refused = await store.admit(key.owner, rate)
    assert not refused.admitted
    await asyncio.sleep(refused.retry_after_s + 0.005)
    assert (await store.admit(key.owner, rate)).admitted


async def test_of_many_at_once_no_more_than_the_burst_are_admitted(store: SessionStore, key: Key) -> None:
    rate = Rate(per_minute=1, burst=7)
    begun = await asyncio.gather(*(store.begin(Key(key.owner, f"s{i}"), history=False, rate=rate) for i in range(20)))
    assert sum(one.admission is not None and one.admission.admitted for one in begun) == 7
