"""
Is a JSON schema, a grammar or a list of choices one that a model server compiles without harm?

The bounds are far above what agents' tools and structured answers have, and far below what it takes to exhaust a
compiler or to overflow its stack. Nothing here recurses: a hostile schema must not do to us what it would do to them.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from smart_router.decide.pattern import fault_of_pattern

MOST_DEPTH = 64  # brackets within each other, a property of an object being two; also schemas, references followed
MOST_NODES = 2_000  # objects and lists
MOST_UNFOLDED = 20_000  # schemas, with every reference replaced by what it refers to
MOST_CHOICES = 2_000
MOST_REQUIRED = 1_000  # minLength, minItems, …: each must be spelt out
MOST_ALLOWED = 100_000  # maxLength, maxItems, …

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref"})  # of the same value
_ONE = frozenset({
    "additionalProperties", "additionalItems", "unevaluatedProperties", "unevaluatedItems", "items", "contains",
    "propertyNames", "not", "if", "then", "else",
})  # fmt: skip
_SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_ANYTHING: dict[str, Any] = {}
_BRACKET = re.compile(r"[()\[\]{}]")

Schema = dict[str, Any]
Graph = dict[int, list[int]]  # of schemas, by the ids of their objects


def fault_of_schema(schema: object) -> str | None:
    """What is wrong with a decoded schema, and what would be right; None: nothing."""
    if not isinstance(schema, dict):
        return None if isinstance(schema, bool) else "must be a JSON schema: an object"
    return _fault_of_size(schema) or _fault_of_schemas(schema)


def fault_of_choices(choices: object) -> str | None:
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        return "must be a list of texts"
    return None if 0 < len(choices) <= MOST_CHOICES else f"must have 1 to {MOST_CHOICES} entries"


def fault_of_grammar(grammar: object) -> str | None:
    if not isinstance(grammar, str):
        return "must be a grammar: a text"
    depth = 0
    for bracket in _BRACKET.findall(grammar):
        depth += 1 if bracket in "([{" else -1
        if depth > MOST_DEPTH:
            return f"must not nest brackets more than {MOST_DEPTH} deep"
    return None


def size_of_patterns(schema: object) -> int:
    """The characters of all patterns in a schema with which nothing is wrong."""
    found, waiting = 0, [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            pattern, names = node.get("pattern"), node.get("patternProperties")
            found += len(pattern) if isinstance(pattern, str) else 0
            found += sum(map(len, names)) if isinstance(names, dict) else 0
        parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        waiting += (part for part in parts if isinstance(part, dict | list))
    return found


def _fault_of_size(schema: Schema) -> str | None:
    level: list[Any] = [schema]
    nodes = depth = 0
    while level:
        nodes, depth = nodes + len(level), depth + 1
        if nodes > MOST_NODES:
            return f"must have at most {MOST_NODES} objects and lists; send a smaller schema"
        if depth > MOST_DEPTH:
            return f"must not be nested more than {MOST_DEPTH} deep; send a flatter schema"
        parts = (node.values() if isinstance(node, dict) else node for node in level)
        level = [part for inner in parts for part in inner if isinstance(part, dict | list)]
    return None


def _fault_of_schemas(root: Schema) -> str | None:
    """Every schema within *root*, also those that only a reference leads to."""
    whole: Graph = {}
    in_place: Graph = {}
    waiting, refers = [root], False
    while waiting:
        schema = waiting.pop()
        if id(schema) in whole:
            continue
        within = list(_within(schema))
        if "$ref" in schema:
            refers, target = True, _target(schema["$ref"], root)
            if isinstance(target, str):
                return target
            within.append(("$ref", target))
        if fault := _fault_of_keywords(schema):
            return fault
        whole[id(schema)] = [id(inner) for _, inner in within]
        in_place[id(schema)] = [id(inner) for keyword, inner in within if keyword in _IN_PLACE]
        waiting += (inner for _, inner in within)
    return _fault_of_references(whole, in_place) if refers else None


def _within(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The schemas directly within one, each with the keyword that it stands under."""
    for keyword, value in schema.items():
        if isinstance(value, dict):
            if keyword in _ONE:
                yield keyword, value
            elif keyword in _NAMED:
                yield from ((keyword, inner) for inner in value.values() if isinstance(inner, dict))
        elif keyword in _SEVERAL and isinstance(value, list):
            yield from ((keyword, inner) for inner in value if isinstance(inner, dict))


