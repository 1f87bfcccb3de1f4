"""What goes over the wire on `/route` and `/classify`: field for field the contract."""

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from smart_router.api.wants import QueryWants
from smart_router.errors import BadRequest
from smart_router.registry import Defaults
from smart_router.settings import Settings
from smart_router.types import MEDIA_KINDS, Ask, Attachment, Because, Decision, Grant, MediaKind, Modality, Reason

SESSION_ID = re.compile(r"[A-Za-z0-9._:@~+=-]{1,128}")
SESSION_ID_RULE = "1 to 128 letters, digits and . _ : @ ~ + = -"
MOST_TOKENS = 131_072  # the longest context that models here have

_Text = Annotated[str, Meta(max_length=256)]
_MediaType = Annotated[str, Meta(max_length=100, pattern=r"^(image|audio|video)/[A-Za-z0-9.+-]+\Z")]
_Url = Annotated[str, Meta(max_length=100_000_000)]


class AttachmentIn(Struct, forbid_unknown_fields=True):
    """A file: its `type` and either a `url`, or base64 `data` with its `media_type`."""

    type: MediaKind
    url: _Url | None = None
    data: str | None = None
    media_type: _MediaType | None = None


class RouteRequest(Struct, forbid_unknown_fields=True):
    query: Annotated[str, Meta(min_length=1, description="What the user says.")]
    session_id: Annotated[str | None, Meta(description=f"{SESSION_ID_RULE}; without one, a session begins.")] = None
    user_id: _Text | None = None
    modality: Annotated[Modality | None, Meta(description="A hint at what the query is about.")] = None
    context: Annotated[dict[str, Any], Meta(description="`language`, `domain` and anything else.")] = {}
    attachments: list[AttachmentIn] = []
    max_tokens: Annotated[int, Meta(ge=1, le=MOST_TOKENS, description="Default: the registry's, 100.")] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2, description="Default: the registry's, 0.7.")] | None = None
    use_case: Annotated[str | None, Meta(description="An explicit choice; skips classification.")] = None
    stream: Annotated[bool, Meta(description="Answer with server-sent events.")] = False
    remember: Annotated[bool, Meta(description="False keeps no history of this turn.")] = True


