"""The body of an OpenAI-style request: the few fields that routing needs, and the one that it changes."""

import re
from functools import cache
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType

from smart_router.api.parameters import NO_RAW, Parameters
from smart_router.api.wire import located
from smart_router.errors import BadRequest


class Conversation(Struct):
    """Of the Responses API."""

    id: str


class Head(Parameters):
    """What routing reads, and what may be refused; all else is the model server's business."""

    model: str | UnsetType | None = UNSET
    stream: bool | UnsetType | None = UNSET
    session_id: str | None = None
    conversation_id: str | None = None
    conversation: str | Conversation | None = None
    previous_response_id: str | None = None
    user: Raw = NO_RAW
    messages: Raw = NO_RAW
    input: Raw = NO_RAW
    prompt: Raw = NO_RAW
    system: Raw = NO_RAW
    instructions: Raw = NO_RAW

    @property
    def conversation_ref(self) -> str | None:
        """The client's own name of the conversation."""
        if isinstance(self.conversation, Conversation):
            return self.conversation.id
        return self.conversation or self.conversation_id


_decoder = msgspec.json.Decoder(Head)


def read_head(body: bytes) -> Head:
    """
    Raises:
        BadRequest: not a JSON object, or a field that routing reads is of another type.
    """
    try:
        if not body.isascii():
            body.decode()  # a text that nobody here reads is not looked at by the decoder
        return _decoder.decode(body)
    except msgspec.ValidationError as exc:
        what, place = located(str(exc))
        raise BadRequest(f"{place}: {what}" if place else what) from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply; send a flatter JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadRequest(f"the body is not JSON in UTF-8 ({exc}); send a JSON object") from None


def with_model(body: bytes, head: Head, model: str) -> bytes:
    """
    *body*, byte for byte, but for the value of its `model`.

    Raises:
        BadRequest: `model` is given twice.
    """
    if head.model == model:
        return body
    if not isinstance(head.model, str):
        return with_fields(body, {"model": model})
    begin, end = _only_model(body)
    return body[:begin] + msgspec.json.encode(model) + body[end:]


def with_fields(body: bytes, fields: dict[str, object]) -> bytes:
    """*body* with *fields* that it lacks put in front, and those that are null filled in."""
    lacking = {}
    for name, value in fields.items():
        place = _place_of(name, body)
        if place is not None and body[slice(*place)] == b"null":
            body = body[: place[0]] + msgspec.json.encode(value) + body[place[1] :]
        else:
            lacking[name] = value
    if not lacking:
        return body
    start = body.index(b"{") + 1
    comma = b"" if _END.match(body, start) else b","
    return body[:start] + msgspec.json.encode(lacking)[1:-1] + comma + body[start:]


# Possessive: a string that had to remember where to go back to would cost a hundred times its length in memory.
_MODEL = re.compile(rb'"model"\s*+:\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+")')
_ESCAPED_LETTER = b"\\u006"  # m, o, d, e and l may be written so
_END = re.compile(rb"\s*+\}")


def _only_model(body: bytes) -> tuple[int, int]:
    """
    Where the value of the outermost `model` begins and ends.

    1. There is only one place that looks like it: then that is it, as a decoder has found one.
    2. Else the decoder tells which is the last, and whether one comes before it.

    Raises:
        BadRequest: there are two, and servers differ in which one counts.
    """
    if body.count(b'"model"') == 1 and _ESCAPED_LETTER not in body and (only := _MODEL.search(body)):
        return only.span(1)  # 1
    place = _place_of("model", body)  # 2
    assert place is not None
    if _place_of("model", _until_key(body, place[0])) is not None:
        raise BadRequest("model: is given twice; send it once")
    return place


def _until_key(body: bytes, value: int) -> bytes:
    """The outermost object as far as the key of the *value* that begins there; no letter of the key is a quote."""
    key = body.rindex(b'"', 0, body.rindex(b'"', 0, value))
    return body[:key] + b'"":0}'


def _place_of(name: str, body: bytes) -> tuple[int, int] | None:
    """Where the value of the outermost field called *name* begins and ends; of several, of the last: it counts."""
    found = _field(name).decode(body).value
    if not found:
        return None
    begin = _address(found) - _address(body)  # a `Raw` is a view of what was decoded
    assert body.startswith(found, begin)
    return begin, begin + len(found)


@cache
def _field(name: str) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(msgspec.defstruct("Field", [("value", Raw, NO_RAW)], rename={"value": name}))


def _address(of: bytes | Raw) -> int:
    return np.frombuffer(of, np.uint8).ctypes.data