def _fault_of_keywords(schema: Schema) -> str | None:
    for keyword in _CHECKS.keys() & schema.keys():
        if fault := _CHECKS[keyword](schema[keyword]):
            return f"{keyword} {fault}"
    return None


def _fault_of_type(said: object) -> str | None:
    types = said if isinstance(said, list) else [said]
    if types and all(isinstance(one, str) and one in TYPES for one in types):
        return None
    return f"must be one of {', '.join(TYPES)}, or a list of these"


def _fault_of_enum(values: object) -> str | None:
    right = isinstance(values, list) and 0 < len(values) <= MOST_CHOICES
    return None if right else f"must be a list of 1 to {MOST_CHOICES} values"


def _fault_of_required(count: object) -> str | None:
    return _fault_of_count(count, MOST_REQUIRED)


def _fault_of_allowed(count: object) -> str | None:
    return _fault_of_count(count, MOST_ALLOWED)


def _fault_of_count(value: object, most: int) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most and value == int(value):
        return None
    return f"must be a whole number from 0 to {most}"


def _fault_of_text(pattern: object) -> str | None:
    return fault_of_pattern(pattern) if isinstance(pattern, str) else "must be a regular expression: a text"


def _fault_of_names(patterns: object) -> str | None:
    return next(filter(None, map(fault_of_pattern, patterns)), None) if isinstance(patterns, dict) else None


_CHECKS: dict[str, Callable[[object], str | None]] = {
    "type": _fault_of_type,
    "enum": _fault_of_enum,
    "pattern": _fault_of_text,
    "patternProperties": _fault_of_names,
    **dict.fromkeys(("minLength", "minItems", "minProperties", "minContains"), _fault_of_required),
    **dict.fromkeys(("maxLength", "maxItems", "maxProperties", "maxContains"), _fault_of_allowed),
}


def _target(reference: object, root: Schema) -> Schema | str:
    """What a JSON pointer leads to, or what is wrong with it."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return "$ref must point into the schema itself, such as #/$defs/name"
    found: Any = root
    for step in reference.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~").replace("%24", "$").replace("%25", "%")
        if isinstance(found, list) and name.isdecimal() and len(name) < 6:
            found = found[int(name)] if int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, bool):
        return _ANYTHING
    return found if isinstance(found, dict) else f"$ref leads to nothing: {reference[:100]}"


def _fault_of_references(whole: Graph, in_place: Graph) -> str | None:
    """
    1. A schema that holds itself in place (`$ref`, `allOf`, …) would be unfolded for ever.
    2. One that holds itself as a part is finite text, such as a tree's: all that holds no such one is measured.
    """
    if len(_unfolded(in_place)) < len(in_place):
        return "$ref must not lead back to where it stands without a property or an item between"  # 1
    for size, depth in _unfolded(whole).values():  # 2
        if size > MOST_UNFOLDED:
            return f"must unfold to at most {MOST_UNFOLDED} schemas; use fewer references within each other"
        if depth > MOST_DEPTH:
            return f"must not be nested more than {MOST_DEPTH} deep by its references; send a flatter schema"
    return None


def _unfolded(graph: Graph) -> dict[int, tuple[int, int]]:
    """How many schemas each becomes, and how deep, with all within it written out; what has no end is missing."""
    outer: dict[int, list[int]] = defaultdict(list)
    for node, within in graph.items():
        for inner in within:
            outer[inner].append(node)
    left = {node: len(within) for node, within in graph.items()}
    done: dict[int, tuple[int, int]] = {}
    ready = [node for node, count in left.items() if not count]
    while ready:
        node = ready.pop()
        parts = [done[inner] for inner in graph[node]]
        done[node] = 1 + sum(size for size, _ in parts), 1 + max((depth for _, depth in parts), default=0)
        for one in outer[node]:
            left[one] -= 1
            if not left[one]:
                ready.append(one)
    return done
