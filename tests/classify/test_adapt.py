"""Taught heads follow changed lessons, and keep what they knew."""

from collections.abc import Sequence

import numpy as np
import pytest

from smart_router.classify import adapt
from smart_router.classify.adapt import adapted, to_repeat
from smart_router.classify.base import Example, LaterExample, Query
from smart_router.classify.head import Head, Linear
from smart_router.classify.lessons import Lessons
from smart_router.classify.scorer import Scorer
from smart_router.classify.train import Hybrids
from tests.fakes import FakeEncoder, examples_of

from .worlds import EXAMPLES, LESSONS, USE_CASES, a_head, best, columns_of

ENCODER = FakeEncoder()
LIMERICK = Example("write a limerick", "stt", "en")  # which its words would not lead to
SPOKEN = examples_of(
    {
        "tts": (
            "read this aloud",
            "say it in a warm voice",
            "speak the text",
            "pronounce this word",
            "read the letter aloud to me",
        )
    }
)


@pytest.fixture(scope="module")
def head() -> Head:
    return a_head(encoder=ENCODER)


def after(head: Head, lessons: Lessons, use_cases: Sequence[str] = USE_CASES) -> Hybrids:
    return adapted(head, lessons, use_cases, ENCODER.encode(lessons.said))


def decided(linear: Linear | None, query: Query, use_cases: Sequence[str] = USE_CASES) -> str:
    assert linear is not None
    return best(linear, use_cases, query, ENCODER.encode([query.said])[0])


def mistakes(linear: Linear, use_cases: Sequence[str] = USE_CASES) -> list[str]:
    """The known examples that are not where they belong."""
    known = [example for example in EXAMPLES if example.use_case in use_cases]
    return [one.text for one in known if decided(linear, Query(one.text), use_cases) != one.use_case]


def later_query(one: LaterExample) -> Query:
    return Query(one.turn.text, (), one.standing, one.previous)


def test_an_added_example_moves_its_decision_and_no_other(head: Head) -> None:
    query = Query(LIMERICK.text)
    assert decided(head.first.hybrid, query) == "agent"
    first, _ = after(head, Lessons((*LESSONS.first, LIMERICK), LESSONS.later))
    assert decided(first, query) == "stt"
    assert mistakes(first) == []


def test_an_added_later_turn_moves_its_decision_and_no_other(head: Head) -> None:
    added = LaterExample(Example("now a limerick", "stt", "en"), "agent", "write a poem")
    assert decided(head.later.hybrid, later_query(added)) == "agent"
    first, later = after(head, Lessons(LESSONS.first, (*LESSONS.later, added)))
    assert decided(later, later_query(added)) == "stt"
    assert all(decided(later, later_query(one)) == one.turn.use_case for one in LESSONS.later)
    assert decided(first, Query("now a limerick")) == decided(head.first.hybrid, Query("now a limerick"))


def test_a_new_use_case_can_be_chosen_and_takes_nothing_away(head: Head) -> None:
    use_cases = ("tts", *USE_CASES)
    later = tuple(LaterExample(example, "agent", "") for example in SPOKEN)
    lessons = Lessons((*LESSONS.first, *SPOKEN), (*LESSONS.later, *later))
    first, then = after(head, lessons, use_cases)
    assert decided(first, Query("read it aloud please"), use_cases) == "tts"
    assert decided(then, Query("read it aloud please", (), "agent"), use_cases) == "tts"
    assert mistakes(first, use_cases) == []


def test_a_new_use_case_is_unlikely_until_it_is_learnt(head: Head) -> None:
    use_cases = ("tts", *USE_CASES)
    for linear, standing in zip(after(head, Lessons((), ()), use_cases), (None, "tts"), strict=True):
        query = Query("read it aloud", (), standing)
        assert Scorer(linear, use_cases)(query, ENCODER.encode([query.said])[0])["tts"] < 0.01


def test_a_new_use_case_that_no_later_turn_has_is_unlikely_then(head: Head) -> None:
    use_cases = (*USE_CASES, "tts")
    _, later = after(head, Lessons((*LESSONS.first, *SPOKEN), LESSONS.later), use_cases)
    scores = Scorer(later, use_cases)(Query("read it aloud", (), "tts"), ENCODER.encode([Query("read it").said])[0])
    assert scores["tts"] < 0.01


