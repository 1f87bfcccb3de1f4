"""Honest schemas pass; what would exhaust a compiler or overflow its stack is refused."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.schema import (
    MOST_ALLOWED,
    MOST_CHOICES,
    MOST_DEPTH,
    MOST_NODES,
    MOST_REQUIRED,
    fault_of_choices,
    fault_of_grammar,
    fault_of_schema,
)

TEXT = {"type": "string"}


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def nested(deep: int) -> dict[str, Any]:
    """Objects in lists in alternatives, as agents' tools have them at most."""
    return an_object(of={"anyOf": [{"type": "array", "items": nested(deep - 1)}, {"type": "null"}]}) if deep else TEXT


TREE = {
    "$ref": "#/$defs/Node",
    "$defs": {"Node": an_object(name=TEXT, children={"type": "array", "items": {"$ref": "#/$defs/Node"}})},
}
HONEST: list[Any] = [
    {},
    True,
    False,
    TEXT,
    an_object(),
    nested(8),
    TREE,
    {"type": ["string", "null"], "maxLength": 65_536, "minLength": 1, "pattern": "^[a-z]+$", "format": "email"},
    {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 500, "uniqueItems": True},
    {"enum": [1, "a", None, {"type": "bogus"}]},
    {"const": {"type": "bogus"}},
    {"type": "integer", "minimum": -5, "maximum": 1e9},
    an_object(type=TEXT, pattern=TEXT, items=TEXT, enum={"type": "array"}, **{"$ref": TEXT}),
    {"properties": {"a": {"$ref": "#/properties/b"}, "b": TEXT}},
    {"items": [TEXT, {"$ref": "#/items/0"}]},
    {
        "definitions": {"a/b~c": TEXT, "all": True},
        "allOf": [{"$ref": "#/definitions/a~1b~0c"}, {"$ref": "#/definitions/all"}],
    },
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/a",
        "examples": [{"minItems": -1}],
    },
    {"patternProperties": {"^x-": TEXT}, "propertyNames": {"pattern": "^[a-z]"}, "dependentSchemas": {"a": TEXT}},
    {"properties": {"self": {"$ref": "#"}}, "default": {"$ref": 5}},
    {"type": "string", "maxLength": 10.0},
    {"enum": [f"value {i}" for i in range(MOST_CHOICES)]},
    {"if": TEXT, "then": TEXT, "else": {"not": TEXT}},
]


@pytest.mark.parametrize("schema", HONEST)
def test_an_honest_schema_passes(schema: Any) -> None:
    assert fault_of_schema(schema) is None


def within(schema: Any) -> list[Any]:
    """The schema at every place where one may stand."""
    return [
        schema,
        an_object(a=schema),
        {"type": "array", "items": schema},
        {"items": [TEXT, schema]},
        {"prefixItems": [schema]},
        {"anyOf": [TEXT, {"allOf": [schema]}]},
        {"oneOf": [schema]},
        {"not": schema},
        {"additionalProperties": schema},
        {"patternProperties": {"^a": schema}},
        {"$defs": {"a": schema}},
        {"definitions": {"a": schema}},
        {"dependentSchemas": {"a": schema}},
        {"contains": schema},
        {"propertyNames": schema},
        {"if": TEXT, "then": schema},
        {"x-hidden": [schema], "$ref": "#/x-hidden/0"},
    ]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "bogus"}, "type"),
        ({"type": 5}, "type"),
        ({"type": []}, "type"),
        ({"type": ["string", "any"]}, "type"),
        ({"type": {"type": "string"}}, "type"),
        ({"type": None}, "type"),
        ({"pattern": "("}, "pattern"),
        ({"pattern": 5}, "pattern"),
        ({"pattern": "(a+)+"}, "pattern"),
        ({"pattern": "a" * 2_000}, "pattern"),
        ({"patternProperties": {"[": {}}}, "patternProperties"),
        ({"minItems": MOST_REQUIRED + 1}, "minItems"),
        ({"minLength": 10**9}, "minLength"),
        ({"minProperties": 1e300}, "minProperties"),
        ({"maxItems": MOST_ALLOWED + 1}, "maxItems"),
        ({"maxLength": -1}, "maxLength"),
        ({"maxLength": "5"}, "maxLength"),
        ({"maxLength": True}, "maxLength"),
        ({"maxLength": 1.5}, "maxLength"),
        ({"minContains": 10**400}, "minContains"),
        ({"$ref": "https://example.org/schema.json"}, "$ref"),
        ({"$ref": "file:///etc/passwd"}, "$ref"),
        ({"$ref": "other"}, "$ref"),
        ({"$ref": "#/$defs/missing"}, "$ref"),
        ({"$ref": "#/properties/a/0/b"}, "$ref"),
        ({"$ref": 5}, "$ref"),
        ({"$ref": "#a"}, "$ref"),
        ({"enum": []}, "enum"),
        ({"enum": list(range(MOST_CHOICES + 1))}, "enum"),
        ({"enum": "a"}, "enum"),
    ],
)
def test_a_hostile_schema_is_refused_wherever_it_stands(schema: Any, said: str) -> None:
    assert [said in str(fault_of_schema(whole)) for whole in within(schema)] == [True] * 17


