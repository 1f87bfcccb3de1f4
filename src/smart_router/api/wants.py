"""What a request wants, read for an operator's rules: how much of an answer, and all that it says to the model."""

from collections.abc import Iterator
from math import inf
from typing import Any

import msgspec
from msgspec import Raw, Struct

from smart_router.api.parameters import NO_RAW
from smart_router.api.said import messages_of
from smart_router.errors import BadRequest
from smart_router.types import Wish

TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
CHOICES = ("n", "best_of")
# What a model gets to read, on any of the paths.
SAID = (
    "messages", "previous_input_messages", "input", "prompt", "suffix", "system", "instructions", "instruction",
    "tools", "functions", "response_format", "output_config", "text", "documents", "query", "queries", "items",
    "text_1", "text_2", "data_1", "data_2", "ref_text", "chat_template", "chat_template_kwargs",
)  # fmt: skip
_EMBEDDED = "prompt_embeds"

_decode = msgspec.json.decode
# Of a body nothing else is kept: it may have a million fields.
_Fields = msgspec.defstruct("_Fields", [(name, Raw, NO_RAW) for name in (*TOKENS, *CHOICES, *SAID, _EMBEDDED)])


class QueryWants(Struct, frozen=True):
    """Of a `/route` request; *max_tokens* if its client says any."""

    query: str
    max_tokens: int | None

    @property
    def size(self) -> int:
        return 4 * len(self.query)

    def wish(self, *, texts: bool) -> Wish:
        said = (self.query,) if texts else ()
        if self.max_tokens is None:
            return Wish(open_ended=True, texts=said)
        return Wish({"max_tokens": self.max_tokens}, texts=said)


class BodyWants(Struct, frozen=True):
    """Of a *body* that is passed on; *limits* are the fields of its API that say how long an answer may be."""

    body: bytes
    limits: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.body)

    def wish(self, *, texts: bool) -> Wish:
        """
        Raises:
            BadRequest: a field cannot be read; names it.
        """
        fields = _decoded(self.body, _Fields, "the body")
        tokens = _numbers(fields, TOKENS) if self.limits else {}
        choices = _numbers(fields, CHOICES) if self.limits else {}
        open_ended = bool(self.limits) and tokens.keys().isdisjoint(self.limits)
        if not texts:
            return Wish(tokens, choices, open_ended)
        said = {name: _decoded(raw, Any, name) for name, raw in _given(fields, SAID)}
        unreadable = next((name for name, value in said.items() if _is_tokens(value)), None)
        if unreadable is None and getattr(fields, _EMBEDDED) not in (NO_RAW, _NULL):
            unreadable = _EMBEDDED
        if unreadable is not None:
            return Wish(tokens, choices, open_ended, unreadable=unreadable)
        found = tuple(text for name, value in said.items() for text in messages_of(name, value))
        return Wish(tokens, choices, open_ended, found)


_NULL = Raw(b"null")


def _given(fields: Struct, names: tuple[str, ...]) -> Iterator[tuple[str, Raw]]:
    return ((name, raw) for name in names if (raw := getattr(fields, name)))


def _numbers(fields: Struct, names: tuple[str, ...]) -> dict[str, float]:
    found = ((name, _number(raw)) for name, raw in _given(fields, names))
    return {name: number for name, number in found if number is not None}


def _number(raw: Raw) -> float | None:
    """What is no number is beyond any: servers differ in what they make of it."""
    try:
        return _decode(raw, type=int | float | None)
    except msgspec.ValidationError:
        return inf


def _is_tokens(value: Any) -> bool:
    """Or lists of them."""
    return isinstance(value, list) and any(
        isinstance(one, int) or (isinstance(one, list) and any(isinstance(inner, int) for inner in one))
        for one in value
    )


def _decoded(raw: bytes | Raw, kind: Any, place: str) -> Any:
    try:
        return _decode(raw, type=kind)
    except (ValueError, RecursionError) as exc:  # msgspec's and UnicodeDecodeError are ValueErrors
        raise BadRequest(f"{place}: cannot be read ({exc}); send it as the API's reference says") from None
