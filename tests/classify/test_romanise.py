"""One word looks alike in every script of India."""

import unicodedata
from difflib import SequenceMatcher
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.classify.romanise import romanised

SCRIPTS = {
    "Devanagari": 0x0900,
    "Bengali": 0x0980,
    "Gurmukhi": 0x0A00,
    "Gujarati": 0x0A80,
    "Oriya": 0x0B00,
    "Tamil": 0x0B80,
    "Telugu": 0x0C00,
    "Kannada": 0x0C80,
    "Malayalam": 0x0D00,
}
VIDEO = {
    "वीडियो": "vidiyo",
    "ভিডিও": "bhidio",
    "ਵੀਡੀਓ": "vidio",
    "વિડિયો": "vidiyo",
    "ଭିଡିଓ": "bhidio",
    "வீடியோ": "vitiyo",
    "వీడియో": "vidiyo",
    "ವೀಡಿಯೊ": "vidiyo",
    "വീഡിയോ": "vidiyo",
}
MOBILE = ("मोबाइल", "মোবাইল", "ਮੋਬਾਈਲ", "મોબાઇલ", "ମୋବାଇଲ", "மொபைல்", "మొబైల్", "ಮೊಬೈಲ್", "മൊബൈൽ")
CAMERA = ("कैमरा", "ক্যামেরা", "ਕੈਮਰਾ", "કેમેરા", "କ୍ୟାମେରା", "கேமரா", "కెమెరా", "ಕ್ಯಾಮೆರಾ", "ക്യാമറ")
TAMIL_HAS = st.builds(  # and every other of the nine scripts
    str.__add__, st.sampled_from("कचजटतनपमयरलसहअआइईउऊएओ"), st.sampled_from(["", *"ािीुूेो्ं"])
)
INDIC = st.text(st.characters(min_codepoint=0x0900, max_codepoint=0x0D7F, exclude_characters="।॥"), max_size=20)


def is_indic(text: str) -> bool:
    return any("\u0900" <= letter <= "\u0d7f" and letter not in "।॥" for letter in text)


def alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


@pytest.mark.parametrize(("written", "latin"), VIDEO.items())
def test_a_loanword_is_near_to_how_people_type_it(written: str, latin: str) -> None:
    assert romanised(written) == latin


@pytest.mark.parametrize(("words", "typed"), [(VIDEO, "video"), (MOBILE, "mobile"), (CAMERA, "camera")])
def test_a_loanword_looks_alike_in_nine_scripts_and_like_itself(words: tuple[str, ...], typed: str) -> None:
    assert len({unicodedata.name(word[0]).split()[0] for word in words}) == len(SCRIPTS)
    assert min(alike(*pair) for pair in combinations(map(romanised, words), 2)) >= 0.5
    assert min(alike(romanised(word), typed) for word in words) >= 0.5


@given(st.lists(TAMIL_HAS, max_size=8), st.sampled_from(list(SCRIPTS.values())))
def test_the_same_letters_are_the_same_in_each_script(syllables: list[str], block: int) -> None:
    word = " ".join(syllables)  # apart: some scripts join vowel signs that follow each other
    moved = "".join(letter if letter == " " else chr(ord(letter) - 0x0900 + block) for letter in word)
    assert romanised(moved) == romanised(word)


@pytest.mark.parametrize("block", SCRIPTS.values(), ids=SCRIPTS)
def test_digits_are_digits(block: int) -> None:
    assert romanised("".join(chr(block + 0x66 + i) for i in range(10))) == "0123456789"


@pytest.mark.parametrize(
    ("written", "latin"),
    [("ज़ूम", "zum"), ("जूम", "jum"), ("फ़ोटो", "foto"), ("फोटो", "photo"), ("ਜ਼ੂਮ", "zum"), ("ಫ಼ೋಟೋ", "foto"), ("पेड़", "ped")],
)
def test_a_nukta_makes_z_and_f_and_else_nothing(written: str, latin: str) -> None:
    assert romanised(written) == latin
    assert romanised(unicodedata.normalize("NFD", written)) == latin


@pytest.mark.parametrize(
    ("written", "latin"),
    [("कमल", "kamal"), ("कम्ल", "kaml"), ("कमला", "kamala"), ("स्टोर", "stor"), ("மொபைல்", "mopail"), ("नमस्ते", "namaste")],
)
def test_the_vowel_that_is_not_written_is_there_unless_killed_or_last(written: str, latin: str) -> None:
    assert romanised(written) == latin


@pytest.mark.parametrize(("written", "latin"), [("हिंदी", "hindi"), ("माँ", "man"), ("ਪੰਜਾਬ", "panjab"), ("अंक", "ank")])
def test_a_nasal_mark_is_an_n(written: str, latin: str) -> None:
    assert romanised(written) == latin


def test_the_letters_of_malayalam_without_a_vowel_are_as_with_a_killer() -> None:
    assert romanised("മൊബൈൽ") == romanised("മൊബൈല്")
    assert romanised("അവൻ") == "avan"


@given(INDIC)
def test_composed_or_not_makes_no_difference(text: str) -> None:
    assert romanised(unicodedata.normalize("NFD", text)) == romanised(unicodedata.normalize("NFC", text))


def test_of_a_mixed_text_the_rest_is_kept() -> None:
    assert romanised("Open यह PDF, பின் 😀 ¿né? 日本") == "Open yah PDF, pin 😀 ¿né? 日本"


@given(st.text().filter(lambda text: not is_indic(text)))
def test_a_text_without_indian_words_is_kept(text: str) -> None:
    assert romanised(text) == text


@given(st.lists(INDIC | st.text(max_size=5), max_size=5).map("".join))
def test_nothing_indian_is_left(text: str) -> None:
    assert not is_indic(romanised(text))


def test_nothing_stays_nothing() -> None:
    assert romanised("") == ""


@pytest.mark.parametrize(
    ("written", "latin"),
    [
        ("ਪੜ੍ਹੋ", "padho"), ("ହୟ", "hay"), ("କ୍ୟାମେରା", "kyamera"), ("ॲप", "ap"), ("ॲक्शन", "akshan"), ("ॐ", "om"),
        ("ৰ", "r"),
    ],
)  # fmt: skip
def test_no_letter_in_daily_use_vanishes(written: str, latin: str) -> None:
    assert romanised(written) == latin


@pytest.mark.parametrize(("written", "latin"), [("काम।", "kam।"), ("काम॥ बस", "kam॥ bas"), ("কাজ।কাজ", "kaj।kaj")])
def test_a_danda_is_no_letter(written: str, latin: str) -> None:
    assert romanised(written) == latin


@pytest.mark.parametrize(("written", "latin"), [("അവന്\u200d", "avan"), ("क्\u200dष", "ksh"), ("ర్\u200cక", "rk")])
def test_joiners_are_not_seen(written: str, latin: str) -> None:
    assert romanised(written) == latin


def test_joiners_elsewhere_are_kept() -> None:
    assert romanised("👩\u200d🏫 می\u200cخواهم") == "👩\u200d🏫 می\u200cخواهم"
