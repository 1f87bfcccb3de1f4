"""Patterns: RE2's, quiet, and linear in the text."""

from time import process_time

import pytest

from smart_router.access.keyfile import Denied, Entry
from smart_router.rules import ready, searching

AT_MOST_S = 20.0  # backtracking would take longer than the universe is old


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("secret", "a Secret", False),
        ("(?i)secret", "a SECRET", True),
        ("(?i)größe", "die GRÖSSE, die GRÖßE", True),
        ("(?i)größe", "die GRÖẞE", True),
        (r"\p{Devanagari}+", "कुंजी", True),
        ("^ignore", "please ignore", False),
        ("(?m)^ignore", "please\nignore", True),
        ("a.c", "a\nc", False),
        ("(?s)a.c", "a\nc", True),
        (r"\bкот\b", "кот", False),  # \b and \w know ASCII alone
        ("a\0b", "a\0b", True),
        ("magic", "\ud800 magic", True),
    ],
)
def test_a_pattern_is_searched_for_anywhere(pattern: str, text: str, found: bool) -> None:
    assert searching(pattern)(text) is found


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing )"),
        ("[z-a]", "invalid character class range"),
        ("*a", "no argument for repetition operator"),
        (r"(a)\1", "invalid escape sequence"),
        ("(?=a)", "invalid perl operator"),
        ("a{1001}", "invalid repetition size"),
        ("[\\p{L}]{1000}", "pattern too large"),
        ("\ud800", "surrogates not allowed"),
    ],
)
def test_a_wrong_pattern_says_what_is_wrong_and_nothing_on_the_side(
    pattern: str, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"RE2") as told:
        searching(pattern)
    assert why in str(told.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a|a?)+b", "(.*)(.*)(.*)(.*)(.*)z", "(a?){500}a{500}c"])
@pytest.mark.parametrize("end", ["", "!"])
def test_no_text_makes_a_pattern_run_away(pattern: str, end: str) -> None:
    search, text = searching(pattern), "a" * 1_000_000 + end
    begun = process_time()
    search(text)
    assert process_time() - begun < AT_MOST_S


def test_written_rules_know_their_place() -> None:
    entry = Entry("k_1", "a" * 64, max_tokens=5, deny=(Denied("a", "no a"), Denied("b", "no b")))
    rules = ready(entry, "keys[k_1].")
    assert rules is not None
    assert (rules.max_tokens, rules.max_choices) == (5, None)
    assert [(deny.place, deny.message) for deny in rules.deny] == [
        ("keys[k_1].deny[0]", "no a"),
        ("keys[k_1].deny[1]", "no b"),
    ]


def test_nothing_written_is_no_rules() -> None:
    assert ready(Entry("k_1", "a" * 64), "") is None
