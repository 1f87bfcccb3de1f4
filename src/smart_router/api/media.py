"""The links to media, and the parts that stand for media already encoded, anywhere in an OpenAI-style body."""

from collections.abc import Iterator
from typing import Any

import msgspec

from smart_router.errors import BadRequest

# A body without these has neither links nor encoded parts: the keys of all end so.
_MARKS = (b'url"', b'_embeds"')
_HIDING = (b"\\u005", b"\\u006", b"\\u007")  # escapes of the letters of these ends, and of the underscore
_LINKS = frozenset({
    "image_url", "audio_url", "video_url", "file_url", "input_image", "input_audio", "image", "audio", "video",
    "source", "file",
})  # fmt: skip
_PARTS = frozenset({"image", "audio", "video", "file", "document", "image_url", "audio_url", "video_url"})
_ENCODED = frozenset({"image_embeds", "audio_embeds", "video_embeds", "prompt_embeds"})
# Written by a model, read by a tool, or about the request: a server fetches nothing that is named in these.
_NOT_FETCHED = frozenset({
    "tools", "functions", "arguments", "metadata", "annotations", "citations", "response_format", "structured_outputs",
    "guided_json", "text", "chat_template_kwargs", "action",
})  # fmt: skip
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use", "custom_tool_call", "mcp_call"})

Place = tuple[Any, ...]


def may_hold_media(body: bytes) -> bool:
    """In a few microseconds; False is certain."""
    return any(mark in body for mark in _MARKS) or (b"\\u00" in body and any(mark in body for mark in _HIDING))


def media_of(body: bytes) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """
    Links, each with its place; and parts that are encoded already, by place and name.

    Raises:
        BadRequest: the body is nested too deeply.
    """
    links: list[tuple[str, str]] = []
    encoded: list[tuple[str, str]] = []
    try:
        waiting: list[tuple[Place, Any]] = [((), msgspec.json.decode(body))]
    except RecursionError:
        raise BadRequest("the body is nested too deeply; send a flatter JSON object") from None
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, list):
            waiting += (((place, i), inner) for i, inner in enumerate(value) if isinstance(inner, dict | list))
        elif isinstance(value, dict):
            links += ((_written((place, key)), url) for key, url in _links(value))
            encoded += ((_written(place), name) for name in _encoded(value))
            waiting += (((place, key), inner) for key, inner in _inner(value))
    return links[::-1], encoded


def _links(part: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _LINKS & part.keys():
        value = part[name]
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", value[key]) for key in ("url", "file_url") if isinstance(value.get(key), str))
        elif isinstance(value, str) and name.endswith("_url"):
            yield name, value
    if isinstance(part.get("url"), str) and _kind(part) in _PARTS:
        yield "url", part["url"]


def _encoded(part: dict[str, Any]) -> Iterator[str]:
    names = _ENCODED & part.keys()
    kind = _kind(part)
    yield from names | {kind} if kind in _ENCODED else names


def _inner(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    called = _kind(part) in _CALLS
    for name, value in part.items():
        if isinstance(value, dict | list) and name not in _NOT_FETCHED and not (called and name == "input"):
            yield name, value


def _kind(part: dict[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _written(place: Place) -> str:
    """`messages[0].content[1].image_url`."""
    steps = []
    while place:
        place, step = place
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step[:64]}")
    return "".join(reversed(steps)).lstrip(".")