class UsageOut(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class RouteEvent(Struct, kw_only=True):
    """
    The decision: a stream's first event. Durations in seconds, confidence a probability. `fallback_from`: the model
    that should have answered, where another one does.
    """

    use_case: str
    selected_model: str
    fallback_from: str | UnsetType = UNSET
    confidence: float
    reason: Reason
    bypass_used: bool
    context_changed: bool
    session_id: str
    new_session: bool
    routing_time: float
    request_id: str


class RouteResponse(RouteEvent, kw_only=True):
    """The decision and its answer; a stream's `done` event has no `result`, which came before it."""

    success: Literal[True]
    result: str | UnsetType = UNSET
    inference_time: float
    total_time: float
    usage: UsageOut
    finish_reason: str | None = None


class Delta(Struct):
    delta: str


class BecauseOut(Struct):
    hint: list[str]
    guard_cues: dict[str, float]
    session_prior: str | None
    conflict: str | None
    note: str


class Explanation(Struct):
    """What the header `X-Route-Because` holds."""

    scores: dict[str, float]
    because: BecauseOut


def because_out(because: Because) -> BecauseOut:
    cues = {name: round(score, 4) for name, score in because.cues.items()}
    return BecauseOut(list(because.hint), cues, because.session, because.conflict or None, because.note)


def explanation(decision: Decision) -> bytes:
    scores = {name: round(score, 4) for name, score in decision.scores.items()}
    return encode(Explanation(scores, because_out(decision.because)))


class ClassifyResponse(Struct):
    success: Literal[True]
    use_case: str
    confidence: float
    reason: Reason
    selected_model: str
    scores: dict[str, float]
    because: BecauseOut
    bypass_used: bool
    context_changed: bool
    session_id: str | None
    request_id: str


class ErrorResponse(Struct, omit_defaults=True):
    success: Literal[False]
    error_message: str
    error_code: str
    request_id: str
    use_case: str | None = None
    routing_time: float | None = None


MOST_OF_A_MESSAGE = 1000  # characters of a refusal

_FIELDS = RouteRequest.__struct_fields__
_decoder = msgspec.json.Decoder(RouteRequest)
encode = msgspec.json.Encoder().encode


def event(data: Struct, name: bytes = b"") -> bytes:
    """A server-sent event. JSON has no line breaks, so text that looks like an event stays data."""
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + encode(data) + b"\n\n"


def decode_request(body: bytes) -> RouteRequest:
    """
    Raises:
        BadRequest: not JSON, or not of the contract's form; names the field.
    """
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as exc:
        raise BadRequest(_in_words(str(exc), body)[:MOST_OF_A_MESSAGE]) from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply; send a flat JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadRequest(f'the body is not JSON in UTF-8 ({exc}); send an object such as {{"query": "…"}}') from None


def ask_from(
    request: RouteRequest,
    *,
    request_id: str,
    grant: Grant,
    session_id: str,
    debug: bool,
    settings: Settings,
    defaults: Defaults,
) -> Ask:
    """
    Raises:
        BadRequest: a value is out of bounds; names the field and what would be right.
    """
    _check_query(request.query, settings.max_query_chars)
    if len(request.attachments) > settings.max_attachments:
        raise BadRequest(f"attachments: at most {settings.max_attachments} are taken; send fewer")
    return Ask(
        request_id=request_id,
        caller=grant.id,
        query=request.query,
        session_id=session_id,
        modality=request.modality,
        context=request.context,
        attachments=tuple(_attachment(a, f"attachments[{i}]") for i, a in enumerate(request.attachments)),
        max_tokens=defaults.max_tokens if request.max_tokens is None else request.max_tokens,
        temperature=defaults.temperature if request.temperature is None else request.temperature,
        use_case=request.use_case,
        stream=request.stream,
        remember=request.remember,
        debug=debug,
        grant=grant.limits,
        wants=QueryWants(request.query, request.max_tokens),
    )


def checked_session_id(session_id: str) -> str:
    """
    Raises:
        BadRequest: it is not 1 to 128 plain characters.
    """
    if not SESSION_ID.fullmatch(session_id):
        raise BadRequest(f"session_id: must be {SESSION_ID_RULE}")
    return session_id


def _check_query(query: str, most: int) -> None:
    if not query.strip():
        raise BadRequest("query: is empty; say what you want")
    if len(query) > most:
        raise BadRequest(f"query: has {len(query)} characters, at most {most} are taken; shorten it or attach a file")
    if "\0" in query:
        raise BadRequest("query: contains a NUL character; remove it")


def _attachment(given: AttachmentIn, place: str) -> Attachment:
    if (given.url is None) == (given.data is None):
        raise BadRequest(f"{place}: give either url, or data (base64) with media_type")
    if given.url is not None:
        return _linked(given, given.url, place)
    media_type = given.media_type
    if media_type is None or not media_type.startswith(given.type + "/"):
        raise BadRequest(f"{place}.media_type: must say what data is, such as {given.type}/{_SUCH_AS[given.type]}")
    return Attachment(given.type, data=_base64(given.data or "", place), media_type=media_type)


_SUCH_AS = {"image": "png", "audio": "wav", "video": "mp4"}
_DATA_URL = re.compile(r"data:((?:image|audio|video)/[A-Za-z0-9.+-]+);base64,", re.IGNORECASE)


def _linked(given: AttachmentIn, url: str, place: str) -> Attachment:
    if match := _DATA_URL.match(url[:200]):
        inline = AttachmentIn(given.type, data=url[match.end() :], media_type=match.group(1).lower())
        return _attachment(inline, place)
    if not re.match(r"https?://[^\s/]", url) or len(url) > 4096 or any(c <= " " or c == "\x7f" for c in url):
        raise BadRequest(
            f"{place}.url: must be an http:// or https:// address of at most 4096 characters, or a data: URL"
        )
    return Attachment(given.type, url=url, media_type=given.media_type)


def _base64(data: str, place: str) -> str:
    try:
        if base64.b64decode(data, validate=True):
            return data
    except (binascii.Error, ValueError):
        raise BadRequest(f"{place}.data: is not base64; send the file's bytes base64-encoded") from None
    raise BadRequest(f"{place}.data: is empty; send the file's bytes base64-encoded")


def _in_words(message: str, body: bytes) -> str:
    """msgspec's "Expected `int`, got `str` - at `$.max_tokens`" with the place in front."""
    what, place = located(message)
    if "unknown field" in what and place:
        what += f"; the fields are {', '.join(AttachmentIn.__struct_fields__)}"
    elif "unknown field" in what:
        what = f"unknown fields: {', '.join(islice(_unknown(body), 5))}; the fields are {', '.join(_FIELDS)}"
    if "enum value" in what:
        what += f"; it can be {', '.join(MEDIA_KINDS if place.startswith('attachments') else get_args(Modality))}"
    return f"{place}: {what}" if place else what


_TYPE = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_TYPES = {
    "int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "object": "an object",
    "array": "a list",
}  # fmt: skip


def _type_in_words(found: re.Match[str]) -> str:
    """`str | null`: a text or null."""
    return " or ".join(_TYPES.get(name, name) for name in found[1].split(" | "))


def located(message: str) -> tuple[str, str]:
    """What msgspec says is wrong, in words of JSON, and the field where; no field for the whole body."""
    what, _, where = message.partition(" - at `$")
    if what.startswith("Expected "):
        what = _TYPE.sub(_type_in_words, what).replace("Expected ", "must be ", 1).replace(", got ", ", and is ")
    return what, where.rstrip("`").lstrip(".")


def _unknown(body: bytes) -> Iterator[str]:
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    yield from (f"`{name[:40]}`" for name in fields if name not in _FIELDS)
