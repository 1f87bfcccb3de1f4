"""
An operator's rules, made ready. Patterns run on RE2: in a time that grows with the text and not beyond, so that no
pattern, and no text, can hang the router.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from smart_router.types import Deny, Rules

MOST_PATTERN_CHARACTERS = 2000
MOST_MESSAGE_CHARACTERS = 500
MOST_OF_ANYTHING = 1_000_000  # tokens or choices that a cap can name


class Denied(Protocol):
    """As it is written in a file."""

    @property
    def pattern(self) -> str: ...

    @property
    def message(self) -> str: ...


class Written(Protocol):
    """As they are written in a file."""

    @property
    def max_tokens(self) -> int | None: ...

    @property
    def max_choices(self) -> int | None: ...

    @property
    def deny(self) -> Iterable[Denied]: ...


def ready(written: Written, place: str) -> Rules | None:
    """
    The rules of what is *written* at *place*; None if it has none.

    Raises:
        ValueError: a pattern is wrong; says which and why.
    """
    denied = []
    for i, deny in enumerate(written.deny):
        try:
            denied.append(Deny(searching(deny.pattern), deny.message, f"{place}deny[{i}]"))
        except ValueError as exc:
            raise ValueError(f"deny[{i}].pattern: {exc}") from None
    rules = Rules(written.max_tokens, written.max_choices, tuple(denied))
    return None if rules == Rules() else rules


def searching(pattern: str) -> Callable[[str], bool]:
    """
    Whether a text contains *pattern*.

    Raises:
        ValueError: it is not one of RE2's; says why.
    """
    import re2  # only where there is a pattern

    options = re2.Options()
    options.log_errors = False  # they are ours to tell
    options.never_capture = True  # what captures cost is not linear
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as exc:
        raise ValueError(f"{_why(exc)}; write a regular expression as RE2 knows them") from None
    return lambda text: compiled.search(text.encode(errors="replace")) is not None  # halves of characters are none


def _why(error: Exception) -> str:
    why = error.args[0] if error.args else error
    return why.decode(errors="replace") if isinstance(why, bytes) else str(error)
