"""Word and character n-grams: deterministic, whole scripts, sounds across scripts, both ends of long texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.classify.lexical import (
    DIMENSIONS,
    EDGE_CHARACTERS,
    columns,
    pair_columns,
    skeleton,
    word_columns,
    words,
)
from smart_router.classify.romanise import romanised

from .worlds import columns_of

MOBILE = ("मोबाइल", "মোবাইল", "ਮੋਬਾਈਲ", "મોબાઇલ", "ମୋବାଇଲ", "மொபைல்", "మొబైల్", "ಮೊಬೈಲ್", "മൊബൈൽ")


def shared(a: str, b: str) -> float:
    """Share of the columns of both texts, 0..1."""
    one, other = set(columns_of(a).tolist()), set(columns_of(b).tolist())
    return len(one & other) / len(one | other)


def test_known_texts_have_known_columns() -> None:
    """Stored heads rest on these numbers: when they change, VERSION has to."""
    assert columns_of("ab").tolist() == [15122, 26515, 86504, 93906, 181600, 194776, 215149]
    assert columns_of("पढ़ो").tolist()[:4] == [73, 4904, 11741, 16332]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "?!…", "—", "।"])
def test_a_text_without_words_has_no_columns(text: str) -> None:
    assert len(columns_of(text)) == 0


@given(st.text(max_size=200))
def test_columns_are_sorted_distinct_in_range_and_the_same_every_time(text: str) -> None:
    found = columns_of(text)
    assert found.dtype == np.int64
    assert np.all(np.diff(found) > 0)
    assert np.all((found >= 0) & (found < DIMENSIONS))
    assert np.array_equal(found, columns_of(text))


@given(st.lists(st.text(max_size=30), max_size=5))
def test_each_text_has_the_columns_that_it_has_alone(texts: list[str]) -> None:
    together = [found.tolist() for found in columns(texts)]
    assert together == [columns_of(text).tolist() for text in texts]


@given(st.text(max_size=60))
def test_a_text_has_the_columns_of_its_words_and_pairs(text: str) -> None:
    found = words(text)
    assert set(columns_of(text).tolist()) == set(pair_columns(found)).union(*map(word_columns, found))


@pytest.mark.parametrize("other", ["WRITE A POEM", "write   a\npoem!", "“write” a poem…", "ｗｒｉｔｅ a poem"])
def test_case_spaces_punctuation_and_width_make_no_difference(other: str) -> None:
    assert np.array_equal(columns_of("write a poem"), columns_of(other))


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
    assert not np.array_equal(columns_of(one), columns_of(other))


@pytest.mark.parametrize("word", ["क्षत्रिय", "நிலைமை", "తెలుగులో", "বাংলায়", "ਪੰਜਾਬੀ", "ગુજરાતી", "ಕನ್ನಡದಲ್ಲಿ", "മലയാളത്തിൽ"])
def test_a_word_of_an_indian_script_is_not_torn_at_its_signs(word: str) -> None:
    joined, torn = columns_of(f"{word} text"), columns_of(f"{' '.join(word)} text")
    assert len(joined) > 3 * len(word)
    assert not np.array_equal(joined, torn)


@pytest.mark.parametrize("word", MOBILE)
def test_a_loanword_shares_columns_with_itself_in_every_script_and_in_latin(word: str) -> None:
    assert min(shared(word, other) for other in MOBILE) > 0.1
    assert shared(word, "mobile") > 0.1
    assert max(shared(word, other) for other in ("कविता", "கவிதை", "poetry")) < 0.02


@pytest.mark.parametrize("word", MOBILE)
def test_an_indian_word_counts_as_it_is_written_and_in_latin_letters(word: str) -> None:
    found, latin = word_columns(word), word_columns(romanised(word))
    assert latin < found


@pytest.mark.parametrize(
    ("word", "heard"),
    [
        ("video", "vt"),
        ("vitiyo", "vt"),
        ("photo", "pt"),
        ("foto", "pt"),
        ("tax", "tks"),
        ("taiks", "tks"),
        ("check", "jk"),
        ("chhota", "jt"),
        ("zoom", "sm"),
        ("summ", "sm"),
        ("aeiou", ""),
        ("", ""),
    ],
)
def test_a_skeleton_is_the_consonants_by_what_scripts_confuse(word: str, heard: str) -> None:
    assert skeleton(word) == heard


def test_words_that_sound_alike_share_columns() -> None:
    assert shared("photo", "fodo") > shared("photo", "chomo")


def test_one_consonant_says_nothing() -> None:
    assert shared("no", "an") == 0
    assert shared("nit", "ant") > 0


def test_the_danda_ends_a_word() -> None:
    assert np.array_equal(columns_of("लिखो।"), columns_of("लिखो"))


def test_forms_of_a_word_share_columns() -> None:
    assert shared("transcribe", "transcribing") > 0.4 > shared("transcribe", "picture")


def test_a_long_text_is_read_at_both_ends() -> None:
    middle = "lorem ipsum " * EDGE_CHARACTERS
    text = f"transcribe recording {middle} paint portrait"
    found = set(columns_of(text).tolist())
    for word in ("transcribe", "recording", "paint", "portrait"):
        assert len(found & set(columns_of(word).tolist())) > 5
    assert not set(columns_of(f"{middle} zebra {middle}").tolist()) >= set(columns_of("zebra").tolist())
