"""What a conversation tells: the same for its later turns, another for other people's, nothing that is not said."""

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.api.body import read_head
from smart_router.api.conversation import DISTINCTIVE, Turn, derived_session, last_turn
from smart_router.errors import BadRequest

QUESTION = "How do I sort a list in Python?"
ANSWER = "Call its method sort, or the function sorted."


def turn(**body: Any) -> Turn:
    return last_turn(read_head(json.dumps(body).encode()))


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def user(content: Any) -> dict[str, Any]:
    return said("user", content)


def part(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


def text(words: str, kind: str = "text") -> dict[str, Any]:
    return part(kind, text=words)


PICTURE = part("image_url", image_url={"url": "data:image/png;base64,AAAA"})
SOUND = part("input_audio", input_audio={"data": "AAAA", "format": "wav"})
FILM = part("video_url", video_url={"url": "http://x/y.mp4"})
ANTHROPIC_PICTURE = part("image", source={"type": "base64", "media_type": "image/png", "data": "AAAA"})


def tool_result(content: Any) -> dict[str, Any]:
    return part("tool_result", tool_use_id="t1", content=content)


TOOL_USE = said("assistant", [part("tool_use", id="t1", name="look", input={})])

# the last turn


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"messages": [user("Hi")]}, "Hi"),
        ({"messages": [said("system", "Be brief"), user("Hi"), said("assistant", "Hello"), user("Why?")]}, "Why?"),
        ({"messages": [user([text("a"), PICTURE, text("b")])]}, "a\nb"),
        ({"messages": [user(["a", "b"])]}, "a\nb"),
        ({"messages": [user("Hi"), said("assistant", "I think")]}, "Hi"),
        ({"messages": [user("Hi"), said("assistant", None), said("tool", "42", tool_call_id="c1")]}, "Hi"),
        ({"messages": [user("Look"), TOOL_USE, user([tool_result("42")])]}, "Look"),
        ({"messages": [user("Look"), TOOL_USE, user([tool_result("42"), text("And now?")])]}, "And now?"),
        ({"messages": [said("system", "Be brief")]}, ""),
        ({"messages": []}, ""),
        ({"messages": None}, ""),
        ({}, ""),
        ({"input": "Hi"}, "Hi"),
        ({"input": [user("Hi"), said("assistant", "Hello"), user([text("Why?", "input_text")])]}, "Why?"),
        ({"input": [{"type": "message", "role": "user", "content": "Hi"}]}, "Hi"),
        ({"input": [{"content": "Hi"}]}, "Hi"),
        ({"input": [user("Hi"), part("reasoning", summary=[], content=[text("Hm", "reasoning_text")])]}, "Hi"),
        ({"input": [user("Hi"), part("function_call", call_id="c", name="f", arguments="{}"),
                    part("function_call_output", call_id="c", output="42")]}, "Hi"),
        ({"input": [part("function_call_output", call_id="c", output="42")]}, ""),
        ({"prompt": "Once upon a time"}, "Once upon a time"),
        ({"prompt": ["Once", "Twice"]}, "Twice"),
        ({"prompt": [1, 2, 3]}, ""),
        ({"prompt": [[1, 2], [3]]}, ""),
    ],
)  # fmt: skip
def test_the_last_turn_is_what_the_user_said_last(body: dict[str, Any], found: str) -> None:
    assert turn(**body).text == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"messages": [user("Hi")]}, ""),
        ({"messages": [user("Hi"), said("assistant", "Hello"), user("Why?")]}, "Hi"),
        ({"messages": [user("a"), user("b"), user("c")]}, "b"),
        ({"messages": [user([text("a"), PICTURE, text("b")]), said("assistant", "A cat"), user("Why?")]}, "a\nb"),
        ({"messages": [user([PICTURE]), said("assistant", "A cat"), user("Why?")]}, ""),
        ({"messages": [said("system", "Be brief"), said("assistant", "Hello"), user("Hi")]}, ""),
        ({"messages": [user("Look"), TOOL_USE, user([tool_result("42")])]}, ""),
        ({"messages": [user("Look"), TOOL_USE, user([tool_result("42")]), said("assistant", "42"), user("Why?")]},
         "Look"),
        ({"messages": [user("Look"), TOOL_USE, user([tool_result("42"), text("And now?")])]}, "Look"),
        ({"input": [user("Hi"), said("assistant", "Hello"), user([text("Why?", "input_text")])]}, "Hi"),
        ({"input": "Hi"}, ""),
        ({"prompt": "Once upon a time"}, ""),
        ({"messages": []}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_turn_before_is_what_the_user_had_said(body: dict[str, Any], found: str) -> None:
    assert turn(**body).previous == found


@pytest.mark.parametrize(
    ("body", "media", "carried"),
    [
        ({"messages": [user([text("Look"), PICTURE])]}, {"image"}, set()),
        ({"messages": [user([PICTURE, SOUND, FILM])]}, {"image", "audio", "video"}, set()),
        ({"messages": [user([PICTURE]), said("assistant", "A cat"), user("Why?")]}, set(), {"image"}),
        ({"messages": [user([PICTURE]), said("assistant", "A cat"), user([SOUND])]}, {"audio"}, {"image"}),
        ({"messages": [user("Look"), said("assistant", None), said("tool", [PICTURE])]}, {"image"}, set()),
        ({"messages": [user([text("Look"), ANTHROPIC_PICTURE])]}, {"image"}, set()),
        ({"messages": [user("Look"), TOOL_USE, user([tool_result([ANTHROPIC_PICTURE])])]}, {"image"}, set()),
        ({"messages": [user("Look"), TOOL_USE, user([tool_result([ANTHROPIC_PICTURE])]), said("assistant", "A cat"),
                       user("Why?")]}, set(), {"image"}),
        ({"messages": [user([tool_result([ANTHROPIC_PICTURE])])]}, {"image"}, set()),
        ({"input": [user([text("Look", "input_text"), part("input_image", image_url="http://x/y")])]},
         {"image"}, set()),
        ({"input": [user("Look"), part("function_call_output", call_id="c", output=[part("input_image")])]},
         {"image"}, set()),
        ({"input": [part("function_call_output", call_id="c", output=[part("input_image")])]}, {"image"}, set()),
        ({"messages": [user([part("hologram"), "a"])]}, set(), set()),
        ({"messages": [user("image_url")]}, set(), set()),
        ({"input": "Hi"}, set(), set()),
    ],
)  # fmt: skip
def test_media_of_the_last_turn_are_told_from_those_that_are_carried_along(
    body: dict[str, Any], media: set[str], carried: set[str]
) -> None:
    found = turn(**body)
    assert (set[str](found.media), set[str](found.carried)) == (media, carried)


@pytest.mark.parametrize("odd", [5, {"a": 1}, {"type": 5}, [5], [{"type": 5}], [None], "x", None, True])
def test_what_a_tool_says_is_read_or_let_be(odd: Any) -> None:
    results = [user([tool_result(odd), text("And?")])]
    assert turn(messages=results).text == "And?"
    assert turn(input=[user("Hi"), part("computer_call_output", output=odd)]).text == "Hi"


# garbage


@pytest.mark.parametrize("field", ["messages", "input", "prompt"])
@pytest.mark.parametrize("odd", [5, True, {"a": 1}, [None], [5.5], [{"role": 5}], [{"content": 5}], [{"content": [5]}]])
def test_what_cannot_be_read_names_its_field(field: str, odd: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        turn(**{field: odd})
    assert refused.value.message.startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["system", "instructions"])
def test_a_system_prompt_that_cannot_be_read_is_named(field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        turn(messages=[user(QUESTION)], **{field: 5})
    assert refused.value.message.startswith(f"{field}: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["user", "text", "Hi"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "output", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(field=st.sampled_from(["messages", "input", "prompt", "system", "instructions", "user"]), odd=JSON)
def test_any_json_is_read_or_refused(field: str, odd: Any) -> None:
    try:
        turn(**({"messages": [user(QUESTION)]} | {field: odd}))
    except BadRequest as refused:
        assert refused.message.startswith(f"{field}: ")


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'[{"content":', b"}]"), (b'[{"a":', b"}]")])
@pytest.mark.parametrize("field", [b"messages", b"input", b"prompt"])
def test_what_is_nested_deeply_is_read_or_refused(field: bytes, begin: bytes, end: bytes) -> None:
    for depth in range(10, 1000, 30):
        deep = b'{"%b":%b1%b}' % (field, begin * depth, end * depth)
        with contextlib.suppress(BadRequest):
            last_turn(read_head(deep))


