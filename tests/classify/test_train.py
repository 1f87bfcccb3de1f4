"""Training: it learns, the same way every time, and says what is missing."""

from collections.abc import Sequence

import numpy as np
import pytest

from smart_router.classify.base import Example
from smart_router.classify.head import Head, Linear
from smart_router.classify.lexical import columns
from smart_router.classify.scorer import Scorer
from smart_router.classify.train import MINIMUM_EXAMPLES, train_head
from smart_router.errors import ConfigurationError
from tests.fakes import FakeEncoder, examples_of

from .worlds import EXAMPLES, TEXTS, USE_CASES, embeddings_of


def lexical_head(examples: Sequence[Example] = EXAMPLES, use_cases: Sequence[str] = USE_CASES) -> Head:
    return train_head(examples, use_cases, None, "none")


def best(head: Head, text: str) -> str:
    scores = Scorer(head.lexical, head.use_cases)(text, ())
    return max(scores, key=lambda name: scores[name])


@pytest.mark.parametrize(
    ("text", "use_case"),
    [
        ("a python function please", "agent"),
        ("what is on the picture", "multimodal"),
        ("please transcribe the recordings", "stt"),
    ],
)
def test_it_learns_from_few_examples(text: str, use_case: str) -> None:
    assert best(lexical_head(), text) == use_case


def test_it_is_right_on_what_it_was_taught() -> None:
    head = lexical_head()
    assert all(best(head, example.text) == example.use_case for example in EXAMPLES)


def test_attachments_teach_too() -> None:
    spoken = [Example(f"and this one {i}", "stt", "en", "audio") for i in range(10)]
    seen = [Example(f"and this one {i}", "multimodal", "en", "image") for i in range(10)]
    head = lexical_head([*EXAMPLES, *spoken, *seen])
    scores = Scorer(head.lexical, head.use_cases)
    heard, looked = scores("and this one", ("audio",)), scores("and this one", ("image",))
    assert heard["stt"] > looked["stt"]
    assert looked["multimodal"] > heard["multimodal"]


def weights(linear: Linear | None) -> bytes:
    assert linear is not None
    dense = b"" if linear.dense is None else linear.dense.tobytes()
    return linear.sparse.tobytes() + linear.attached.tobytes() + linear.bias.tobytes() + dense


def test_the_same_examples_give_the_same_weights() -> None:
    embeddings = embeddings_of(FakeEncoder())
    one, other = (train_head(EXAMPLES, USE_CASES, embeddings, "encoder") for _ in range(2))
    assert weights(one.lexical) == weights(other.lexical)
    assert weights(one.hybrid) == weights(other.hybrid)
    assert one.inputs_sha256 == other.inputs_sha256


@pytest.mark.parametrize("names", [("agent", "stt"), ("stt", "agent")])
def test_two_use_cases_are_told_apart(names: tuple[str, str]) -> None:
    head = lexical_head(examples_of({name: TEXTS[name] for name in names}), names)
    assert best(head, "transcribe the voice note") == "stt"
    assert best(head, "write a python function") == "agent"
    assert sum(head.lexical.probabilities(columns("whatever"), ())) == pytest.approx(1)


def test_two_use_cases_are_told_apart_with_an_encoder_too() -> None:
    examples = examples_of({name: TEXTS[name] for name in ("agent", "stt")})
    head = train_head(examples, ("agent", "stt"), embeddings_of(FakeEncoder(), examples), "encoder")
    assert head.hybrid is not None
    assert head.hybrid.dense is not None
    assert head.hybrid.dense.shape == (FakeEncoder.dimension, 2)


@pytest.mark.parametrize("count", [0, MINIMUM_EXAMPLES - 1])
def test_a_use_case_with_too_few_examples_is_named(count: int) -> None:
    examples = examples_of({**TEXTS, "tts": TEXTS["stt"][:count]})
    with pytest.raises(ConfigurationError, match=rf"use case tts has {count} example queries, at least"):
        lexical_head(examples, (*USE_CASES, "tts"))


def test_the_fewest_examples_are_enough() -> None:
    lexical_head(examples_of({name: texts[:MINIMUM_EXAMPLES] for name, texts in TEXTS.items()}))


def test_a_single_use_case_needs_no_classifier_but_must_not_break_it() -> None:
    """Everything belongs to it; or the start says what is missing."""
    try:
        head = lexical_head(examples_of({"agent": TEXTS["agent"]}), ("agent",))
    except ConfigurationError:
        return
    assert head.lexical.probabilities(columns("whatever"), ()).tolist() == [1.0]


def test_examples_without_a_shared_word_can_still_be_learnt_from() -> None:
    examples = examples_of({"a": ["qa", "wb", "ec", "rd", "te"], "b": ["yf", "ug", "ih", "oj", "pk"]})
    found = lexical_head(examples, ("a", "b")).lexical.probabilities(columns("zz"), ())
    assert np.isfinite(found).all()


def test_examples_without_words_can_still_be_learnt_from() -> None:
    examples = examples_of({"a": ["?"] * 5, "b": ["yf", "ug", "ih", "oj", "pk"]})
    assert np.isfinite(lexical_head(examples, ("a", "b")).lexical.bias).all()
