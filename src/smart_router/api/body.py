"""The body of an OpenAI-style request: the few fields that routing needs, and the one that it changes."""

import re
from collections.abc import Iterator

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from smart_router.errors import BadRequest

NO_RAW = Raw()


class Conversation(Struct):
    """Of the Responses API."""

    id: str


class Head(Struct):
    """What routing reads; all else is the model server's business."""

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
        what, _, where = str(exc).partition(" - at `$")
        place = where.rstrip("`").lstrip(".")
        raise BadRequest(f"{place}: {what}" if place else what) from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply; send a flatter JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadRequest(f"the body is not JSON in UTF-8 ({exc})") from None


def with_model(body: bytes, head: Head, model: str) -> bytes:
    """*body*, byte for byte, but for the value of its `model`."""
    if head.model == model:
        return body
    if not isinstance(head.model, str):
        return with_fields(body, {"model": model})
    begin, end = _place_of_model(body)
    return body[:begin] + msgspec.json.encode(model) + body[end:]


def with_fields(body: bytes, fields: dict[str, object]) -> bytes:
    """*body* with *fields* that it lacks (or that are null) put in front."""
    start = body.index(b"{") + 1
    more = msgspec.json.encode(fields)[1:-1]
    rest = _without_nulls(body[start:], fields)
    return body[:start] + more + (b"" if rest.lstrip()[:1] == b"}" else b",") + rest


_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
_ESCAPED_LETTER = b"\\u006"  # m, o, d, e and l may be written so
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]')


def _place_of_model(body: bytes) -> tuple[int, int]:
    """
    Where the value of the outermost `model` begins and ends.

    1. There is only one place that looks like it: then that is it, as a decoder has found one.
    2. Else the nesting tells: the field stands at depth one.

    Raises:
        BadRequest: there are two, and servers differ in which one counts.
    """
    if body.count(b'"model"') == 1 and _ESCAPED_LETTER not in body and (only := _MODEL.search(body)):
        return only.span(1)  # 1
    found = list(_outer_models(body))
    if len(found) > 1:
        raise BadRequest("model: is given twice; send it once")
    return found[0]  # 2


def _outer_models(body: bytes) -> Iterator[tuple[int, int]]:
    depth, named = 0, False
    for token in _TOKEN.finditer(body):
        text = token.group()
        if text in (b"{", b"["):
            depth += 1
            named = False
        elif text in (b"}", b"]"):
            depth -= 1
        elif named and depth == 1:
            yield token.span()
            named = False
        else:
            named = depth == 1 and _is_key(body, token.end()) and msgspec.json.decode(text) == "model"


def _is_key(body: bytes, after: int) -> bool:
    return body[after : after + 64].lstrip()[:1] == b":"


def _without_nulls(rest: bytes, fields: dict[str, object]) -> bytes:
    """A null that comes later would count: the last of two fields of one name does."""
    for name in fields:
        rest = re.sub(rb'"%s"\s*:\s*null\s*(,\s*|(?=\}))' % name.encode(), b"", rest, count=1)
    return rest
