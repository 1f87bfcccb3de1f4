"""What of a conversation is kept, and what of it a model is sent."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.memory import TEXT_SHARE, last_said, recalled, size, trimmed
from smart_router.types import Attachment, Message
from tests.fakes import an_image

ROOM = 4096
LINK = Attachment("image", url="https://example.org/cat.png")


def said(text: str, *attachments: Attachment) -> Message:
    return Message("user", text, attachments)


def answered(text: str) -> Message:
    return Message("assistant", text)


def a_talk(exchanges: int) -> list[Message]:
    return [message for i in range(exchanges) for message in (said(f"q{i}"), answered(f"a{i}"))]


def texts(messages: tuple[Message, ...]) -> list[str]:
    return [message.text for message in messages]


def test_a_usual_message_is_kept_as_it_is() -> None:
    message = said("look", an_image())
    assert trimmed(message, ROOM) is message


def test_attached_data_beyond_half_of_the_room_become_a_note() -> None:
    found = trimmed(said("look", an_image("A" * (ROOM // 2 + 1))), ROOM)
    assert found == said("look\n[image attached earlier]")


def test_attached_data_of_half_of_the_room_are_kept() -> None:
    assert trimmed(said("look", an_image("A" * (ROOM // 2))), ROOM).attachments


def test_a_link_is_kept_where_data_go() -> None:
    assert trimmed(said("look", LINK, an_image("A" * ROOM)), ROOM).attachments == (LINK,)


def test_a_long_text_is_cut_at_its_end() -> None:
    assert trimmed(answered("a" * ROOM), ROOM).text == "a" * (ROOM // TEXT_SHARE)


def test_a_cut_never_splits_a_character() -> None:
    found = trimmed(answered("நி" * ROOM), ROOM).text
    assert set(found) <= set("நி")
    assert 0 <= ROOM // TEXT_SHARE - len(found.encode()) < 3


def test_a_trimmed_exchange_fits_into_the_room_that_it_was_trimmed_for() -> None:
    question = trimmed(said("q" * ROOM, an_image("A" * (ROOM // 2))), ROOM)
    answer = trimmed(answered("a" * ROOM), ROOM)
    assert len(recalled([question, answer], 10, ROOM, ["text", "image"])) == 2


def test_the_last_turns_are_recalled_oldest_first() -> None:
    assert texts(recalled(a_talk(5), 2, ROOM, ["text"])) == ["q3", "a3", "q4", "a4"]


def test_no_turns_recall_nothing() -> None:
    assert recalled(a_talk(5), 0, ROOM, ["text"]) == ()


def test_what_does_not_fit_makes_way_from_the_oldest_on() -> None:
    talk = a_talk(5)
    room = sum(size(message) for message in talk[-4:])
    assert texts(recalled(talk, 10, room, ["text"])) == ["q3", "a3", "q4", "a4"]


def test_a_conversation_starts_with_the_user_even_if_half_an_exchange_would_fit() -> None:
    talk = a_talk(5)
    room = sum(size(message) for message in talk[-3:])
    assert texts(recalled(talk, 10, room, ["text"])) == ["q4", "a4"]


def test_an_attachment_that_the_model_does_not_take_becomes_a_note() -> None:
    found = recalled([said("what is this?", LINK), answered("a cat")], 10, ROOM, ["text"])
    assert found[0] == said("what is this?\n[image attached earlier]")


def test_an_attachment_that_the_model_takes_is_sent_again() -> None:
    talk = [said("what is this?", an_image()), answered("a cat")]
    assert recalled(talk, 10, ROOM, ["text", "image"]) == tuple(talk)


# what the user said last


def test_what_was_said_last_is_the_users_and_not_the_answer() -> None:
    assert last_said(a_talk(3)) == "q2"


def test_what_was_said_last_may_have_no_answer_yet() -> None:
    assert last_said([*a_talk(3), said("and?")]) == "and?"


def test_of_several_messages_the_last_counts_even_if_it_has_no_words() -> None:
    assert last_said([said("look"), said("", an_image()), answered("a cat")]) == ""


def test_nothing_was_said_before_the_first_turn_nor_by_the_model_alone() -> None:
    assert (last_said(()), last_said([answered("hello")])) == ("", "")


MESSAGES = st.builds(Message, st.sampled_from(["user", "assistant"]), st.text(max_size=50))


@given(st.lists(MESSAGES, max_size=20), st.integers(0, 12), st.integers(0, 2000))
def test_what_is_recalled_is_the_end_of_the_talk_within_its_bounds(talk: list[Message], turns: int, room: int) -> None:
    found = recalled(talk, turns, room, ["text"])
    assert list(found) == talk[len(talk) - len(found) :]
    assert len(found) <= 2 * turns
    assert sum(size(message) for message in found) <= room
    assert not found or found[0].role == "user"
