"""Lessons: all first turns and later ones, mixed the same way every time, with an identity."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.classify.base import Example, LaterExample, Said
from smart_router.classify.conversations import Conversation
from smart_router.classify.lessons import (
    MISTAKEN,
    STAYING,
    UNKNOWN,
    Lessons,
    fingerprint,
    inputs_sha256,
    lessons_from,
    load_lessons,
)
from tests.fakes import examples_of

from .worlds import CONVERSATIONS, EXAMPLES, LESSONS, USE_CASES, a_world, conversations_of

TALKS = conversations_of(CONVERSATIONS)
THANKS = (Example("thanks", "", "en"), Example("see you", "", "en"), Example("धन्यवाद", "", "hi"))
MANY = tuple(
    Example(f"{use_case} {language} {i}", use_case, language)
    for use_case in USE_CASES
    for language in ("en", "hi")
    for i in range(300)
)
EXAMPLE = st.builds(
    Example,
    st.text(min_size=1, max_size=5),
    st.sampled_from(USE_CASES),
    st.sampled_from(["en", "hi"]),
    st.sampled_from([None, "image", "audio"]),
    st.sampled_from(["", "w1", "w2"]),
)
CONVERSATION = st.lists(EXAMPLE, min_size=2, max_size=4).map(lambda turns: Conversation(tuple(turns)))


def spliced(examples: Sequence[Example]) -> tuple[LaterExample, ...]:
    return lessons_from(examples).later


@given(st.lists(EXAMPLE, max_size=20), st.lists(CONVERSATION, max_size=4))
def test_the_same_arguments_give_the_same_lessons(examples: list[Example], talks: list[Conversation]) -> None:
    assert lessons_from(examples, talks) == lessons_from(list(examples), tuple(talks))


def test_lessons_do_not_hang_on_the_order_of_sets_or_the_machine() -> None:
    """Stored heads rest on these: when they change, heads are trained again."""
    assert [(one.turn.text, one.standing, one.previous) for one in spliced(EXAMPLES)[:2]] == [
        ("write a python function that sorts a list", "stt", "minutes of the recording please"),
        ("write a poem about the rain", "agent", "draft a letter to the school"),
    ]


def test_first_turns_are_all_examples_and_what_is_out_of_scope() -> None:
    assert lessons_from(EXAMPLES, TALKS, THANKS).first == (*EXAMPLES, *THANKS)


def test_every_later_turn_of_a_conversation_is_a_lesson() -> None:
    real = [one for talk in TALKS for one in talk.later()]
    assert list(lessons_from(EXAMPLES, TALKS).later[: len(real)]) == real


def test_some_later_turns_are_also_shown_without_what_came_before() -> None:
    talks = [Conversation((Example(f"a {i}", "agent", "en"), Example(f"b {i}", "stt", "en"))) for i in range(1000)]
    unknown = [one for one in lessons_from((), talks).later if one.previous == ""]
    assert abs(len(unknown) / 1000 - UNKNOWN) < 0.05
    assert {(one.turn.use_case, one.standing) for one in unknown} == {("stt", "agent")}


def test_a_few_later_turns_are_also_shown_in_a_session_that_stands_wrong() -> None:
    talks = [Conversation((Example(f"a {i}", "agent", "en"), Example(f"b {i}", "stt", "en"))) for i in range(1000)]
    examples = examples_of({name: ["one"] for name in USE_CASES})
    found = [one for one in lessons_from(examples, talks).later if one.turn.text[0] == "b" and one.standing != "agent"]
    assert abs(len(found) / 1000 - MISTAKEN) < 0.02
    assert {one.standing for one in found} == set(USE_CASES) - {"agent"}
    assert all(one.previous == one.turn.text.replace("b", "a") for one in found)


def test_where_there_is_but_one_use_case_no_session_stands_wrong() -> None:
    talk = Conversation(tuple(Example(f"b {i}", "agent", "en") for i in range(200)))
    assert {one.standing for one in lessons_from(examples_of({"agent": ["one"]}), [talk]).later} == {"agent"}


# splices


def test_every_example_follows_something_unless_that_is_itself() -> None:
    found = [one.turn for one in spliced(MANY)]
    assert len(found) > 0.99 * len(MANY)
    assert found == [example for example in MANY if example in set(found)]


def test_most_of_them_stay_with_their_use_case() -> None:
    found = spliced(MANY)
    staying = [one for one in found if one.standing == one.turn.use_case]
    assert abs(len(staying) / len(found) - STAYING) < 0.05
    assert {one.standing for one in found if one not in staying} == set(USE_CASES)


def test_what_they_follow_was_said_in_the_standing_use_case_mostly_in_their_language() -> None:
    where = {example.text: example for example in MANY}
    known = [one for one in spliced(MANY) if one.previous]
    assert all(where[one.previous].use_case == one.standing for one in known)
    same = [one for one in known if where[one.previous].language == one.turn.language]
    assert 0.8 < len(same) / len(known) < 1


@given(st.lists(EXAMPLE, max_size=20))
def test_nobody_says_the_same_again(examples: list[Example]) -> None:
    assert all(one.previous != one.turn.text for one in spliced(examples))


def test_of_one_use_case_everything_stays() -> None:
    found = spliced(examples_of({"agent": [f"query {i}" for i in range(40)]}))
    assert found
    assert {one.standing for one in found} == {"agent"}


def test_conversations_too_give_what_is_followed() -> None:
    talk = Conversation((Example("hello", "stt", "en"), Example("there", "stt", "en")))
    examples = examples_of({"agent": [f"query {i}" for i in range(200)]})
    found = {one.previous for one in lessons_from(examples, [talk]).later if one.standing == "stt"}
    assert {"hello", "there"} <= found


# out of scope


def test_what_is_out_of_scope_changes_nothing_of_a_session() -> None:
    found = lessons_from(EXAMPLES, (), THANKS).later[-len(THANKS) :]
    assert [one.turn.text for one in found] == [example.text for example in THANKS]
    assert all(one.turn.use_case == one.standing and one.standing in USE_CASES for one in found)


def test_what_is_out_of_scope_leaves_the_other_later_turns_as_they_are() -> None:
    assert lessons_from(EXAMPLES, TALKS, THANKS).later[: -len(THANKS)] == lessons_from(EXAMPLES, TALKS).later


def test_what_is_out_of_scope_without_any_example_is_left_for_the_check() -> None:
    assert lessons_from((), (), THANKS).first == THANKS


# together


def test_said_and_turns_go_through_first_turns_then_later_ones() -> None:
    first, later = Example("hello", "agent", "en"), LaterExample(Example("now type", "stt", "en"), "agent", "hello")
    lessons = Lessons((first,), (later,))
    assert lessons.said == [Said("hello"), Said("now type", "agent: hello")]
    assert lessons.turns == [first, later.turn]


def test_without_a_writer_there_is_nothing_that_they_wrote() -> None:
    mine, yours = Example("a", "agent", "en", None, "me"), Example("b", "agent", "en", None, "you")
    lessons = Lessons((mine, yours), (LaterExample(mine, "agent", "b"), LaterExample(yours, "agent", "a")))
    assert lessons.without(["you"]) == Lessons((mine,), (LaterExample(mine, "agent", "b"),))
    assert lessons.without(["me", "you"]) == Lessons((), ())
    assert lessons.without([]) == lessons


def test_they_are_loaded_from_all_files_of_the_registry(tmp_path: Path) -> None:
    registry = a_world(tmp_path, conversations=CONVERSATIONS, out_of_scope="en: [thanks, see you]\nhi: [धन्यवाद]")
    assert load_lessons(registry) == lessons_from(EXAMPLES, TALKS, THANKS)


# fingerprints


def test_fingerprints_are_of_all_turns_sorted_and_once() -> None:
    found = LESSONS.fingerprints
    assert found.dtype == np.uint32
    assert found.tolist() == sorted({fingerprint(turn) for turn in LESSONS.turns})


def test_no_lessons_have_no_fingerprints() -> None:
    assert Lessons((), ()).fingerprints.tolist() == []


def test_a_fingerprint_tells_texts_use_cases_and_attachments() -> None:
    one = Example("a", "agent", "en")
    others = [replace(one, text="b"), replace(one, use_case="stt"), replace(one, attached="image")]
    assert len({fingerprint(one), *map(fingerprint, others)}) == 4
    assert fingerprint(replace(one, writer="w1", language="hi")) == fingerprint(one)


# identity


def identity(
    lessons: Lessons = LESSONS,
    use_cases: Sequence[str] = USE_CASES,
    encoder: str = "encoder",
    recipe: Sequence[float] = (1, 5.0),
) -> str:
    return inputs_sha256(lessons, use_cases, encoder, recipe)


def with_first(**changed: str) -> Lessons:
    first, *rest = LESSONS.first
    return Lessons((replace(first, **changed), *rest), LESSONS.later)  # type: ignore[arg-type]  # names of fields


def with_later(later: LaterExample) -> Lessons:
    return Lessons(LESSONS.first, (later, *LESSONS.later[1:]))


def test_the_identity_of_a_head_is_all_that_it_is_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    later, *rest = LESSONS.later
    others = {
        "fewer first": identity(Lessons(LESSONS.first[1:], LESSONS.later)),
        "another order": identity(Lessons(LESSONS.first[::-1], LESSONS.later)),
        "fewer later": identity(Lessons(LESSONS.first, tuple(rest))),
        "later as first": identity(Lessons((*LESSONS.first, later.turn), tuple(rest))),
        "text": identity(with_first(text="another")),
        "use case": identity(with_first(use_case="stt")),
        "nowhere": identity(with_first(use_case="")),
        "language": identity(with_first(language="hi")),
        "writer": identity(with_first(writer="w1")),
        "attached": identity(with_first(attached="image")),
        "later text": identity(with_later(replace(later, turn=replace(later.turn, text="another")))),
        "standing": identity(with_later(replace(later, standing="multimodal"))),
        "previous": identity(with_later(replace(later, previous="another"))),
        "use cases": identity(use_cases=USE_CASES[::-1]),
        "one more": identity(use_cases=(*USE_CASES, "tts")),
        "encoder": identity(encoder="another"),
        "recipe": identity(recipe=(1, 5.1)),
    }
    usual = identity()
    for name in ("VERSION", "DIMENSIONS"):
        with monkeypatch.context() as changed:
            changed.setattr(f"smart_router.classify.lexical.{name}", 0)
            others[name] = identity()
    assert identity() == usual
    assert len({usual, *others.values()}) == 1 + len(others)
