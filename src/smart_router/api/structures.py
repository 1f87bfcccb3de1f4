"""
What an answer must look like, as OpenAI-style bodies say it: schemas, patterns, choices and grammars, wherever they
stand in `tools`, `response_format`, `structured_outputs` and their like.
"""

import hashlib
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw

from smart_router.api.parameters import Parameters, decoded, refuse_unless_allowed
from smart_router.decide.parameters import FORMATS, LISTS_OF_TOOLS, is_allowed
from smart_router.decide.pattern import fault_of_pattern
from smart_router.decide.schema import fault_of_choices, fault_of_grammar, fault_of_schema
from smart_router.errors import BadRequest

MOST_BYTES = 64 * 1024  # of each; of each tool
MOST_TOOLS = 512
MOST_OF_ALL_TOOLS = 1024 * 1024
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

    def check(self, given: Parameters) -> None:
        """
        Raises:
            BadRequest: something is larger or other than a server should be asked to compile; names the place.
        """
        values = _values(given)
        if not any(values):
            return
        for name, raw in zip(_FIELDS, values, strict=True):
            if raw and bytes(raw) != b"null" and not is_allowed(name, self._allowed):
                self._check(name, raw)

    def _check(self, name: str, raw: Raw) -> None:
        digest = hashlib.sha256(raw, usedforsecurity=False).digest() + name.encode()
        if digest in self._known:
            return
        if name in LISTS_OF_TOOLS:
            _check_tools(name, raw)
        elif name in _GUIDED:
            self._walk("structured_outputs", {_GUIDED[name]: _sized(name, raw)})
        elif bytes(raw).startswith(b"{"):  # else it is of another API: the text to be spoken, the format of a sound
            self._walk(name, _sized(name, raw))
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = None

    def _walk(self, place: str, value: object) -> None:
        """Looks at everything but the inside of schemas, which is theirs to look at."""
        waiting = [(place, value)]
        while waiting:
            place, value = waiting.pop()
            if isinstance(value, list):
                waiting += ((f"{place}[{i}]", inner) for i, inner in enumerate(value))
            elif isinstance(value, dict):
                for name, inner in value.items():
                    waiting += self._look(f"{place}.{name[:64]}", name, inner)

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
        if name in _SCHEMAS:  # OpenAI's `json_schema` is none itself, but has one in it
            return [(place, {"schema": value["schema"]})] if isinstance(value, dict) and "schema" in value else []
        return [(place, value)]


def _check_tools(name: str, raw: Raw) -> None:
    for i, one in enumerate(_tools(name, raw)):
        place = f"{name}[{i}]"
        tool = _sized(place, one)
        for where, holder in ((place, tool), (f"{place}.function", _field(tool, "function"))):
            for field in _OF_A_TOOL:
                schema = _field(holder, field)
                if schema is not None and (fault := fault_of_schema(schema)):
                    raise BadRequest(f"{where}.{field}: {fault}")


def _field(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, dict) else None


def _tools(name: str, raw: Raw) -> list[Raw]:
    if len(raw) > MOST_OF_ALL_TOOLS:
        raise BadRequest(f"{name}: must have at most {MOST_OF_ALL_TOOLS} bytes together; send fewer")
    try:
        tools = msgspec.json.decode(raw, type=list[Raw])
    except msgspec.ValidationError:
        raise BadRequest(f"{name}: must be a list") from None
    if len(tools) > MOST_TOOLS:
        raise BadRequest(f"{name}: at most {MOST_TOOLS} are taken; send fewer")
    return tools


def _sized(place: str, raw: Raw) -> Any:
    if len(raw) > MOST_BYTES:
        raise BadRequest(f"{place}: must have at most {MOST_BYTES} bytes; send a smaller schema")
    return decoded(place, raw)


def _from_text(place: str, value: Any) -> Any:
    """Some are JSON within a text."""
    if not isinstance(value, str):
        return value
    return decoded(place, Raw(value.encode(errors="replace")))
