"""The links to media, and the parts that stand for media already encoded, anywhere in an OpenAI-style body."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Raw

from smart_router.api.parameters import decoded
from smart_router.errors import BadRequest

# Objects, lists and what they hold: far above a long conversation's, few enough to be walked through in half a second.
MOST_VALUES = 100_000
MOST_MEDIA = 512  # data: URLs too; a server fetches and decodes each

# A body without `url"`, `_embeds"` and these keys has neither links nor encoded parts: all their names end so.
_TYPES = re.compile(rb'(?:image|audio|video)"\s*+:')  # types are named so too
_HIDING = (b"\\u005", b"\\u006", b"\\u007")  # escapes of the letters of these ends, and of the underscore
_LINKS = frozenset({
    "image_url", "audio_url", "video_url", "file_url", "input_image", "input_audio", "image", "audio", "video",
    "source", "file",
})  # fmt: skip
# What these hold is a link if it looks like one, else the media themselves: base64 has no colon.
_PLAIN = frozenset({"image", "audio", "video", "input_image", "input_audio"})
_LOOKS_LIKE_A_LINK = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
_PARTS = frozenset({
    "image", "audio", "video", "file", "document", "image_url", "audio_url", "video_url", "input_image", "input_audio",
    "input_file",
})  # fmt: skip
_ENCODED = frozenset({"image_embeds", "audio_embeds", "video_embeds", "prompt_embeds"})
# Fields of a request: a server fetches nothing that is named in these.
_ABOUT_THE_REQUEST = frozenset({
    "tools", "functions", "metadata", "response_format", "structured_outputs", "guided_json", "chat_template_kwargs",
})  # fmt: skip
# Deeper: written by a model, or read by a tool.
_NOT_FETCHED = frozenset({"tools", "functions", "arguments", "metadata", "annotations", "citations", "text", "action"})
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})  # parts of a message
_OF_A_CALL = _NOT_FETCHED | {"input"}

_NO_PUNCTUATION = bytes(set(range(256)) - set(b'",[{'))
_TOKEN = re.compile(rb'"[^"]*+"?+|(?P<between>[^"]++)')  # a string, or what stands between two

Place = Sequence[str | int]


class Media(NamedTuple):
    """*links*, each with its place, and the parts that are *encoded* already, by place and name."""

    links: Sequence[tuple[str, str]]
    encoded: Sequence[tuple[str, str]]


NO_MEDIA = Media((), ())


def may_hold_media(body: bytes) -> bool:
    """False is certain. Written out, as every request comes by."""
    if b'url"' in body or b'_embeds"' in body:
        return True
    if b'image"' in body or b'audio"' in body or b'video"' in body:
        return _TYPES.search(body) is not None or _is_hiding(body)
    return b"\\u00" in body and _is_hiding(body)


def _is_hiding(body: bytes) -> bool:
    return any(escape in body for escape in _HIDING)


def media_of(body: bytes) -> Media:
    """
    In the order of the body.

    Raises:
        BadRequest: the body cannot be read, or there is more of it than is looked through.
    """
    if _holds_more_than(MOST_VALUES, body):
        raise BadRequest(
            f"the body: beside media, at most {MOST_VALUES} values are taken, objects and lists included; send fewer"
        )
    links: list[tuple[str, str]] = []
    encoded: list[tuple[str, str]] = []
    for place, part in _objects(decoded("the body", Raw(body))):
        links += ((_written((*place, name)), url) for name, url in _links(part))
        encoded += ((_written(place), name) for name in _encoded(part))
        if len(links) + len(encoded) > MOST_MEDIA:
            raise BadRequest(f"the body: at most {MOST_MEDIA} pictures, sounds and videos are taken; send fewer")
    return Media(links, encoded)


def _holds_more_than(most: int, body: bytes) -> bool:
    """A value stands behind a bracket or a comma. Strings are told apart only if there are too many of these in all."""
    if len(body) <= most or _values(body) <= most:
        return False
    found = 0
    for token in _TOKEN.finditer(_punctuation(body)):
        if token["between"]:
            found += _values(token["between"])
            if found > most:
                return True
    return False


def _punctuation(body: bytes) -> bytes:
    """Quotes, commas and opening brackets alone. Two quotes side by side begin and end nothing that holds any."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return unescaped.translate(None, _NO_PUNCTUATION).replace(b'""', b"")


def _values(text: bytes) -> int:
    return text.count(b",") + text.count(b"{") + text.count(b"[")


def _objects(body: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    """All that are looked at, each with its place, which holds until the next is asked for."""
    place: list[str | int] = []
    if isinstance(body, dict):
        yield place, body
    levels = [_within(body, place)]
    while levels:
        for step, value in levels[-1]:
            place.append(step)
            if isinstance(value, dict):
                yield place, value
            levels.append(_within(value, place))
            break
        else:
            levels.pop()
            del place[-1:]


def _within(value: Any, place: Place) -> Iterator[tuple[str | int, Any]]:
    """The objects and lists directly within one at *place*."""
    if isinstance(value, list):
        return ((i, inner) for i, inner in enumerate(value) if isinstance(inner, dict | list))
    skipped = _skipped(value, place)
    return ((name, inner) for name, inner in value.items() if isinstance(inner, dict | list) and name not in skipped)


def _skipped(part: dict[str, Any], place: Place) -> frozenset[str]:
    """Fields that no server follows a link in. In doubt, none: a type is the client's word."""
    if not place:
        return _ABOUT_THE_REQUEST
    called = _kind(part) in _CALLS and isinstance(part.get("input"), dict)
    return _OF_A_CALL if called and place[0] == "messages" and place[-2:-1] == ["content"] else _NOT_FETCHED


def _links(part: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _LINKS & part.keys():
        value = part[name]
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", value[key]) for key in ("url", "file_url") if isinstance(value.get(key), str))
        elif isinstance(value, str) and (name.endswith("_url") or _is_plain_link(name, value)):
            yield name, value
    if isinstance(part.get("url"), str) and _kind(part) in _PARTS:
        yield "url", part["url"]


def _is_plain_link(name: str, value: str) -> bool:
    return name in _PLAIN and _LOOKS_LIKE_A_LINK.match(value) is not None


def _encoded(part: dict[str, Any]) -> Iterator[str]:
    names = _ENCODED & part.keys()
    kind = _kind(part)
    yield from names | {kind} if kind in _ENCODED else names


def _kind(part: dict[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _written(place: Place) -> str:
    """`messages[0].content[1].image_url`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step[:64]}" for step in place)
    return "".join(steps).lstrip(".")
