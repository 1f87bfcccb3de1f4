"""Which rules apply to a request, and that looking for them holds nobody up."""

import asyncio
import threading
from typing import Any

import pytest

from smart_router.errors import PolicyRefused
from smart_router.registry import Policy
from smart_router.rulebook import AT_ONCE, Rulebook, applied
from smart_router.types import Ask, Deny, Grant, Rules, Wants, Wish
from tests.fakes import a_model, a_registry, a_use_case

PATIENCE_S = 20.0


class Said:
    """One text."""

    def __init__(self, text: str, **wish: Any) -> None:
        self._text, self._wish = text, wish
        self.read: list[bool] = []

    @property
    def size(self) -> int:
        return len(self._text)

    def wish(self, *, texts: bool) -> Wish:
        self.read.append(texts)
        return Wish(texts=(self._text,) if texts else (), **self._wish)


def an_ask(wants: Wants | None, rules: Rules | None = None) -> Ask:
    grant = None if rules is None else Grant("k", frozenset(), rules=rules)
    return Ask("r", "k", "", "s", grant=grant, wants=wants)


def a_book(**policies: Policy) -> Rulebook:
    """Of the use cases that are named, all of one model."""
    use_cases = [a_use_case(name, "writer", policy=policy) for name, policy in policies.items()]
    return Rulebook(a_registry(a_model("writer"), use_cases=use_cases))


def test_rules_are_the_use_cases_and_the_callers() -> None:
    book = a_book(agent=Policy(max_tokens=10, max_choices=3), tts=Policy())
    theirs = an_ask(None, Rules(max_tokens=5))
    assert book.on(an_ask(None), "agent") == Rules(10, 3)
    assert book.on(theirs, "agent") == Rules(5, 3)
    assert book.on(theirs, "tts") == Rules(5)
    assert book.on(an_ask(None), "tts") is None


def test_use_cases_of_the_same_rules_are_alike() -> None:
    book = a_book(agent=Policy(max_tokens=10), tts=Policy(), stt=Policy(max_tokens=10))
    assert book.alike(["agent", "stt"])
    assert not book.alike(["agent", "tts"])
    assert book.alike(["tts"])


async def test_texts_are_read_only_where_a_pattern_applies() -> None:
    said = Said("x", open_ended=True)
    assert await applied(Rules(max_tokens=5), said) == 5
    assert await applied(Rules(deny=(Deny(lambda _: None, "", ""),)), said) is None
    assert said.read == [False, True]


async def test_what_is_sure_to_pass_breaks_no_rule_of_any_use_case() -> None:
    book = a_book(agent=Policy(), tts=Policy(max_tokens=5))
    assert await book.sure_to_pass(an_ask(None))
    assert await book.sure_to_pass(an_ask(Said("", tokens={"max_tokens": 5})))
    assert not await book.sure_to_pass(an_ask(Said("", tokens={"max_tokens": 6})))
    assert not await book.sure_to_pass(an_ask(Said("", tokens={"max_tokens": 5}), Rules(max_tokens=4)))


@pytest.mark.parametrize("found", [True, False])
async def test_a_long_text_is_searched_while_others_are_served(found: bool) -> None:
    others_served = threading.Event()

    def search(text: str) -> bool:
        assert others_served.wait(PATIENCE_S), "nobody else was served meanwhile"
        return found

    looking = asyncio.create_task(applied(Rules(deny=(Deny(search, "no", "deny[0]"),)), Said("x" * (AT_ONCE + 1))))
    await asyncio.sleep(0)
    others_served.set()
    if not found:
        assert await looking is None
        return
    with pytest.raises(PolicyRefused) as told:
        await looking
    assert (told.value.rule, told.value.message) == ("deny[0]", "no")
