"""The head made ready for serving says what the head itself says."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.classify.base import Matrix, Query, Vector
from smart_router.classify.head import Linear
from smart_router.classify.lexical import DIMENSIONS
from smart_router.classify.scorer import Scorer
from smart_router.types import MEDIA_KINDS, MediaKind

from .worlds import columns_of

USE_CASES = ("agent", "multimodal", "stt")
WORDS = ("make", "it", "shorter", "remake", "makes", "the", "इसे", "छोटा", "करो", "a", "picture", "the", "transcribe")
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=80)
MEDIA = st.lists(st.sampled_from(MEDIA_KINDS), unique=True, max_size=2)
CHANCE = np.random.default_rng(0)


def weights(*shape: int) -> Matrix:
    return CHANCE.normal(size=shape).astype(np.float32)


FULL = Linear(
    sparse=weights(DIMENSIONS, 3),  # every column weighs: none may be missed or counted twice
    attached=weights(3, 3),
    bias=weights(3),
    temperature=1.3,
    standing=weights(3, 3),
    dense=weights(8, 3),
)
FIRST = dataclasses.replace(FULL, standing=None)


@given(text=TEXTS, media=MEDIA, standing=st.sampled_from([None, *USE_CASES]), seed=st.none() | st.integers(0, 99))
@pytest.mark.parametrize("linear", [FULL, FIRST], ids=["later", "first"])
def test_probabilities_are_the_heads(
    linear: Linear, text: str, media: list[MediaKind], standing: str | None, seed: int | None
) -> None:
    embedding: Vector | None = None
    if seed is not None:
        embedding = np.random.default_rng(seed).normal(size=8).astype(np.float32)
    said = Scorer(linear, USE_CASES)(Query(text, tuple(media), standing, "before"), embedding)
    place = None if standing is None else USE_CASES.index(standing)
    expected = linear.probabilities(columns_of(text), media, embedding, place)
    assert tuple(said) == USE_CASES
    assert list(said.values()) == pytest.approx(expected.tolist(), abs=1e-4)
    assert sum(said.values()) == pytest.approx(1)


def test_words_that_were_seen_before_change_nothing() -> None:
    scores = Scorer(FULL, USE_CASES)
    again = Query("make it shorter, make it remake the makes", (), "stt")
    first = scores(again)
    scores(Query("the picture of it", ("image",), "agent"))
    assert scores(again) == first


def test_the_standing_use_case_makes_a_difference() -> None:
    scores = Scorer(FULL, USE_CASES)
    assert len({scores(Query("make it shorter", (), standing))["agent"] for standing in (None, *USE_CASES)}) == 4


def test_a_standing_use_case_that_the_head_does_not_know_counts_for_nothing() -> None:
    scores = Scorer(FULL, USE_CASES)
    assert scores(Query("make it shorter", (), "tts")) == scores(Query("make it shorter"))


def test_large_weights_do_not_overflow() -> None:
    steep = dataclasses.replace(FULL, bias=np.array([1e4, -1e4, 0], np.float32))
    assert Scorer(steep, USE_CASES)(Query(""))["agent"] == 1.0
