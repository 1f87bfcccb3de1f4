"""Reads JSON lines that people have labelled; a line that is not right is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from smart_router.errors import ConfigurationError
from smart_router.types import MEDIA_KINDS, MediaKind

_T = TypeVar("_T")


def load_lines(path: Path, read: Callable[[dict[str, Any]], _T], form: str) -> tuple[_T, ...]:
    """
    What *read* makes of each line that is not empty; *form* is how a line looks.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not of that form; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines(): it knows separators that JSON may hold
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path}: cannot be read: {exc}") from None
    return tuple(_read(line, read, f"{path}:{i}", form) for i, line in enumerate(lines, 1) if line.strip())


def has_sessions(path: Path) -> bool:
    """Whether the first line of *path* is a conversation; False as well where there is none to read."""
    try:
        with path.open(encoding="utf-8") as file:
            return "turns" in json.loads(next((line for line in file if line.strip()), "{}"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def text_of(row: dict[str, Any], name: str) -> str:
    """
    Raises:
        KeyError, ValueError: there is none.
    """
    value = row[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def source_of(row: dict[str, Any]) -> str:
    """Where a line is from, without its place there."""
    return str(row.get("source", "")).partition(":")[0] or "unknown"


def media_kind(value: object) -> MediaKind | None:
    """
    Raises:
        ValueError: it is neither null nor a kind of media.
    """
    if value is not None and value not in MEDIA_KINDS:
        raise ValueError(f"modality must be null or one of {', '.join(MEDIA_KINDS)}")
    return value


def _read(line: str, read: Callable[[dict[str, Any]], _T], place: str, form: str) -> _T:
    try:
        return read(json.loads(line))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as exc:
        raise ConfigurationError(f"{place}: not {form}: {exc}") from None
