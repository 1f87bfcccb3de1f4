"""What the client's own conversation tells: the last turn's words, its media, and whose conversation it is."""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw, Struct

from smart_router.api.body import Head
from smart_router.api.parameters import NO_RAW, decoded
from smart_router.types import NOTHING, MediaKind

DISTINCTIVE = 12  # characters of a first message from which on it tells conversations apart; "hi" does not
ID_BYTES = 16

_MEDIA: dict[str, MediaKind] = {
    "image_url": "image", "input_image": "image", "image": "image", "image_pil": "image", "image_embeds": "image",
    "audio_url": "audio", "input_audio": "audio", "audio": "audio", "video_url": "video", "video": "video",
}  # fmt: skip


class _Part(Struct):
    type: str = ""
    text: str | None = None
    content: Raw = NO_RAW  # of a tool's result


class _Message(Struct):
    role: str = ""
    content: str | list[_Part | str] | None = None
    type: Any = None
    output: Raw = NO_RAW  # of a tool, in the Responses API


class Turn(Struct, frozen=True):
    """*media*: of the last message of the user; *carried*: of all earlier ones."""

    text: str = ""
    previous: str = ""  # what the user said in the turn before
    media: frozenset[MediaKind] = NOTHING
    carried: frozenset[MediaKind] = NOTHING
    opening: tuple[str, ...] = ()  # what the conversation began with; empty if that tells nothing


_Said = str | list[_Message | str | int | list[Any]] | None
_said = msgspec.json.Decoder(_Said)
_parts = msgspec.json.Decoder(str | list[_Part | str] | None)
_system = msgspec.json.Decoder(str | list[_Part | str] | None)


def last_turn(head: Head) -> Turn:
    """
    Of `messages`, `input` or `prompt`, whichever there is.

    Raises:
        BadRequest: it cannot be read; names the field.
    """
    field, raw = _conversation_of(head)
    if not raw:
        return Turn()
    messages = _messages(decoded(field, raw, _said))
    users = [i for i, message in enumerate(messages) if _is_turn(message)]
    if not users:
        return Turn(media=_media(messages))
    last = users[-1]
    return Turn(
        text=_text(messages[last]),
        previous=_text(messages[users[-2]]) if len(users) > 1 else "",
        media=_media(messages[last:]),
        carried=_media(messages[:last]),
        opening=_opening(messages, users[0], head),
    )


def derived_session(caller: str, opening: Sequence[str]) -> str | None:
    """
    An id that the later turns of the same conversation get too, and other callers' do not; None if its opening is too
    common to tell it from others.
    """
    if not opening:
        return None
    digest = hmac.new(caller.encode(), msgspec.json.encode(opening), hashlib.sha256).digest()[:ID_BYTES]
    return f"c-{digest.hex()}"


def _conversation_of(head: Head) -> tuple[str, Raw]:
    fields = (("messages", head.messages), ("input", head.input), ("prompt", head.prompt))
    return next(((name, raw) for name, raw in fields if raw), ("messages", NO_RAW))


def _messages(said: Any) -> list[_Message]:
    if isinstance(said, str):
        return [_Message("user", said)]
    return [m if isinstance(m, _Message) else _Message("user", m) for m in said or () if isinstance(m, _Message | str)]


def _is_turn(message: _Message) -> bool:
    """Said by the user; a tool's result is not, though Anthropic's API gives it that role, and OpenAI's newer none."""
    if message.role != "user":
        return message.role == "" and message.type in (None, "", "message")
    parts = message.content if isinstance(message.content, list) else ()
    return not parts or any(not isinstance(part, _Part) or part.type != "tool_result" for part in parts)


def _opening(messages: Sequence[_Message], first: int, head: Head) -> tuple[str, ...]:
    """User, first message and system prompt; with a message that many begin with, also the first answer."""
    said, reply = _text(messages[first]), ""
    if len(said) < DISTINCTIVE:
        reply = next((_text(message) for message in messages[first + 1 :] if message.role == "assistant"), "")
        if len(reply) < DISTINCTIVE:
            return ()
    system = [_text(message) for message in messages[:first]]
    given = ((name, raw) for name, raw in (("system", head.system), ("instructions", head.instructions)) if raw)
    system += [_text(_Message("system", decoded(name, raw, _system))) for name, raw in given]
    return (bytes(head.user).decode(errors="replace"), said, reply, *system)


def _text(message: _Message) -> str:
    content = message.content
    if isinstance(content, str):
        return content
    texts = (part if isinstance(part, str) else part.text or "" for part in content or ())
    return "\n".join(text for text in texts if text)


def _media(messages: Iterable[_Message]) -> frozenset[MediaKind]:
    parts = chain.from_iterable(_parts_of(message) for message in messages)
    kinds = {_MEDIA[part.type] for part in parts if part.type in _MEDIA}
    return frozenset(kinds) if kinds else NOTHING


def _parts_of(message: _Message) -> Iterator[_Part]:
    """A tool's result has parts of its own: a screenshot, a page."""
    for part in message.content if isinstance(message.content, list) else ():
        if isinstance(part, _Part):
            yield part
            if part.type == "tool_result":
                yield from _result(part.content)
    yield from _result(message.output)


def _result(raw: Raw) -> Iterator[_Part]:
    try:
        found = _parts.decode(raw) if raw else None
    except (msgspec.DecodeError, RecursionError):  # what a tool says is the model server's business
        return
    if isinstance(found, list):
        yield from (part for part in found if isinstance(part, _Part))
