"""What a pydantic model says of its fields, in words: the kind of value, what is allowed, and what it is by default."""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from scripts.docs.markdown import NONE

_NAMES = {
    bool: "true, false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "text, a secret",
    Path: "path",
}


def allowed(field: FieldInfo) -> str:
    """Such as *whole number, 1 to 64*."""
    kind = in_words(field.annotation)
    return ", ".join(part for part in (kind, *bounds([*field.metadata, *_inner(field.annotation)])) if part)


def in_words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), [part for part in get_args(annotation) if part is not types.NoneType]
    if origin is Annotated:
        return in_words(inner[0])
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(part) for part in inner)
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in inner)
    if origin is tuple:
        return _list_of(inner[0])
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return _NAMES[annotation]


def _list_of(part: Any) -> str:
    origin = get_origin(part)
    return (
        f"list of {in_words(part)}" if origin is Literal else "list" if _is_text(part) else f"list of {in_words(part)}"
    )


def _is_text(annotation: Any) -> bool:
    return annotation is str or (get_origin(annotation) is Annotated and get_args(annotation)[0] is str)


def _inner(annotation: Any) -> Iterator[Any]:
    """The bounds that a named kind of value brings along."""
    for part in get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else [annotation]:
        if get_origin(part) is Annotated:
            for said in get_args(part)[1:]:
                yield from said.metadata if isinstance(said, FieldInfo) else [said]


def bounds(metadata: list[Any]) -> Iterator[str]:
    low = next((part for part in metadata if isinstance(part, Ge | Gt)), None)
    high = next((part.le for part in metadata if isinstance(part, Le)), None)
    if low is not None and high is not None:
        least = f"{_number(low.ge)} to" if isinstance(low, Ge) else f"more than {_number(low.gt)}, up to"
        yield f"{least} {_number(high)}"
    if any(isinstance(part, MinLen) and part.min_length for part in metadata):
        yield "not empty"
    longest = next((part.max_length for part in metadata if isinstance(part, MaxLen)), None)
    if longest is not None:
        yield f"at most {longest} characters"


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value == "" or value == () or value == {} or isinstance(value, BaseModel):
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    return _number(value) if isinstance(value, int | float) else f"`{value}`"


def _number(value: Any) -> str:
    """Large powers of two as people say them."""
    for unit, size in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2)):
        if isinstance(value, int) and value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value:g}" if isinstance(value, float) else f"{value}"
