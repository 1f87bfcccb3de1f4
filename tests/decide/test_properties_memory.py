"""What is kept and sent of a conversation, whatever it holds."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.memory import OVERHEAD, TEXT_SHARE, halved, recalled, size, trimmed
from smart_router.types import MEDIA_KINDS, Attachment, Message

FILES = st.lists(
    st.builds(Attachment, st.sampled_from(MEDIA_KINDS), data=st.text("A", min_size=1, max_size=300))
    | st.builds(Attachment, st.sampled_from(MEDIA_KINDS), url=st.just("https://example.org/a")),
    max_size=3,
).map(tuple)
MESSAGES = st.builds(Message, st.sampled_from(["user", "assistant"]), st.text(max_size=40), FILES)
TALKS = st.lists(MESSAGES, max_size=16)
ROOMS = st.integers(0, 4000)
ACCEPTED = st.lists(st.sampled_from(["text", *MEDIA_KINDS]), max_size=3)


@given(TALKS, st.integers(0, 10), ROOMS, ACCEPTED)
def test_the_newest_are_recalled_in_order_and_as_many_as_there_is_room_for(
    talk: list[Message], turns: int, room: int, accepts: list[str]
) -> None:
    found = recalled(talk, turns, room, accepts)
    source = talk[len(talk) - len(found) :]
    assert [message.role for message in found] == [message.role for message in source]
    assert all(now.text.startswith(then.text) for now, then in zip(found, source, strict=True))
    assert sum(map(size, source)) <= room
    assert len(found) <= 2 * turns
    assert not found or found[0].role == "user"
    left = talk[max(0, len(talk) - 2 * turns) : len(talk) - len(found)]
    for begin in range(len(left)):  # no longer end of it would do
        assert left[begin].role != "user" or sum(map(size, [*left[begin:], *source])) > room


@given(TALKS, st.integers(0, 10), ROOMS, ACCEPTED)
def test_nothing_is_sent_to_a_model_that_it_does_not_take(
    talk: list[Message], turns: int, room: int, accepts: list[str]
) -> None:
    found = recalled(talk, turns, room, accepts)
    for now, then in zip(found, talk[len(talk) - len(found) :], strict=True):
        assert now.attachments == tuple(a for a in then.attachments if a.type in accepts)
        assert now.text.count("attached earlier]") >= len(then.attachments) - len(now.attachments)


@given(MESSAGES, ROOMS)
def test_what_is_trimmed_fits_and_is_not_trimmed_again(message: Message, room: int) -> None:
    found = trimmed(message, room)
    data = sum(len(a.data or "") for a in found.attachments)
    assert len(found.text.encode()) <= max(room // TEXT_SHARE, 0)
    assert data <= room // 2
    assert [a for a in found.attachments if a.url] == [a for a in message.attachments if a.url]
    assert trimmed(found, room) == found
    assert message.text.startswith(found.text) or found.text.startswith(message.text)


@given(TALKS)
def test_the_later_half_begins_with_the_user_and_gets_shorter_until_nothing_is_left(talk: list[Message]) -> None:
    left = tuple(talk)
    while left:
        half = halved(left)
        assert half == left[len(left) - len(half) :]
        assert len(half) <= len(left) // 2
        assert not half or half[0].role == "user"
        left = half


@given(MESSAGES)
def test_a_size_is_never_less_than_what_is_counted_for_any_message(message: Message) -> None:
    assert size(message) >= OVERHEAD + len(message.text)
