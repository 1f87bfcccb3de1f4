"""Word and character n-grams: deterministic, whole scripts, both ends of long texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.classify.lexical import DIMENSIONS, EDGE_CHARACTERS, columns


def shared(a: str, b: str) -> float:
    """Share of the columns of both texts, 0..1."""
    one, other = set(columns(a).tolist()), set(columns(b).tolist())
    return len(one & other) / len(one | other)


def test_known_texts_have_known_columns() -> None:
    """Stored heads rest on these numbers: when they change, VERSION has to."""
    assert columns("ab").tolist() == [15122, 26515, 50528, 63704, 84077, 86504, 93906]
    assert columns("पढ़ो").tolist()[:4] == [4511, 4904, 10923, 11741]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "?!…", "—", "।"])
def test_a_text_without_words_has_no_columns(text: str) -> None:
    assert len(columns(text)) == 0


@given(st.text(max_size=200))
def test_columns_are_sorted_distinct_in_range_and_the_same_every_time(text: str) -> None:
    found = columns(text)
    assert found.dtype == np.int64
    assert np.all(np.diff(found) > 0)
    assert np.all((found >= 0) & (found < DIMENSIONS))
    assert np.array_equal(found, columns(text))


@pytest.mark.parametrize("other", ["WRITE A POEM", "write   a\npoem!", "“write” a poem…", "ｗｒｉｔｅ a poem"])
def test_case_spaces_punctuation_and_width_make_no_difference(other: str) -> None:
    assert np.array_equal(columns("write a poem"), columns(other))


def test_word_order_matters_only_for_pairs() -> None:
    assert 0.8 < shared("write a poem", "poem a write") < 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("कि", "की"),
        ("மண", "மணி"),
        ("కల", "కాల"),
        ("কর", "করা"),
        ("ਪਿਤ", "ਪੀਤ"),
        ("કર", "કરો"),
        ("ಮರ", "ಮಾರಿ"),
        ("മല", "മാല"),
    ],
)
def test_vowel_signs_make_a_difference(one: str, other: str) -> None:
    assert not np.array_equal(columns(one), columns(other))


@pytest.mark.parametrize("word", ["क्षत्रिय", "நிலைமை", "తెలుగులో", "বাংলায়", "ਪੰਜਾਬੀ", "ગુજરાતી", "ಕನ್ನಡದಲ್ಲಿ", "മലയാളത്തിൽ"])
def test_a_word_of_an_indian_script_is_not_torn_at_its_signs(word: str) -> None:
    joined, torn = columns(f"{word} text"), columns(f"{' '.join(word)} text")
    assert len(joined) > 3 * len(word)
    assert not np.array_equal(joined, torn)


def test_the_danda_ends_a_word() -> None:
    assert np.array_equal(columns("लिखो।"), columns("लिखो"))


def test_forms_of_a_word_share_columns() -> None:
    assert shared("transcribe", "transcribing") > 0.4 > shared("transcribe", "picture")


def test_a_long_text_is_read_at_both_ends() -> None:
    middle = "lorem ipsum " * EDGE_CHARACTERS
    text = f"transcribe recording {middle} paint portrait"
    found = set(columns(text).tolist())
    for word in ("transcribe", "recording", "paint", "portrait"):
        assert len(found & set(columns(word).tolist())) > 5
    assert not set(columns(f"{middle} zebra {middle}").tolist()) >= set(columns("zebra").tolist())
