"""A pattern passes unless it cannot be read, is too large, or repeats what only repeats."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.pattern import MOST_GROUPS_DEEP, MOST_OF_A_PATTERN, MOST_WRITTEN_OUT, fault_of_pattern

HONEST = [
    "", "a", "^$", r"^[a-z0-9]+(?:-[a-z0-9]+)*$", r"^[\w-\.]+@([\w-]+\.)+[\w-]{2,4}$", r"^\d{4}-\d{2}-\d{2}$",
    r"^\/api\/.*$",
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
    r"^(\p{Extended_Pictographic}|\p{Emoji_Component})+$", r"^(?<year>\d+)-(?P<month>\d+)$", r"[\u{1F600}-\u{1F64F}]+",
    r"^[0-9a-fA-F]{8}\b-[0-9a-fA-F]{4}\b-[0-9a-fA-F]{4}\b-[0-9a-fA-F]{4}\b-[0-9a-fA-F]{12}$", r"^#[0-9a-f]{3,8}$",
    r"^(\w+\s?)+$", r"a+?b*?c??", "a++b", "{a}", "a{", "a{b}", "[]a]", "[^]]", r"[\]]", "()", "a||b", "(?=x)y(?<!z)",
    "(ab+)+", "(a+){2}", r"^[\s\S]{1,10000}$", "日本語+", r"^[^\\/:*?\"<>|]+$", "(a{2,3})+", r"\(a+\)+",
]  # fmt: skip


@pytest.mark.parametrize("pattern", HONEST)
def test_an_honest_pattern_passes(pattern: str) -> None:
    assert fault_of_pattern(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "(", ")", "(a", "a)", "[", "[a", r"[a\]", "\\", "*", "+a", "foo**", "a|*", "(?)", "(?i)a", "x{2}{3}", "a{3,2}",
        "[z-a]", "^*",
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    assert "is not a regular expression" in str(fault_of_pattern(pattern))


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b", "(a*)*", "(a+)*", "((a+))+", "(?:a+|b)*", "(b|a+)+", "([a-z]+)*$", "(a{3,})+", "(a+){2,}",
        "(((a*)))+", "(^a+)+",
    ],
)  # fmt: skip
def test_a_repetition_of_nothing_but_a_repetition_is_refused(pattern: str) -> None:
    assert "nothing but a repetition" in str(fault_of_pattern(pattern))


@pytest.mark.parametrize(
    "pattern",
    ["a{10001}", "a{1,20000}", "a{,20000}", "a{20000,}", "(a{200}){200}", "(((a{10}){10}){10}){11}", "(?:ab{100}){100}",
     "a{" + "9" * 500 + "}", "(a{5000}|b{5000})c"],
)  # fmt: skip
def test_what_would_be_written_out_is_counted(pattern: str) -> None:
    assert str(MOST_WRITTEN_OUT) in str(fault_of_pattern(pattern))


def test_groups_may_be_nested_so_deep_and_no_deeper() -> None:
    assert fault_of_pattern("(" * MOST_GROUPS_DEEP + "a" + ")" * MOST_GROUPS_DEEP) is None
    assert "deep" in str(fault_of_pattern("(" * (MOST_GROUPS_DEEP + 1) + "a" + ")" * (MOST_GROUPS_DEEP + 1)))


def test_a_pattern_has_a_longest_length() -> None:
    assert fault_of_pattern("a" * MOST_OF_A_PATTERN) is None
    assert "characters" in str(fault_of_pattern("a" * (MOST_OF_A_PATTERN + 1)))


@pytest.mark.parametrize("start", ["[", "(?", "{", "a{1,", "(a|", "\\", "[^", "(?P<", "a?", "[]"])
def test_the_worst_is_read_in_little_time(start: str) -> None:
    """In some seconds, generously: it takes a few milliseconds."""
    fault_of_pattern.cache_clear()
    begun = time.process_time()
    fault_of_pattern((start * MOST_OF_A_PATTERN)[:MOST_OF_A_PATTERN])
    assert time.process_time() - begun < 5


@given(st.text("ab()[]{}|*+?\\^$-,0123456789=:<>P", max_size=30))
def test_what_python_cannot_read_does_not_pass_and_nothing_breaks(pattern: str) -> None:
    """But for braces, back references, names and look-behinds, whose rules differ between languages."""
    fault = fault_of_pattern(pattern)
    if fault is None and not re.search(r"[{<\\?\[^$]", pattern):
        re.compile(pattern)
