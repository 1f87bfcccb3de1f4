"""What can be asked of a router: method, path and body of each request, and how its answer is read. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypedDict, TypeVar, get_type_hints
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Struct, UnsetType

from smart_router.client.answers import (
    Answer,
    Classification,
    Health,
    Model,
    SessionInfo,
    SessionPage,
    Stats,
    UseCase,
)
from smart_router.client.attachment import Attachment
from smart_router.client.errors import BadInput

T = TypeVar("T")


class Fields(TypedDict, total=False):
    """
    What may go along with a query; what is left out, or None, is up to the router.

    Attributes:
        session_id: continue this session. Without one, a session begins, and the answer names it.
        attachments: images, recordings, films.
        use_case: an explicit choice; the query is not classified.
        modality: a hint at what the query is about: `text`, `image`, `audio` or `video`.
        context: `language`, `domain` and anything else.
        max_tokens: how long the answer may get; by default, 100 tokens.
        temperature: 0 to 2; by default 0.7.
        remember: False keeps this turn out of the session's conversation.
        user_id: whose query it is.
    """

    session_id: str | None
    attachments: Sequence[Attachment] | None
    use_case: str | None
    modality: str | None
    context: Mapping[str, Any] | None
    max_tokens: int | None
    temperature: float | None
    remember: bool | None
    user_id: str | None


class Call(Struct, Generic[T], frozen=True):
    """
    One request. *into* is the type of its answer; *repeatable*: asked twice, it does what it does once, so that it may
    be asked again where nobody knows whether it was carried out.
    """

    method: str
    path: str
    into: type[T]
    body: bytes | None = None
    repeatable: bool = True
    streams: bool = False

    @property
    def headers(self) -> dict[str, str]:
        accept = {"Accept": "text/event-stream" if self.streams else "application/json"}
        return accept if self.body is None else accept | {"Content-Type": "application/json"}


def route(query: str, fields: Fields) -> Call[Answer]:
    return Call("POST", "/route", Answer, _asking(query, fields), repeatable=False)


def stream(query: str, fields: Fields) -> Call[Answer]:
    body = _asking(query, fields, stream=True)
    return Call("POST", "/route", Answer, body, repeatable=False, streams=True)


def classify(query: str, fields: Fields) -> Call[Classification]:
    return Call("POST", "/classify", Classification, _asking(query, fields))


def sessions(cursor: str | None, limit: int) -> Call[SessionPage]:
    at = "" if cursor is None else f"&cursor={quote(cursor, safe='')}"
    return Call("GET", f"/sessions?limit={limit}{at}", SessionPage)


def session_info(id: str) -> Call[SessionInfo]:
    return Call("GET", _session(id), SessionInfo)


def end_session(id: str) -> Call[Any]:
    return Call("DELETE", _session(id), dict, repeatable=False)


def update_session(
    id: str, use_case: str | UnsetType | None = UNSET, bypass_enabled: bool | UnsetType = UNSET
) -> Call[SessionInfo]:
    changes = {"use_case": use_case, "bypass_enabled": bypass_enabled}
    body = {name: value for name, value in changes.items() if value is not UNSET}
    if not body:
        raise BadInput("update_session: nothing to change was given; give use_case, bypass_enabled or both")
    return Call("PATCH", _session(id), SessionInfo, _json("update_session", body))


class _UseCases(Struct):
    use_cases: tuple[UseCase, ...]


class _Models(Struct):
    data: tuple[Model, ...]


use_cases: Call[_UseCases] = Call("GET", "/use-cases", _UseCases)
models: Call[_Models] = Call("GET", "/v1/models", _Models)
stats: Call[Stats] = Call("GET", "/stats", Stats)
health: Call[Health] = Call("GET", "/health", Health)


def other(method: str, path: str, body: object = None) -> Call[Any]:
    method = method.upper()
    if not path.startswith("/") or any(character <= " " or character > "~" for character in path):
        raise BadInput(f"path: {path!r} is none of a router; it begins with / and is quoted as in an address")
    sent = None if body is None else _json("body", body)
    return Call(method, path, object, sent, repeatable=method in ("GET", "HEAD"))


_KNOWN = tuple(get_type_hints(Fields))


def _asking(query: str, fields: Fields, *, stream: bool = False) -> bytes:
    unknown = [name for name in fields if name not in _KNOWN]
    if unknown:
        raise BadInput(f"{', '.join(unknown)}: no such option; there are {', '.join(_KNOWN)}")
    given = {name: value for name, value in fields.items() if value is not None}
    return _json("the query", {"query": query} | given | ({"stream": True} if stream else {}))


def _session(id: str) -> str:
    if not id or id in (".", ".."):
        raise BadInput(f"session: {id!r} is no id; give that of an answer")
    return f"/sessions/{quote(id, safe='')}"


def _json(place: str, value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as exc:  # UnicodeEncodeError is a ValueError
        raise BadInput(f"{place}: cannot be sent as JSON: {exc}") from exc