# whose conversation it is


def session(caller: str = "ann", **body: Any) -> str | None:
    return derived_session(caller, turn(**body).opening)


LATER = [said("assistant", ANSWER), user("And backwards?")]


@pytest.mark.parametrize("field", ["messages", "input"])
def test_later_turns_have_the_session_of_the_first(field: str) -> None:
    def of(messages: list[Any]) -> str | None:
        return derived_session("ann", turn(**{field: messages}).opening)

    begun: list[Any] = [said("system", "Be brief"), user(QUESTION)]
    first = of(begun)
    assert first
    longer = list(begun)
    for more in [*LATER, said("assistant", "Reverse it."), said("tool", "x"), user("Thanks")]:
        longer.append(more)
        assert of(longer) == first


@given(
    opening=st.lists(st.tuples(st.sampled_from(["system", "developer"]), st.text(max_size=8)), max_size=2),
    first=st.text(min_size=DISTINCTIVE, max_size=20),
    later=st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), st.text(max_size=20)), max_size=4),
)
def test_whatever_comes_later_does_not_change_the_session(
    opening: list[tuple[str, str]], first: str, later: list[tuple[str, str]]
) -> None:
    begun = [*(said(role, words) for role, words in opening), user(first)]
    assert session(messages=[*begun, *(said(role, words) for role, words in later)]) == session(messages=begun)


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [user(QUESTION + " ")]},
        {"messages": [said("system", "Be brief"), user(QUESTION)]},
        {"messages": [user(QUESTION)], "system": "Be brief"},
        {"messages": [user(QUESTION)], "user": "ann"},
        {"messages": [user("Hello there, you"), user(QUESTION)]},
    ],
)
def test_another_opening_is_another_session(other: dict[str, Any]) -> None:
    found = session(**other)
    assert found
    assert found != session(messages=[user(QUESTION)])


