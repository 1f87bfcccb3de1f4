"""What an answer says, or what is wrong with it. No I/O."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, TypeVar

import msgspec

from smart_router import __version__
from smart_router.client.address import KEY_VARIABLE, Address
from smart_router.client.calls import Call
from smart_router.client.errors import NotARouter, RouterRefused, UnknownSession

MOST_ANSWER_BYTES = 64 * 1024 * 1024
EVENT_STREAM = "text/event-stream"
T = TypeVar("T")
_OF_AN_OLDER_ROUTER = ("not_found", "method_not_allowed")


def read(call: Call[T], body: bytes, address: Address) -> T:
    """
    The answer to *call*, of status 2xx.

    Raises:
        NotARouter: it is none, or of a version that cannot be understood.
    """
    try:
        return msgspec.json.decode(body, type=call.into)
    except msgspec.ValidationError as exc:
        raise misunderstood(address, call.path, exc) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise NotARouter(f"{address.url}{call.path} answered without JSON; {_IS_IT}", status=200) from exc


def misunderstood(address: Address, path: str, why: Exception) -> NotARouter:
    return NotARouter(
        f"{address.url}{path} answered what this client (version {__version__}) does not understand ({why}): "
        "it is no smart-router, or one of another version; use the client of that version",
        status=200,
    )


class Body:
    """Gathers an answer, up to a bound."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._pieces: list[bytes] = []
        self._size = 0

    def whole(self) -> bytes:
        return b"".join(self._pieces)

    def add(self, data: bytes) -> None:
        """
        Raises:
            NotARouter: it becomes larger than any router's answer.
        """
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MOST_ANSWER_BYTES:
            raise NotARouter(f"{self._address.url} answered more than {MOST_ANSWER_BYTES} bytes; {_IS_IT}")


def check_stream(headers: Mapping[str, str], address: Address) -> None:
    """
    Raises:
        NotARouter: what has begun is no stream of events.
    """
    form = headers.get("content-type", "no type").partition(";")[0].strip()
    if form.lower() != EVENT_STREAM:
        raise NotARouter(f"{address.url} answered {form} where a stream of events was asked for; {_IS_IT}", status=200)


def refuse(status: int, headers: Mapping[str, str], body: bytes, address: Address, *, now: float) -> NoReturn:
    """
    An answer of another status than 2xx. *now*: seconds since the epoch.

    Raises:
        RouterRefused: the router says why.
        NotARouter: no router says so.
    """
    wait_s = retry_after_s(headers.get("retry-after"), now)
    said = _object(body)
    message, code = _field(said, "error_message", "message"), _field(said, "error_code", "code")
    if message is None or code is None:
        raise NotARouter(_foreign(status, headers, address), status=status, retry_after_s=wait_s)
    request_id = _field(said, "request_id") or headers.get("x-request-id")
    raise refusal(status, code, message, wait_s, request_id, address)


def refusal(
    status: int, code: str, message: str, wait_s: float | None, request_id: str | None, address: Address
) -> RouterRefused:
    kind = UnknownSession if code == "unknown_session" else RouterRefused
    return kind(status, code, message, wait_s, request_id, _advice(status, code, wait_s, address))


def retry_after_s(value: str | None, now: float) -> float | None:
    """Seconds, or a date (RFC 9110, 10.2.3), as seconds from *now*, since the epoch; None for anything else."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


_IS_IT = "is that a smart-router's address?"


def _foreign(status: int, headers: Mapping[str, str], address: Address) -> str:
    if 300 <= status < 400 and (there := headers.get("location")):
        return f"{address.url} leads on to {there[:200]}; give the router's own address"
    form = headers.get("content-type", "").partition(";")[0] or "no type"
    answered = f"{address.url} answered {status} with {form}, which no smart-router does"
    if status in (401, 407):
        return f"{answered}; a proxy in front of it may want a login"
    if status in (502, 503, 504):
        return f"{answered}; a proxy in front of it may find no router: start one, or try again shortly"
    return f"{answered}; {_IS_IT}"


def _advice(status: int, code: str, wait_s: float | None, address: Address) -> str:
    if status == 401 and address.key is None:
        return f"give key=…, or set {KEY_VARIABLE}"
    if status == 401:
        return f"the key given (or {KEY_VARIABLE}) is not one of this router's"
    if code in _OF_AN_OLDER_ROUTER:
        return f"the router at {address.url} may be older than this client (version {__version__})"
    if wait_s is not None:
        return f"try again in {wait_s:g} s"
    return ""


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _field(said: dict[str, Any], *names: str) -> str | None:
    """In our envelope, or in that of OpenAI's, which paths under `/v1/` use."""
    inner = said.get("error")
    places = (said, inner if isinstance(inner, dict) else {})
    found = (place[name] for place in places for name in names if isinstance(place.get(name), str))
    return next(found, None)
