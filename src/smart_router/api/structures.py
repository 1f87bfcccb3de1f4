"""
What an answer must look like, as OpenAI-style bodies say it: schemas, patterns, choices and grammars, wherever they
stand in `tools`, `response_format`, `structured_outputs` and their like.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw

from smart_router.api.parameters import Parameters, decoded, refuse_unless_allowed
from smart_router.decide.parameters import FORMATS, LISTS_OF_TOOLS, is_allowed
from smart_router.decide.pattern import fault_of_pattern
from smart_router.decide.schema import MOST_DEPTH, fault_of_choices, fault_of_grammar, fault_of_schema, size_of_patterns
from smart_router.errors import BadRequest

MOST_BYTES = 64 * 1024  # of each; of each tool
MOST_TOOLS = 512
MOST_OF_ALL_TOOLS = 1024 * 1024
MOST_OF_ALL_PATTERNS = 64 * 1024  # characters, of a request: two microseconds each to read
AT_ONCE = 8 * 1024  # bytes beyond which reading them does not hold up the other requests
MOST_KNOWN = 1024  # digests of what was found to be right: agents send their tools with every turn

# Of older servers: what the field would be called within `structured_outputs`.
_GUIDED = {
    "guided_json": "json",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
    "guided_whitespace_pattern": "whitespace_pattern",
    "structural_tag": "structural_tag",
}
_FIELDS = (*LISTS_OF_TOOLS, *FORMATS, *_GUIDED)
_values: Callable[[Parameters], Sequence[Raw]] = attrgetter(*_FIELDS)
_NULL = Raw(b"null")
_SCHEMAS = frozenset({"json", "schema", "json_schema"})
_OF_A_TOOL = ("parameters", "input_schema")
_PATTERNS = frozenset({"regex", "pattern", "whitespace_pattern"})


def _fault_of_text(pattern: object) -> str | None:
    if not isinstance(pattern, str) or not pattern:
        return "must be a regular expression: a text"
    return fault_of_pattern(pattern)


_CHECKS: dict[str, Callable[[object], str | None]] = {
    **dict.fromkeys(_SCHEMAS, fault_of_schema),
    **dict.fromkeys(_PATTERNS, _fault_of_text),
    "choice": fault_of_choices,
    "grammar": fault_of_grammar,
}


class Structures:
    """Remembers what it found to be right. *allowed*: names of fields that are not looked at, or `*`."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        self._known: dict[bytes, None] = {}  # the oldest first

    async def check(self, given: Parameters) -> None:
        """
        Raises:
            BadRequest: something is larger or other than a server should be asked to compile; names the place.
        """
        values = _values(given)
        if not any(values):
            return
        looked_at = [(name, raw) for name, raw in zip(_FIELDS, values, strict=True) if self._is_looked_at(name, raw)]
        for name, raw in looked_at:
            _check_size(name, raw)
        unknown = {key: field for field in looked_at if (key := _digest(*field)) not in self._known}
        if sum(len(raw) for _, raw in unknown.values()) > AT_ONCE:
            await asyncio.to_thread(_Reading(self._allowed).check, unknown.values())
        else:
            _Reading(self._allowed).check(unknown.values())
        for key in unknown:
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = None

    def _is_looked_at(self, name: str, raw: Raw) -> bool:
        """In other APIs a format is that of a sound, and a text is to be spoken."""
        if not raw or raw == _NULL or is_allowed(name, self._allowed):
            return False
        return name not in FORMATS or bytes(memoryview(raw)[:1]) == b"{"


