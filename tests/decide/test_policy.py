"""What an operator's rules let pass: the strictest of all holds, and nothing that is filled in goes beyond it."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.policy import NO_RULES, filled, refusal, strictest
from smart_router.types import Deny, Rules, Wish


def deny(pattern: str, message: str = "no", place: str = "deny[0]") -> Deny:
    return Deny(re.compile(pattern).search, message, place)


def refused(rules: Rules, **wish: Any) -> str | None:
    """By which rule."""
    found = refusal(rules, Wish(**wish))
    return None if found is None else found.rule


# how much


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
@pytest.mark.parametrize(
    ("asked", "passes"), [(0, True), (1, True), (10, True), (10.5, False), (11, False), (-1, False)]
)
def test_as_many_tokens_as_are_allowed_may_be_asked_for(field: str, asked: float, passes: bool) -> None:
    assert refused(Rules(max_tokens=10), tokens={field: asked}) == (None if passes else field)


def test_the_refusal_says_the_field_the_cap_and_what_to_send() -> None:
    found = refusal(Rules(max_tokens=10), Wish({"max_tokens": 5, "max_completion_tokens": 11}))
    assert found is not None
    assert (found.field, found.message) == (
        "max_completion_tokens",
        "max_completion_tokens: at most 10 is allowed here; send 1 to 10, or leave it out",
    )


def test_choices_have_a_cap_of_their_own() -> None:
    assert refused(Rules(max_choices=2), choices={"n": 3}) == "n"
    assert refused(Rules(max_choices=2), choices={"n": 2, "best_of": 3}) == "best_of"
    assert refused(Rules(max_choices=2), choices={"n": 2}, tokens={"max_tokens": 3}) is None
    assert refused(Rules(max_tokens=2), choices={"n": 3}) is None


def test_a_cap_is_filled_in_where_the_client_leaves_it_open() -> None:
    assert filled(Rules(max_tokens=10), Wish(open_ended=True)) == 10
    assert filled(Rules(max_tokens=10), Wish({"max_tokens": 3})) is None
    assert filled(Rules(max_choices=10), Wish(open_ended=True)) is None


# what is said


def test_a_text_that_matches_is_refused_with_the_operators_message() -> None:
    rules = Rules(deny=(deny("cat", "no cats", "a"), deny("dog", "no dogs", "b")))
    found = refusal(rules, Wish(texts=("a bird", "hot dogs")))
    assert found is not None
    assert (found.rule, found.message, found.field) == ("b", "no dogs", None)
    assert refusal(rules, Wish(texts=("a bird", "a fish"))) is None


def test_what_nobody_can_read_is_refused_only_where_texts_are_looked_at() -> None:
    assert refused(Rules(deny=(deny("cat"),)), unreadable="prompt") == "prompt"
    assert refused(Rules(max_tokens=1), unreadable="prompt") is None


def test_no_text_is_searched_for_a_request_that_asks_for_too_much() -> None:
    def never(text: str) -> object:
        raise AssertionError(text)

    assert refused(Rules(1, deny=(Deny(never, "", ""),)), tokens={"max_tokens": 2}, texts=("x",)) == "max_tokens"


# together

caps = st.none() | st.integers(1, 50)
rules = st.builds(Rules, caps, caps)


@given(st.lists(st.none() | rules, max_size=4), st.integers(-2, 60), st.integers(-2, 60))
def test_the_strictest_always_wins(several: list[Rules | None], tokens: int, choices: int) -> None:
    """All of them together let pass what each of them does, and nothing else."""
    wish = Wish({"max_tokens": tokens}, {"n": choices})
    passed = [one is None or refusal(one, wish) is None for one in several]
    assert (refusal(strictest(*several), wish) is None) == all(passed)


@given(st.lists(st.none() | rules, max_size=4), st.booleans())
def test_what_is_filled_in_is_never_above_a_cap(several: list[Rules | None], open_ended: bool) -> None:
    found = filled(strictest(*several), Wish(open_ended=open_ended))
    limits = [one.max_tokens for one in several if one is not None and one.max_tokens is not None]
    assert (found is None) == (not open_ended or not limits)
    if found is not None:
        assert refusal(strictest(*several), Wish({"max_tokens": found})) is None
        assert found == min(limits)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=3), max_size=3), st.text("abcd", max_size=5))
def test_every_pattern_of_all_is_looked_for(several: list[list[str]], text: str) -> None:
    known = {letter: deny(letter, place=letter) for letter in "abc"}
    together = strictest(*(Rules(deny=tuple(known[letter] for letter in letters)) for letters in several))
    denied = {letter for letters in several for letter in letters}
    assert (refused(together, texts=(text,)) is None) == denied.isdisjoint(text)


def test_no_rules_are_none() -> None:
    assert strictest() == strictest(None, NO_RULES) == NO_RULES
    assert refused(NO_RULES, tokens={"max_tokens": 10**9}, choices={"n": 10**9}, texts=("x",), unreadable="p") is None
