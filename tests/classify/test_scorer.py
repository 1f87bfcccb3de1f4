"""The head made ready for serving says what the head itself says."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.classify.artifact import SHIPPED
from smart_router.classify.base import Vector
from smart_router.classify.head import Head, load_head
from smart_router.classify.lexical import columns
from smart_router.classify.scorer import Scorer
from smart_router.types import MEDIA_KINDS, MediaKind

WORDS = ("make", "it", "shorter", "remake", "makes", "the", "इसे", "छोटा", "करो", "a", "picture", "the", "transcribe")
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=80)


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head(SHIPPED / "head.npz")


@given(text=TEXTS, media=st.lists(st.sampled_from(MEDIA_KINDS), unique=True, max_size=2))
def test_probabilities_are_the_heads(head: Head, text: str, media: list[MediaKind]) -> None:
    said = Scorer(head.lexical, head.use_cases)(text, media)
    expected = head.lexical.probabilities(columns(text), media)
    assert tuple(said) == head.use_cases
    assert list(said.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert sum(said.values()) == pytest.approx(1)


def test_words_that_were_seen_before_change_nothing(head: Head) -> None:
    scores = Scorer(head.lexical, head.use_cases)
    first = scores("make it shorter, make it remake the makes", ())
    scores("the picture of it", ())
    assert scores("make it shorter, make it remake the makes", ()) == first


@given(text=TEXTS, seed=st.integers(0, 99))
def test_the_embedding_weighs_as_in_the_head(head: Head, text: str, seed: int) -> None:
    assert head.hybrid is not None
    assert head.hybrid.dense is not None
    embedding: Vector = np.random.default_rng(seed).normal(size=len(head.hybrid.dense)).astype(np.float32)
    said = Scorer(head.hybrid, head.use_cases)(text, (), embedding)
    assert list(said.values()) == pytest.approx(
        head.hybrid.probabilities(columns(text), (), embedding).tolist(), abs=1e-4
    )


def test_large_weights_do_not_overflow(head: Head) -> None:
    steep = dataclasses.replace(head.lexical, bias=np.array([1e4, -1e4, 0, 0, 0, 0], np.float32))
    assert Scorer(steep, head.use_cases)("", ())["agent"] == 1.0
