"""What a request wants, read for an operator's rules: how much of an answer, and all that it says to the model."""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import msgspec
from msgspec import Raw, Struct

from smart_router.errors import BadRequest
from smart_router.types import Wish

TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
CHOICES = ("n", "best_of")
# What a model gets to read, on any of the paths.
SAID = (
    "messages", "input", "prompt", "suffix", "system", "instructions", "tools", "functions", "documents", "query",
    "queries", "text_1", "text_2", "chat_template", "chat_template_kwargs",
)  # fmt: skip
_EMBEDDED = "prompt_embeds"
# Labels, which say nothing, and contents that are no text.
_LABELS = frozenset({"role", "type"})
_MOST_OF_A_LABEL = 40
_BLOBS = frozenset({
    "image_url", "audio_url", "video_url", "input_audio", "image_embeds", "image_pil", "audio", "video", "file_data",
    "signature", "encrypted_content",
})  # fmt: skip

_decode = msgspec.json.decode


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
        fields = _decoded(self.body, dict[str, Raw], "the body")
        tokens = _numbers(fields, TOKENS) if self.limits else {}
        choices = _numbers(fields, CHOICES) if self.limits else {}
        open_ended = bool(self.limits) and tokens.keys().isdisjoint(self.limits)
        if not texts:
            return Wish(tokens, choices, open_ended)
        said = {name: _decoded(fields[name], Any, name) for name in SAID if name in fields}
        unreadable = next((name for name, value in said.items() if _is_tokens(value)), None)
        if unreadable is None and fields.get(_EMBEDDED, _NULL) != _NULL:
            unreadable = _EMBEDDED
        found = tuple(text for value in said.values() for text in _messages(value))
        return Wish(tokens, choices, open_ended, found, unreadable)


_NULL = Raw(b"null")


def _numbers(fields: Mapping[str, Raw], names: tuple[str, ...]) -> dict[str, float]:
    found = ((name, _number(fields[name])) for name in names if name in fields)
    return {name: number for name, number in found if number is not None}


def _number(raw: Raw) -> float | None:
    """What is no number is beyond any: servers differ in what they make of it."""
    try:
        return _decode(raw, type=int | float | None)
    except msgspec.ValidationError:
        return inf


def _is_tokens(value: Any) -> bool:
    """Or lists of them."""
    return isinstance(value, list) and any(isinstance(one, int | list) for one in value)


def _messages(value: Any) -> Iterator[str]:
    """One text per message; what it consists of, line by line."""
    for message in value if isinstance(value, list) else [value]:
        if text := "\n".join(_texts(message)):
            yield text


def _texts(value: Any) -> Iterator[str]:
    """All texts within *value*, in order; not recursive, as nesting is the client's."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            left.extend(reversed(value))
        elif isinstance(value, dict):
            left.extend(its for name, its in reversed(value.items()) if not _says_nothing(name, its, value))


def _says_nothing(name: str, value: Any, owner: Mapping[str, Any]) -> bool:
    if name in _LABELS:
        return isinstance(value, str) and len(value) <= _MOST_OF_A_LABEL and value.isidentifier()
    return name in _BLOBS or (name == "data" and owner.get("type") in ("base64", "redacted_thinking"))


def _decoded(raw: bytes | Raw, kind: Any, place: str) -> Any:
    try:
        return _decode(raw, type=kind)
    except (ValueError, RecursionError) as exc:  # msgspec's and UnicodeDecodeError are ValueErrors
        raise BadRequest(f"{place}: cannot be read ({exc}); send it as the API's reference says") from None
