"""Conversations files: what is read, and which mistakes are told where."""

from pathlib import Path

import pytest

from smart_router.classify.base import Example, LaterExample, Said
from smart_router.classify.conversations import Conversation, load_conversations
from smart_router.errors import ConfigurationError

from .worlds import CONVERSATIONS, a_world, conversations_of


def loaded(folder: Path, text: str) -> tuple[Conversation, ...]:
    return load_conversations(a_world(folder, conversations=text))


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    start = f"{folder.resolve() / 'conversations.yaml'}: "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


def test_a_conversation_is_what_was_said_in_order(tmp_path: Path) -> None:
    text = "en: [[agent: hello, stt: {attached: audio, text: type this}]]\nhi: {w1: [[agent: क, agent: ख]]}\n"
    assert loaded(tmp_path, text) == (
        Conversation((Example("hello", "agent", "en"), Example("type this", "stt", "en", "audio"))),
        Conversation((Example("क", "agent", "hi", None, "w1"), Example("ख", "agent", "hi", None, "w1"))),
    )


def test_the_conversations_of_the_other_tests_are_of_this_form(tmp_path: Path) -> None:
    assert loaded(tmp_path, CONVERSATIONS) == conversations_of(CONVERSATIONS)


def test_every_turn_but_the_first_is_a_later_one_behind_the_one_before(tmp_path: Path) -> None:
    (conversation,) = loaded(tmp_path, "en: [[agent: one, stt: two, agent: three]]")
    one, two, three = conversation.turns
    assert list(conversation.later()) == [LaterExample(two, "agent", "one"), LaterExample(three, "stt", "two")]
    assert [later.said for later in conversation.later()] == [Said("two", "agent: one"), Said("three", "stt: two")]
    assert one.use_case == "agent"


def test_a_registry_without_conversations_has_none(tmp_path: Path) -> None:
    assert load_conversations(a_world(tmp_path)) == ()


def test_a_conversation_with_a_use_case_that_is_not_taught_is_left_out(tmp_path: Path) -> None:
    found = loaded(tmp_path, "en: [[agent: one, tts: two], [tts: one, agent: two], [agent: one, stt: two]]")
    assert [[turn.use_case for turn in one.turns] for one in found] == [["agent", "stt"]]


TOO_SHORT = "must be a list of two turns or more"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing", "must be a mapping from language"),
        ("- [agent: a, agent: b]", "must be a mapping from language"),
        ("en: hello", "en: must be a list, or a list per writer"),
        ("en: {w1: hello}", "en.w1: must be a list, or a list per writer"),
        ("5: []", "5: YAML does not read this as text"),
        ("en: [hello]", f"en[0]: {TOO_SHORT}"),
        ("en: [{agent: a}]", f"en[0]: {TOO_SHORT}"),
        ("en: [[agent: a, agent: b], []]", f"en[1]: {TOO_SHORT}"),
        ("en: [[agent: a]]", f"en[0]: {TOO_SHORT}"),
        ("en: {w1: [[agent: a]]}", f"en.w1[0]: {TOO_SHORT}"),
        ("en: [[agent: a, hello]]", "en[0][1]: must be one turn, `use_case: text`"),
        ("en: [[{agent: a, stt: b}, agent: c]]", "en[0][0]: must be one turn, `use_case: text`"),
        ("en: [[{}, agent: c]]", "en[0][0]: must be one turn, `use_case: text`"),
        ("en: [[agent: a, agent: ]]", "en[0][1].agent: must be a text"),
        ("en: [[agent: a, agent: ' ']]", "en[0][1].agent: must be a text"),
        ("en: [[agent: a, agent: 5]]", "en[0][1].agent: must be a text"),
        ("en: [[agent: a, stt: {text: b}]]", "en[0][1].stt: must be a text"),
        ("en: {w1: [[stt: {attached: pdf, text: b}, agent: a]]}", "en.w1[0][0].stt.attached: must be one of image"),
        ("en: [[agent: a", "cannot be read"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_turn(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)
