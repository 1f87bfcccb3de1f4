"""One error, three envelopes: ours, OpenAI's and Anthropic's."""

import math
from typing import Literal

from msgspec import Struct

from smart_router.api import wire
from smart_router.api.asgi import Headers
from smart_router.errors import MethodNotAllowed, PolicyRefused, RouterError, Unauthorized
from smart_router.types import Admission

Dialect = Literal["ours", "openai", "responses", "anthropic"]

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ANTHROPIC_TYPES = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip


class OpenAIError(Struct):
    message: str
    type: str
    param: str | None
    code: str


class OpenAIEnvelope(Struct):
    """https://platform.openai.com/docs/guides/error-codes"""

    error: OpenAIError


class ResponsesErrorEvent(Struct):
    """https://platform.openai.com/docs/api-reference/responses-streaming/error"""

    type: Literal["error"]
    code: str
    message: str
    param: str | None
    sequence_number: int


class AnthropicError(Struct):
    type: str
    message: str


class AnthropicEnvelope(Struct):
    """https://docs.anthropic.com/en/api/errors"""

    type: Literal["error"]
    error: AnthropicError
    request_id: str


def envelope(error: Exception, request_id: str, dialect: Dialect) -> Struct:
    """What a client may know of *error*: the message of ours, nothing of anybody else's."""
    if not isinstance(error, RouterError):
        error = RouterError(
            "something went wrong in the router; ask again, and if it goes on, give the request id to whoever runs it"
        )
    if dialect in ("openai", "responses"):
        return OpenAIEnvelope(OpenAIError(_told(error), openai_type(error.status), _param(error), error.code))
    if dialect == "anthropic":
        return AnthropicEnvelope("error", AnthropicError(_anthropic_type(error.status), _told(error)), request_id)
    return wire.ErrorResponse(
        success=False,
        error_message=_told(error),
        error_code=error.code,
        request_id=request_id,
        use_case=error.decision.use_case if error.decision else None,
        routing_time=error.routing_s,
    )


def _told(error: RouterError) -> str:
    """What happened, and what to do next."""
    return f"{error.message}; {error.then}" if error.then else error.message


def openai_type(status: int) -> str:
    return _OPENAI_TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")


def advice(error: Exception) -> Headers:
    """The headers that belong to an error."""
    if not isinstance(error, RouterError):
        return []
    found = rate_headers(error.admission)
    if error.retry_after_s is not None:
        found.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    if isinstance(error, MethodNotAllowed):
        found.append((b"allow", error.allowed.encode()))
    if isinstance(error, Unauthorized):
        found.append((b"www-authenticate", b"Bearer"))
    return found


def rate_headers(admission: Admission | None) -> list[tuple[bytes, bytes]]:
    """Requests a minute, requests left, and seconds until a whole burst is there again."""
    if admission is None:
        return []
    return [
        (b"x-ratelimit-limit", str(admission.rate.per_minute).encode()),
        (b"x-ratelimit-remaining", str(admission.remaining).encode()),
        (b"x-ratelimit-reset", str(math.ceil(admission.reset_s)).encode()),
    ]


def stream_error(error: Exception, request_id: str, dialect: Dialect) -> bytes:
    """An event that says how a stream broke off; the line breaks in front end whatever line was under way."""
    name = b"" if dialect == "openai" else b"error"
    lead = b"" if dialect == "ours" else b"\n\n"
    said = envelope(error, request_id, dialect)
    if dialect == "responses" and isinstance(said, OpenAIEnvelope):
        said = ResponsesErrorEvent("error", said.error.code, said.error.message, None, 0)
    return lead + wire.event(said, name)


def _param(error: RouterError) -> str | None:
    """The field at fault: a message of ours begins with it."""
    if isinstance(error, PolicyRefused):
        return error.field
    place, colon, _ = error.message.partition(": ")
    return place if colon and error.status in (400, 404) and place.isidentifier() else None


def _anthropic_type(status: int) -> str:
    return _ANTHROPIC_TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
