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

    type: Annotated[MediaKind, Meta(description="What it is.")]
    url: Annotated[_Url | None, Meta(description="Where it is: http, https, or a data: URL.")] = None
    data: Annotated[str | None, Meta(description="The file's bytes, base64-encoded.")] = None
    media_type: Annotated[_MediaType | None, Meta(description="Of `data`, such as image/png.")] = None


class RouteRequest(Struct, forbid_unknown_fields=True):
    query: Annotated[str, Meta(min_length=1, description="What the user says.")]
    session_id: Annotated[str | None, Meta(description=f"{SESSION_ID_RULE}; without one, a session begins.")] = None
    user_id: Annotated[_Text | None, Meta(description="Your own id of the person; nothing is decided by it.")] = None
    modality: Annotated[Modality | None, Meta(description="A hint at what the query is about.")] = None
    context: Annotated[dict[str, Any], Meta(description="`language`, `domain` and anything else.")] = {}
    attachments: Annotated[list[AttachmentIn], Meta(description="Files that belong to the query.")] = []
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

    use_case: Annotated[str, Meta(description="What was decided on.")]
    selected_model: Annotated[str, Meta(description="The model that answers.")]
    fallback_from: (
        Annotated[str, Meta(description="Where another model answers: the one that should have.")] | UnsetType
    ) = UNSET
    confidence: Annotated[float, Meta(description="Of the decision, a probability.")]
    reason: Annotated[Reason, Meta(description="Why that use case.")]
    bypass_used: Annotated[bool, Meta(description="The session's standing choice was used again, without the encoder.")]
    context_changed: Annotated[bool, Meta(description="The turn left the session's use case.")]
    session_id: Annotated[str, Meta(description="To send with the next turn.")]
    new_session: Annotated[bool, Meta(description="This turn is its first.")]
    routing_time: Annotated[float, Meta(description="Seconds until the decision.")]
    request_id: Annotated[str, Meta(description="Under which the log knows the request.")]


class RouteResponse(RouteEvent, kw_only=True):
    """The decision and its answer; a stream's `done` event has no `result`, which came before it."""

    success: Literal[True]
    result: Annotated[str, Meta(description="What the model says.")] | UnsetType = UNSET
    inference_time: Annotated[float, Meta(description="Seconds from asking the model to its end.")]
    total_time: Annotated[float, Meta(description="Seconds of the whole request.")]
    usage: Annotated[UsageOut, Meta(description="Tokens, as the model server counts them.")]
    finish_reason: Annotated[
        str | None, Meta(description="Why the answer ends: `stop`, or `length` where `max_tokens` was reached.")
    ] = None


class Delta(Struct):
    delta: Annotated[str, Meta(description="The next words.")]


class BecauseOut(Struct):
    hint: Annotated[list[str], Meta(description="What is attached or was hinted at.")]
    guard_cues: Annotated[
        dict[str, float], Meta(description="Use cases that the words of a follow-up speak of, and how much.")
    ]
    session_prior: Annotated[str | None, Meta(description="Where the session stands.")]
    conflict: Annotated[
        str | None, Meta(description="The use case that the text asks for, and that does not take what is attached.")
    ]
    note: Annotated[str, Meta(description="What else counted, in words.")]


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
    use_case: Annotated[str, Meta(description="What would be decided on.")]
    confidence: Annotated[float, Meta(description="A probability.")]
    reason: Annotated[Reason, Meta(description="Why that use case.")]
    selected_model: Annotated[str, Meta(description="The model that would be preferred.")]
    scores: Annotated[dict[str, float], Meta(description="The probability of each use case, where the encoder ran.")]
    because: Annotated[BecauseOut, Meta(description="What the decision rests on.")]
    bypass_used: Annotated[bool, Meta(description="The session's standing choice would be used again.")]
    context_changed: Annotated[bool, Meta(description="The turn would leave the session's use case.")]
    session_id: Annotated[str | None, Meta(description="The session that was looked at.")]
    request_id: Annotated[str, Meta(description="Under which the log knows the request.")]


class ErrorResponse(Struct, omit_defaults=True):
    success: Literal[False]
    error_message: Annotated[str, Meta(description="What happened, and what to do next.")]
    error_code: Annotated[str, Meta(description="The same for programs: see the table of errors.")]
    request_id: Annotated[str, Meta(description="Under which the log knows the request.")]
    use_case: Annotated[str | None, Meta(description="Where it had been decided before it failed.")] = None
    routing_time: Annotated[float | None, Meta(description="Likewise, in seconds.")] = None


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
