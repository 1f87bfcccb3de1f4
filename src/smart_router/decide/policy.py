"""
Whether an operator's rules let a request pass.

    1. it asks for a longer answer, or for more of them, than they allow
    2. nobody can see what it says, though there are texts that they refuse
    3. it says one of these
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from smart_router.types import Rules, Wish

NO_RULES = Rules()


class Refusal(Struct, frozen=True):
    """*rule* is what was broken: a field, or the place of a pattern; *field* is given where one is at fault."""

    rule: str
    message: str
    field: str | None = None


def strictest(*all_rules: Rules | None) -> Rules:
    """All of them together."""
    rules = [rules for rules in all_rules if rules is not None]
    return Rules(
        _least(given.max_tokens for given in rules),
        _least(given.max_choices for given in rules),
        tuple(dict.fromkeys(deny for given in rules for deny in given.deny)),
    )


def refusal(rules: Rules, wish: Wish) -> Refusal | None:
    """Why *wish* is not granted; None if it is."""
    return (
        _too_much(wish.tokens, rules.max_tokens)  # 1
        or _too_much(wish.choices, rules.max_choices)
        or (_unreadable(wish.unreadable) if rules.deny else None)  # 2
        or _denied(rules, wish.texts)  # 3
    )


def filled(rules: Rules, wish: Wish) -> int | None:
    """The tokens to ask for in place of a client that leaves it open, where they are limited."""
    return rules.max_tokens if wish.open_ended else None


def _least(numbers: Iterable[int | None]) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _too_much(asked: Mapping[str, float], most: int | None) -> Refusal | None:
    """Below zero stands for no end with some servers."""
    if most is None:
        return None
    field = next((field for field, number in asked.items() if not 0 <= number <= most), None)
    if field is None:
        return None
    return Refusal(field, f"{field}: at most {most} is allowed here; send 1 to {most}, or leave it out", field)


def _unreadable(field: str | None) -> Refusal | None:
    if field is None:
        return None
    return Refusal(field, f"{field}: what is asked is looked at here; send it as text", field)


def _denied(rules: Rules, texts: Iterable[str]) -> Refusal | None:
    found = next((deny for text in texts for deny in rules.deny if deny.search(text)), None)
    return None if found is None else Refusal(found.place, found.message)