@pytest.mark.parametrize("schema", [None, 5, "string", [], [TEXT]])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    assert "must be a JSON schema" in str(fault_of_schema(schema))


def chain(step: str, length: int) -> dict[str, Any]:
    return {
        "$ref": "#/$defs/s0",
        "$defs": {f"s{i}": {step: [{"$ref": f"#/$defs/s{(i + 1) % length}"}]} for i in range(length)},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"anyOf": [TEXT, {"$ref": "#"}]},
        {"not": {"$ref": "#"}},
        chain("oneOf", 1),
        chain("oneOf", 2),
        chain("allOf", 100),
        an_object(a={"$ref": "#/properties/a"}),
        {"if": {"$ref": "#"}},
        {"properties": {"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}}},
    ],
)
def test_a_schema_that_would_unfold_for_ever_is_refused(schema: Any) -> None:
    assert "lead back" in str(fault_of_schema(schema))


def doubling(keyword: str, steps: int, last: Any) -> dict[str, Any]:
    """Each definition refers to the next one twice."""
    twice = [[{"$ref": f"#/$defs/s{i + 1}"}] * 2 for i in range(steps)]
    held = [{"properties": {"a": a, "b": b}} if keyword == "properties" else {keyword: [a, b]} for a, b in twice]
    return {"$ref": "#/$defs/s0", "$defs": {f"s{i}": one for i, one in enumerate(held)} | {f"s{steps}": last}}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "prefixItems", "properties"])
def test_a_schema_that_doubles_with_every_reference_is_refused(keyword: str) -> None:
    assert fault_of_schema(doubling(keyword, 8, TEXT)) is None
    assert "unfold" in str(fault_of_schema(doubling(keyword, 30, TEXT)))


def test_references_within_references_count_as_depth() -> None:
    defs = {f"s{i}": an_object(a={"$ref": f"#/$defs/s{i + 1}"}) for i in range(100)} | {"s100": TEXT}
    assert "deep" in str(fault_of_schema({"$ref": "#/$defs/s0", "$defs": defs}))


@pytest.mark.parametrize("open", ['{"a":', '{"items":', "[", '{"anyOf":['])
def test_depth_is_bounded_and_overflows_nothing(open: str) -> None:
    schema: Any = {}
    for _ in range(100_000):
        schema = (
            [schema] if open == "[" else {open.partition('"')[2].partition('"')[0]: [schema] if "[" in open else schema}
        )
    assert "deep" in str(fault_of_schema({"x": schema}))


def test_depth_of_honest_tools_is_far_below_the_bound() -> None:
    deep: Any = TEXT
    for _ in range(MOST_DEPTH // 2 - 1):
        deep = {"properties": {"a": deep}}
    assert fault_of_schema(deep) is None
    assert "deep" in str(fault_of_schema({"properties": {"a": {"properties": {"a": deep}}}}))


def test_size_is_bounded() -> None:
    assert fault_of_schema({"properties": {f"p{i}": TEXT for i in range(MOST_NODES - 2)}}) is None
    assert "at most" in str(fault_of_schema({"properties": {f"p{i}": TEXT for i in range(MOST_NODES)}}))
    assert "at most" in str(fault_of_schema({"default": [[] for _ in range(MOST_NODES)]}))


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["#", "#/a", "string", "(a+)+"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "$ref", "items", "anyOf", "properties", "enum", "pattern", "maxItems", "a"]), inner
        )
    ),
    max_leaves=40,
)


@given(json)
def test_nothing_that_json_can_say_breaks_it(said: Any) -> None:
    fault = fault_of_schema(said)
    assert fault is None or (0 < len(fault) < 400)


def test_the_worst_is_read_in_little_time() -> None:
    """In some seconds, generously: it takes some milliseconds."""
    begun = time.process_time()
    fault_of_schema(doubling("anyOf", 490, TEXT))
    fault_of_schema({"$defs": {f"s{i}": {"$ref": "#/$defs/s0"} for i in range(1_900)}})
    fault_of_schema({"properties": {f"p{i}": {"pattern": f"(a|b{i})" * 100} for i in range(60)}})
    assert time.process_time() - begun < 10


def test_choices_are_texts_and_not_too_many() -> None:
    assert fault_of_choices(["a", "b"]) is None
    assert fault_of_choices(["a"] * MOST_CHOICES) is None
    for choices in ([], ["a"] * (MOST_CHOICES + 1), "a", None, [1], ["a", None], {"a": 1}):
        assert fault_of_choices(choices)


def test_a_grammar_may_nest_brackets_so_deep() -> None:
    assert fault_of_grammar('root ::= ("a" | [a-z]+){1,3}') is None
    assert fault_of_grammar("(" * MOST_DEPTH + ")" * MOST_DEPTH) is None
    assert "deep" in str(fault_of_grammar("(" * (MOST_DEPTH + 1)))
    assert fault_of_grammar({"root": "a"})