def test_a_removed_use_case_disappears_and_takes_nothing_away(head: Head) -> None:
    use_cases = ("stt", "agent")
    kept = tuple(example for example in LESSONS.first if example.use_case in use_cases)
    first, later = after(head, Lessons(kept, ()), use_cases)
    assert mistakes(first, use_cases) == []
    assert later.standing is not None
    assert [part.shape[1] for part in (first.sparse, first.attached, later.sparse, later.standing)] == [2] * 4
    assert (first.bias.shape, later.standing.shape) == ((2,), (2, 2))


def test_use_cases_may_change_their_places(head: Head) -> None:
    turned = USE_CASES[::-1]
    first, later = after(head, Lessons((), ()), turned)
    for linear, before, standing in ((first, head.first.hybrid, None), (later, head.later.hybrid, "stt")):
        assert before is not None
        query = Query("and the photo", ("image",), standing)
        embedding = ENCODER.encode([query.said])[0]
        assert Scorer(linear, turned)(query, embedding) == pytest.approx(Scorer(before, USE_CASES)(query, embedding))


def test_nothing_new_changes_nothing(head: Head) -> None:
    for found, before in zip(after(head, Lessons((), ())), (head.first.hybrid, head.later.hybrid), strict=True):
        assert before is not None
        np.testing.assert_allclose(found.sparse, before.sparse, atol=1e-6)
        assert found.bias.tolist() == before.bias.tolist()
        assert found.temperature == before.temperature


def test_the_same_lessons_move_the_same_way(head: Head) -> None:
    one, other = (after(head, LESSONS) for _ in range(2))
    assert [linear.sparse.tobytes() for linear in one] == [linear.sparse.tobytes() for linear in other]


def test_words_that_are_not_in_the_lessons_keep_their_weight(head: Head) -> None:
    assert head.first.hybrid is not None
    lessons = Lessons((*EXAMPLES[:10], LIMERICK), ())
    first, _ = after(head, lessons)
    moved = np.abs(first.sparse - head.first.hybrid.sparse).max(axis=1)
    there = np.unique(np.concatenate([columns_of(example.text) for example in lessons.first]))
    step = np.abs(first.sparse).max() / 127
    assert np.delete(moved, there).max() <= step
    assert moved[columns_of("limerick")].max() > 2 * step


def test_what_belongs_nowhere_draws_to_no_use_case(head: Head) -> None:
    assert head.first.hybrid is not None
    thanks = Example("transcribe this recording", "", "en")
    query = Query(thanks.text)
    embedding = ENCODER.encode([query.said])[0]
    first, _ = after(head, Lessons((thanks,), ()))
    sure = [Scorer(linear, USE_CASES)(query, embedding)["stt"] for linear in (head.first.hybrid, first)]
    assert sure[1] < sure[0]


# what is repeated


def test_new_lessons_are_all_repeated_and_known_ones_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt, "SAMPLE", 10)
    added = LaterExample(Example("now a limerick", "stt", "en"), "agent", "write a poem")
    lessons = Lessons((*LESSONS.first, LIMERICK), (*LESSONS.later, added))
    found = to_repeat(lessons, LESSONS.fingerprints)
    assert found.first[-1] == LIMERICK
    assert found.later[-1] == added
    assert 10 <= len(found.turns) <= 10 + 2 + 2
    assert {turn.use_case for turn in found.first} == set(USE_CASES)


def test_few_lessons_are_all_repeated() -> None:
    assert to_repeat(LESSONS, LESSONS.fingerprints) == LESSONS


def test_of_many_lessons_an_even_sample_is_repeated() -> None:
    many = Lessons(examples_of({"agent": [f"query {i}" for i in range(5 * adapt.SAMPLE)]}), ())
    found = to_repeat(many, many.fingerprints)
    assert [one.text for one in found.first] == [f"query {i}" for i in range(0, 5 * adapt.SAMPLE, 5)]


def test_a_head_that_knows_nothing_repeats_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt, "SAMPLE", 1)
    assert to_repeat(LESSONS, np.array([], np.uint32)) == LESSONS


def test_an_example_that_was_moved_elsewhere_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt, "SAMPLE", 1)
    moved = Example(EXAMPLES[7].text, "stt", "en")
    lessons = Lessons((*EXAMPLES[:7], moved, *EXAMPLES[8:]), LESSONS.later)
    assert to_repeat(lessons, LESSONS.fingerprints).first == (EXAMPLES[0], moved)