def test_another_caller_has_another_session() -> None:
    assert session("ann", messages=[user(QUESTION)]) != session("bob", messages=[user(QUESTION)])
    assert session(messages=[user(QUESTION)], user="a") != session(messages=[user(QUESTION)], user="b")


def test_the_same_words_in_other_forms_are_the_same_session() -> None:
    plain = session(messages=[user(QUESTION)])
    assert session(messages=[user([text(QUESTION)])]) == plain
    assert session(input=QUESTION) == plain
    assert session(input=[user([text(QUESTION, "input_text")])]) == plain


def test_a_system_prompt_in_its_own_field_may_have_parts() -> None:
    words = session(messages=[user(QUESTION)], system="Be brief")
    assert session(messages=[user(QUESTION)], system=[text("Be brief")]) == words
    assert words != session(messages=[user(QUESTION)], system="Be long")


@pytest.mark.parametrize("words", ["", "Hi", "x" * (DISTINCTIVE - 1)])
def test_a_short_first_message_tells_a_session_only_with_its_answer(words: str) -> None:
    assert session(messages=[user(words)]) is None
    assert session(messages=[user(words), said("assistant", "Hello"), user(QUESTION)]) is None
    answered = [user(words), said("assistant", ANSWER), user("And?")]
    found = session(messages=answered)
    assert found
    assert session(messages=[*answered, said("assistant", "No"), user("But?")]) == found
    assert session(messages=[user(words), said("assistant", ANSWER + "!"), user("And?")]) != found


def test_no_two_openings_run_into_one_another() -> None:
    """Where one text ends and another begins counts, whatever is in them."""
    openings = [("a", "b\0c"), ("a\0b", "c"), ("a\0b\0c",), ("a", "b", "c"), ("a", "b", "c", ""), ("", "a", "b", "c")]
    assert len({derived_session("ann", opening) for opening in openings}) == len(openings)
    answered = session(messages=[user("Be brief"), said("assistant", QUESTION), user("And?")])
    asked = session(messages=[said("system", "Be brief"), user(QUESTION)])
    assert answered != asked


def test_nothing_to_go_by_is_no_session() -> None:
    assert derived_session("ann", ()) is None
    assert session(messages=[]) is None
    assert session(prompt=[1, 2, 3]) is None


def test_a_session_tells_nothing_of_what_was_said() -> None:
    found = session(messages=[said("system", "Be brief"), user(QUESTION)], user="jane@example.org")
    assert found is not None
    assert re.fullmatch("c-[0-9a-f]{32}", found)
