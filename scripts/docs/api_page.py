"""docs/reference/api.md: every path with its fields, errors and headers, from the OpenAPI schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.docs.markdown import NONE, introduction, table
from scripts.docs.openapi import openapi

Schema = Mapping[str, Any]
_REF = "#/components/schemas/"
# Tags of the schema, those that most callers need first; what is not among them follows.
_ORDER = ("routing", "OpenAI-style", "models", "sessions", "operations", "models that come and go", "administration")


def api_page() -> str:
    return written(openapi())


def written(schema: Schema) -> str:
    by_tag = dict[str, list[str]]()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["more"])[0]
            by_tag.setdefault(tag, []).append(_operation(method.upper(), path, operation))
    order = [*(tag for tag in _ORDER if tag in by_tag), *(tag for tag in by_tag if tag not in _ORDER)]
    parts = [introduction("api")]
    parts += [f"## {tag[0].upper()}{tag[1:]}\n\n" + "\n".join(by_tag[tag]) for tag in order]
    return "\n".join([*parts, _objects(schema["components"]["schemas"])])


def _operation(method: str, path: str, operation: Schema) -> str:
    parts = [f"### {method} {path}", operation.get("description") or operation.get("summary", "")]
    if parameters := operation.get("parameters"):
        parts.append(table(("parameter", "in", "kind", "meaning"), map(_parameter, parameters)))
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"Body, `{media_type}`:\n\n{_shape(content.get('schema', {}))}")
    parts.append(table(("answer", "body", "when"), _answers(operation["responses"])))
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _parameter(given: Schema) -> tuple[str, str, str, str]:
    name = f"`{given['name']}`" + (", required" if given.get("required") else "")
    return name, given["in"], _kind(given["schema"]), given.get("description") or NONE


def _answers(responses: Schema) -> Iterator[tuple[str, str, str]]:
    for status, answer in responses.items():
        bodies = ", ".join(_body(*content) for content in answer.get("content", {}).items())
        when = answer["description"]
        yield status, bodies or NONE, "" if when == "Successful Response" else when


def _body(media_type: str, content: Schema) -> str:
    kind = _kind(content.get("schema", {}))
    return f"`{media_type}`" if kind in (NONE, "object") else kind


def _shape(schema: Schema) -> str:
    """The fields of an object that is written out; of others, a link to them."""
    return _fields(schema) if "properties" in schema else _kind(schema) + "\n"


def _fields(schema: Schema) -> str:
    required = schema.get("required", [])
    rows = (
        (f"`{name}`", _kind(field), "required" if name in required else _default(field), _meaning(field))
        for name, field in schema["properties"].items()
    )
    more = "\nOther fields are passed on, too.\n" if schema.get("additionalProperties") is True else ""
    return table(("field", "kind", "default", "meaning"), rows) + more


def _meaning(field: Schema) -> str:
    inner = (choice.get("description", "") for choice in field.get("anyOf", []))
    return field.get("description") or next(filter(None, inner), NONE)


def _default(field: Schema) -> str:
    value = field.get("default")
    if value is None or value in ([], {}, ""):
        return NONE
    return f"`{_json(value)}`"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _kind(schema: Schema) -> str:
    """Such as *whole number, 1 to 131072, or null*."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return ", or ".join(_kind(choice) for choice in choices)
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{_json(choice)}`" for choice in schema.get("enum") or [schema["const"]])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}" if schema.get("items") else "list"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_kind(schema['additionalProperties'])}"
    return ", ".join([_name(schema), *_bounds(schema)])


def _name(schema: Schema) -> str:
    if schema.get("format") == "binary":
        return "file"
    names = {"integer": "whole number", "string": "text", "boolean": "true or false", None: NONE}
    kind = schema.get("type")
    return names.get(kind, str(kind))


def _bounds(schema: Schema) -> Iterator[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        yield f"{low:g} to {high}"
    elif low is not None:
        yield f"at least {low:g}"
    if schema.get("minLength"):
        yield "not empty"
    if "maxLength" in schema:
        yield f"at most {schema['maxLength']} characters"


def _objects(schemas: Schema) -> str:
    return "## Objects\n\n" + "\n".join(_object(name, schema) for name, schema in sorted(schemas.items()))


def _object(name: str, schema: Schema) -> str:
    told = " ".join(schema.get("description", "").split())
    shape = _fields(schema) if "properties" in schema else f"{_kind(schema)}\n"
    return "\n\n".join(part for part in (f"### {name}", told, shape) if part)
