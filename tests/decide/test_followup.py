"""Turns that say nothing of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.followup import LONGEST, READ, says
from smart_router.decide.switch import BACK_CHANNEL, NOTHING_SAID

# each: assent, "why?", thanks; the last is more than one word where the language has such a phrase here
SPOKEN = {
    "English": ("okay", "why", "thank you so much"),
    "Hindi": ("हाँ", "क्यों", "ठीक है"),
    "Hindi in Latin letters": ("haan", "kyun", "theek hai"),
    "Tamil": ("சரி", "ஏன்", "நன்றி"),
    "Telugu": ("సరే", "ఎందుకు", "ధన్యవాదాలు"),
    "Bengali": ("আচ্ছা", "কেন", "ঠিক আছে"),
    "Marathi": ("होय", "का", "ठीक आहे"),
    "Gujarati": ("હા", "કેમ", "કેવી રીતે"),
    "Kannada": ("ಸರಿ", "ಯಾಕೆ", "ಧನ್ಯವಾದಗಳು"),
    "Malayalam": ("ശരി", "എന്തുകൊണ്ട്", "നന്ദി"),
    "Punjabi": ("ਹਾਂ", "ਕਿਉਂ", "ਠੀਕ ਹੈ"),
}


@pytest.mark.parametrize("phrase", [phrase for phrases in SPOKEN.values() for phrase in phrases])
def test_a_word_of_assent_doubt_or_thanks_is_a_back_channel_in_every_language(phrase: str) -> None:
    assert says(phrase) == BACK_CHANNEL


@pytest.mark.parametrize(
    "text",
    [
        "OK",
        "Ok.",
        "  ok  ",
        "ok!!!",
        "why?",
        "WHY ?!",
        "thank\nyou",
        "Yes, please.",
        "and…",
        "“thanks”",
        "ｏｋ",
        "क्यों?",
        "ठीक है।",
    ],
)
def test_neither_case_nor_space_nor_punctuation_nor_width_makes_another_word_of_it(text: str) -> None:
    assert says(text) == BACK_CHANNEL


def test_a_letter_is_itself_composed_or_not() -> None:
    assert says("बढ\u093cिया") == says("ब\u095dिया") == BACK_CHANNEL


@pytest.mark.parametrize(
    "text",
    [
        "why is the sky blue",
        "ok, now draw a cat",
        "thanks for the recording",
        "no sound",
        "क्यों नहीं सुनाई देता",
        "okra",
        "hm 5",
    ],
)
def test_more_than_the_word_may_lead_elsewhere(text: str) -> None:
    assert says(text) == ""


def test_a_back_channel_is_short_whatever_it_is_padded_with() -> None:
    assert says("ok" + "!" * (LONGEST - 2)) == BACK_CHANNEL
    assert says("ok" + "!" * (LONGEST - 1)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "?",
        "???",
        "…",
        "!?.,;:-–—",
        "।॥",
        "👍",
        "🙏🙏🙏",
        "❤️",
        "👩‍👩‍👧",
        "🇮🇳",
        "\u200d\u200b\ufeff",
        "→ ← ≠",
    ],
)
def test_without_a_letter_or_a_digit_there_is_nothing_to_read(text: str) -> None:
    assert says(text) == NOTHING_SAID


@pytest.mark.parametrize("text", ["5", "42?", "१२३", "৭", "௧", "½", "1️⃣", "👍 5", "3+4", "²"])
def test_digits_are_something_to_read(text: str) -> None:
    assert says(text) == ""


@pytest.mark.parametrize("text", ["a", "ऊ", "字", "ß"])
def test_a_letter_is_something_to_read(text: str) -> None:
    assert says(text) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x" * 100_000, ""),
        ("ok " * 33_334, ""),
        ("?" * 100_000, NOTHING_SAID),
        ("👍" * 100_000, NOTHING_SAID),
        ("?" * 100_000 + "x", ""),
        ("x" + "?" * 100_000, ""),
        ("5" + "?" * 100_000, ""),
        ("?" * READ + "x" + "?" * READ, NOTHING_SAID),
    ],
    ids=[
        "letters",
        "words",
        "punctuation",
        "emoji",
        "a letter at the end",
        "at the start",
        "a digit at the start",
        "only in the middle",
    ],
)
def test_of_a_long_text_both_ends_are_read(text: str, found: str) -> None:
    assert says(text) == found


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    found = says(text)
    assert found in ("", NOTHING_SAID, BACK_CHANNEL)
    assert (found == NOTHING_SAID) == (not any(map(str.isalnum, text)))
