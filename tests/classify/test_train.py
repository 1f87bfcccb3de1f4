"""Training: it learns, the same way every time, and says what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from smart_router.classify.base import Example, LaterExample, Query
from smart_router.classify.head import Head, Linear, Pair, as_stored
from smart_router.classify.lessons import Lessons, inputs_sha256, lessons_from
from smart_router.classify.scorer import Scorer
from smart_router.classify.train import (
    HELD_OUT,
    MINIMUM_EXAMPLES,
    RECIPE,
    calibrated,
    tables,
    train_head,
    train_hybrids,
)
from smart_router.errors import ConfigurationError
from tests.fakes import FakeEncoder, examples_of

from .worlds import EXAMPLES, LESSONS, TEXTS, USE_CASES, a_head, best, columns_of

FEW = {name: texts[:MINIMUM_EXAMPLES] for name, texts in TEXTS.items()}


def first_only(examples: Sequence[Example]) -> Lessons:
    return Lessons(tuple(examples), ())


def texts_of(texts: Mapping[str, Sequence[str]]) -> Lessons:
    return first_only(examples_of(texts))


def first_best(head: Head, text: str) -> str:
    return best(head.first.lexical, head.use_cases, Query(text))


@pytest.fixture(scope="module")
def head() -> Head:
    return a_head()


@pytest.mark.parametrize(
    ("text", "use_case"),
    [
        ("a python function please", "agent"),
        ("what is on the picture", "multimodal"),
        ("please transcribe the recordings", "stt"),
    ],
)
def test_it_learns_from_few_examples(head: Head, text: str, use_case: str) -> None:
    assert first_best(head, text) == use_case


def test_it_is_right_on_what_it_was_taught(head: Head) -> None:
    assert all(first_best(head, example.text) == example.use_case for example in EXAMPLES)


def test_the_later_head_is_right_on_what_it_was_taught(head: Head) -> None:
    for one in LESSONS.later:
        query = Query(one.turn.text, (), one.standing, one.previous)
        assert best(head.later.lexical, USE_CASES, query) == one.turn.use_case


def test_the_later_head_learns_that_words_mean_something_else_after_something_else() -> None:
    later = [LaterExample(Example(f"and number {i}", name, "en"), name, "") for i in range(8) for name in USE_CASES]
    head = a_head(Lessons(EXAMPLES, tuple(later)))
    assert [best(head.later.lexical, USE_CASES, Query("and number 9", (), name)) for name in USE_CASES] == [*USE_CASES]


def test_the_first_head_does_not_learn_from_later_turns(head: Head) -> None:
    assert weights(a_head(first_only(EXAMPLES)).first.lexical) == weights(head.first.lexical)


def test_attachments_teach_too() -> None:
    spoken = [Example(f"and this one {i}", "stt", "en", "audio") for i in range(10)]
    seen = [Example(f"and this one {i}", "multimodal", "en", "image") for i in range(10)]
    head = a_head(first_only([*EXAMPLES, *spoken, *seen]))
    scores = Scorer(head.first.lexical, head.use_cases)
    heard, looked = scores(Query("and this one", ("audio",))), scores(Query("and this one", ("image",)))
    assert heard["stt"] > looked["stt"]
    assert looked["multimodal"] > heard["multimodal"]


# parts


def test_lexical_heads_need_no_encoder(head: Head) -> None:
    assert (head.first.hybrid, head.later.hybrid) == (None, None)
    assert (head.first.lexical.dense, head.later.lexical.dense) == (None, None)


def test_only_later_heads_know_a_standing_use_case(head: Head) -> None:
    assert head.first.lexical.standing is None
    assert head.later.lexical.standing is not None
    assert head.later.lexical.standing.shape == (3, 3)


def test_given_hybrids_are_taken_as_they_are_stored(head: Head) -> None:
    ours = head.first.lexical, head.later.lexical
    found = train_head(LESSONS, USE_CASES, "encoder", ours)
    assert found.first.hybrid is not None
    assert found.later.hybrid is not None
    assert weights(found.first.hybrid) == weights(as_stored(ours[0], fine=True))
    assert weights(found.later.hybrid) == weights(as_stored(ours[1], fine=True))
    assert weights(found.first.lexical) == weights(head.first.lexical)


def test_hybrids_learn_from_embeddings_where_words_say_nothing() -> None:
    texts = {name: [f"q{name}{i}" for i in range(10)] for name in ("a", "b")}
    sides = np.repeat(np.array([[1, 0], [0, 1]], np.float32), 10, axis=0)
    first, _ = train_hybrids(texts_of(texts), ("a", "b"), sides)
    assert first.dense is not None
    assert best(first, ("a", "b"), Query("zz"), np.array([1, 0], np.float32)) == "a"
    assert best(first, ("a", "b"), Query("zz"), np.array([0, 1], np.float32)) == "b"


def test_hybrids_for_later_turns_learn_from_the_embeddings_of_later_turns() -> None:
    later = tuple(LaterExample(Example(f"{i}", name, "en"), "a", "") for name in ("a", "b") for i in range(10))
    lessons = Lessons(examples_of({"a": FEW["agent"], "b": FEW["stt"]}), later)
    sides = np.repeat(np.array([[1, 0], [0, 1]], np.float32), 10, axis=0)
    embeddings = np.concatenate([np.zeros((10, 2), np.float32), sides])
    _, found = train_hybrids(lessons, ("a", "b"), embeddings)
    assert best(found, ("a", "b"), Query("", (), "a"), np.array([0, 1], np.float32)) == "b"


def test_a_head_says_what_it_was_made_from(head: Head) -> None:
    assert head.use_cases == USE_CASES
    assert head.inputs_sha256 == inputs_sha256(LESSONS, USE_CASES, "none", RECIPE)
    assert head.known.tolist() == LESSONS.fingerprints.tolist()
    assert head.meta == {"examples": len(EXAMPLES), "later_turns": len(LESSONS.later), "languages": ["en"]}


def weights(linear: Linear | None) -> bytes:
    assert linear is not None
    optional = [part for part in (linear.standing, linear.dense) if part is not None]
    return b"".join(part.tobytes() for part in (linear.sparse, linear.attached, linear.bias, *optional))


def both(pair: Pair) -> tuple[bytes, bytes]:
    return weights(pair.lexical), weights(pair.hybrid)


def test_the_same_lessons_give_the_same_weights() -> None:
    one, other = (a_head(encoder=FakeEncoder()) for _ in range(2))
    assert both(one.first) == both(other.first)
    assert both(one.later) == both(other.later)
    assert one.inputs_sha256 == other.inputs_sha256


# out of scope


def test_what_belongs_nowhere_belongs_a_little_everywhere() -> None:
    table, _ = tables(first_only([EXAMPLES[0], Example("thanks", "", "en")]), USE_CASES, None)
    assert table.labels.tolist() == [0, 0, 1, 2]
    assert table.weights.tolist() == [1, *[1 / 3] * 3]
    assert table.ngrams.shape[0] == 4
    assert (table.ngrams[1] != table.ngrams[3]).nnz == 0


def test_what_belongs_nowhere_keeps_its_embedding_and_attachment() -> None:
    lessons = first_only([Example("thanks", "", "en", "image"), EXAMPLES[0]])
    table, _ = tables(lessons, USE_CASES, np.array([[1], [2]], np.float32))
    assert table.embeddings is not None
    assert table.embeddings.ravel().tolist() == [1, 1, 1, 2]
    assert table.attached[:, 0].tolist() == [1, 1, 1, 0]


def test_of_what_is_out_of_scope_the_head_is_not_sure() -> None:
    thanks = [Example(f"write thanks to my friend {i}", "", "en") for i in range(20)]
    query = Query("write thanks to my friend")
    heads = (a_head(first_only(some)) for some in (EXAMPLES, [*EXAMPLES, *thanks]))
    found = [Scorer(head.first.lexical, USE_CASES)(query) for head in heads]
    assert max(found[0].values()) > 0.9
    assert max(found[1].values()) < 0.6


# calibration


def by(writer: str, use_case: str, text: str) -> list[Example]:
    return [Example(f"{text} {i}", use_case, "en", None, writer) for i in range(10)]


RIGHT = [*by("w1", "agent", "write"), *by("w1", "stt", "transcribe")]
AGREES = [*by("w2", "agent", "write"), *by("w2", "stt", "transcribe")]
DIFFERS = [*by("w2", "agent", "transcribe"), *by("w2", "stt", "write")]
TWO = ("agent", "stt")


def test_lessons_of_writers_apart_are_held_out() -> None:
    later = (LaterExample(RIGHT[0], "agent", ""), LaterExample(AGREES[0], "agent", ""))
    first, after = tables(Lessons((*RIGHT, *AGREES), later), TWO, None, apart=["w2"])
    assert first.held_out.tolist() == [False] * 20 + [True] * 20
    assert after.held_out.tolist() == [False, True]


@pytest.mark.parametrize("apart", [[], ["nobody"]])
def test_without_any_every_fifth_lesson_is_held_out(apart: list[str]) -> None:
    first, _ = tables(first_only(RIGHT), TWO, None, apart)
    assert np.flatnonzero(first.held_out).tolist() == list(range(0, 20, HELD_OUT))


def test_a_head_that_is_wrong_about_writers_apart_is_less_sure() -> None:
    right, wrong = (a_head(first_only([*RIGHT, *some]), TWO, apart=["w2"]) for some in (AGREES, DIFFERS))
    assert right.first.lexical.temperature < 1 < wrong.first.lexical.temperature


def test_given_hybrids_are_calibrated_on_writers_apart_and_nothing_else_changes() -> None:
    lessons = first_only([*RIGHT, *AGREES])
    ours = a_head(lessons, TWO).first.lexical, a_head(LESSONS).later.lexical
    embeddings = np.zeros((40, 2), np.float32)
    (agreeing, _), (differing, _) = (
        calibrated(ours, first_only([*RIGHT, *some]), TWO, embeddings, ["w2"]) for some in (AGREES, DIFFERS)
    )
    assert agreeing.temperature == pytest.approx(0.2)
    assert differing.temperature == pytest.approx(5.0)
    assert weights(agreeing) == weights(differing) == weights(as_stored(ours[0], fine=False))


def test_without_lessons_to_calibrate_on_the_temperature_stays() -> None:
    ours = replace(a_head().later.lexical, temperature=1.7)
    _, later = calibrated((ours, ours), first_only(EXAMPLES), USE_CASES, np.zeros((30, 2), np.float32), [])
    assert later.temperature == 1.7


def test_what_belongs_nowhere_makes_a_head_less_sure_as_a_whole() -> None:
    """A head that is sure of something that belongs nowhere is wrong about it."""
    nowhere = [Example(example.text, "", "en", None, "w2") for example in RIGHT]
    ours = a_head(first_only(RIGHT), TWO).first.lexical
    found, _ = calibrated((ours, ours), first_only([*RIGHT, *nowhere]), TWO, np.zeros((40, 2), np.float32), ["w2"])
    assert found.temperature == pytest.approx(5.0)


# few use cases, few examples


@pytest.mark.parametrize("names", [("agent", "stt"), ("stt", "agent")])
def test_two_use_cases_are_told_apart(names: tuple[str, str]) -> None:
    head = a_head(lessons_from(examples_of({name: TEXTS[name] * 2 for name in names})), names)
    assert first_best(head, "transcribe the voice note") == "stt"
    assert first_best(head, "write a python function") == "agent"
    assert sum(head.first.lexical.probabilities(columns_of("whatever"), ())) == pytest.approx(1)


def test_two_use_cases_are_told_apart_with_an_encoder_too() -> None:
    examples = examples_of({name: TEXTS[name] * 2 for name in ("agent", "stt")})
    head = a_head(lessons_from(examples), ("agent", "stt"), FakeEncoder())
    assert head.first.hybrid is not None
    assert head.first.hybrid.dense is not None
    assert head.first.hybrid.dense.shape == (FakeEncoder.dimension, 2)


@pytest.mark.parametrize("standing", USE_CASES)
def test_a_use_case_that_no_later_turn_has_is_unlikely_then(standing: str) -> None:
    known = tuple(one for one in LESSONS.later if one.turn.use_case != "multimodal")
    head = a_head(Lessons(EXAMPLES, known))
    scores = Scorer(head.later.lexical, USE_CASES)(Query("what is in this picture", (), standing))
    assert tuple(scores) == USE_CASES
    assert scores["multimodal"] < 0.01
    assert first_best(head, "what is in this picture") == "multimodal"


def test_without_later_turns_the_later_head_knows_nothing() -> None:
    head = a_head(first_only(EXAMPLES), encoder=FakeEncoder())
    for linear in (head.later.lexical, head.later.hybrid):
        assert linear is not None
        scores = Scorer(linear, USE_CASES)(Query("transcribe this", (), "stt"), np.ones(8, np.float32))
        assert list(scores.values()) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("count", [0, MINIMUM_EXAMPLES - 1])
def test_a_use_case_with_too_few_examples_is_named(count: int) -> None:
    lessons = texts_of({**TEXTS, "tts": TEXTS["stt"][:count]})
    message = rf"use case tts has {count} example queries, at least"
    with pytest.raises(ConfigurationError, match=message):
        a_head(lessons, (*USE_CASES, "tts"))
    with pytest.raises(ConfigurationError, match=message):
        a_head(lessons, (*USE_CASES, "tts"), FakeEncoder())


def test_later_turns_do_not_count_as_examples() -> None:
    later = tuple(LaterExample(Example(f"{i}", "tts", "en"), "agent", "") for i in range(9))
    with pytest.raises(ConfigurationError, match="use case tts has 0 example queries"):
        a_head(Lessons(EXAMPLES, later), (*USE_CASES, "tts"))


def test_no_use_case_at_all_is_told() -> None:
    with pytest.raises(ConfigurationError, match="no use case has example queries"):
        a_head(first_only(()), ())


def test_the_fewest_examples_are_enough_for_first_turns() -> None:
    assert first_best(a_head(texts_of(FEW)), "transcribe this") == "stt"


@pytest.mark.parametrize("names", [("agent", "stt"), USE_CASES])
def test_the_fewest_examples_are_enough(names: tuple[str, ...]) -> None:
    a_head(lessons_from(examples_of({name: FEW[name] for name in names})), names)


def test_later_turns_that_are_all_of_writers_apart_can_still_be_learnt_from() -> None:
    later = tuple(LaterExample(example, "agent", "") for example in AGREES)
    a_head(Lessons((*RIGHT, *AGREES), later), TWO, apart=["w2"])


def test_a_single_use_case_needs_no_classifier_but_must_not_break_it() -> None:
    """Everything belongs to it; or the start says what is missing."""
    try:
        head = a_head(lessons_from(examples_of({"agent": TEXTS["agent"]})), ("agent",))
    except ConfigurationError:
        return
    assert head.first.lexical.probabilities(columns_of("whatever"), ()).tolist() == [1.0]
    assert head.later.lexical.probabilities(columns_of("whatever"), (), None, 0).tolist() == [1.0]


def test_examples_without_a_shared_word_can_still_be_learnt_from() -> None:
    lessons = texts_of({"a": ["qa", "wb", "ec", "rd", "te"], "b": ["yf", "ug", "ih", "oj", "pk"]})
    found = a_head(lessons, ("a", "b")).first.lexical.probabilities(columns_of("zz"), ())
    assert np.isfinite(found).all()


def test_examples_without_words_can_still_be_learnt_from() -> None:
    lessons = texts_of({"a": ["?"] * 5, "b": ["yf", "ug", "ih", "oj", "pk"]})
    assert np.isfinite(a_head(lessons, ("a", "b")).first.lexical.bias).all()