class _Reading:
    """Of one request."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        self._left = MOST_OF_ALL_PATTERNS

    def check(self, fields: Iterable[tuple[str, Raw]]) -> None:
        """
        Raises:
            BadRequest
        """
        for name, raw in fields:
            if name in LISTS_OF_TOOLS:
                self._check_tools(name, raw)
            elif name in _GUIDED:
                self._walk("structured_outputs", {_GUIDED[name]: decoded(name, raw)})
            else:
                self._walk(name, decoded(name, raw))

    def _walk(self, field: str, value: object) -> None:
        """Looks at everything but the inside of schemas, which is theirs to look at."""
        waiting = [(field, value, 1)]
        while waiting:
            place, value, depth = waiting.pop()
            if depth > MOST_DEPTH and isinstance(value, list | dict):
                raise BadRequest(f"{field}: must not be nested more than {MOST_DEPTH} deep; send a flatter one")
            if isinstance(value, list):
                waiting += ((f"{place}[{i}]", inner, depth + 1) for i, inner in enumerate(value))
            elif isinstance(value, dict):
                for name, inner in value.items():
                    found = self._look(f"{place}.{name[:64]}", name, inner)
                    waiting += ((where, what, depth + 1) for where, what in found)

    def _look(self, place: str, name: str, value: Any) -> list[tuple[str, Any]]:
        """Checks one field, and gives what is still to be walked through."""
        if value is None:
            return []
        if name.startswith("_"):
            raise BadRequest(f"{place}: is the server's own; leave it out")
        if name == "grammar":
            refuse_unless_allowed(name, place, self._allowed)
        if name == "structural_tag" or (name in _SCHEMAS and isinstance(value, str)):
            value = _from_text(place, value)
        if (name in _CHECKS) and (fault := _CHECKS[name](value)):
            raise BadRequest(f"{place}: {fault}")
        self._count(place, len(value) if name in _PATTERNS else size_of_patterns(value) if name in _SCHEMAS else 0)
        if name in _SCHEMAS:  # OpenAI's `json_schema` is none itself, but has one in it
            return [(place, {"schema": value["schema"]})] if isinstance(value, dict) and "schema" in value else []
        return [(place, value)]

    def _check_tools(self, name: str, raw: Raw) -> None:
        for i, one in enumerate(_tools(name, raw)):
            place = f"{name}[{i}]"
            _check_bytes(place, one)
            tool = decoded(place, one)
            for where, holder in ((place, tool), (f"{place}.function", _field(tool, "function"))):
                for field in _OF_A_TOOL:
                    if (schema := _field(holder, field)) is not None:
                        if fault := fault_of_schema(schema):
                            raise BadRequest(f"{where}.{field}: {fault}")
                        self._count(f"{where}.{field}", size_of_patterns(schema))

    def _count(self, place: str, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise BadRequest(
                f"{place}: all patterns together must have at most {MOST_OF_ALL_PATTERNS} characters; send fewer"
            )


def _digest(name: str, raw: Raw) -> bytes:
    return hashlib.sha256(raw, usedforsecurity=False).digest() + name.encode()


def _check_size(name: str, raw: Raw) -> None:
    if name in LISTS_OF_TOOLS:
        if len(raw) > MOST_OF_ALL_TOOLS:
            raise BadRequest(f"{name}: must have at most {MOST_OF_ALL_TOOLS} bytes together; send fewer")
    else:
        _check_bytes(name, raw)


def _field(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, dict) else None


def _tools(name: str, raw: Raw) -> list[Raw]:
    try:
        tools = msgspec.json.decode(raw, type=list[Raw])
    except msgspec.ValidationError:
        raise BadRequest(f"{name}: must be a list") from None
    if len(tools) > MOST_TOOLS:
        raise BadRequest(f"{name}: at most {MOST_TOOLS} are taken; send fewer")
    return tools


def _check_bytes(place: str, raw: Raw) -> None:
    if len(raw) > MOST_BYTES:
        raise BadRequest(f"{place}: must have at most {MOST_BYTES} bytes; send a smaller schema")


def _from_text(place: str, value: Any) -> Any:
    """Some are JSON within a text."""
    if not isinstance(value, str):
        return value
    return decoded(place, Raw(value.encode(errors="replace")))
