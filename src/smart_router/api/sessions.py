"""`/sessions`: which there are, what is kept of one, what its owner asks of it, and forgetting it."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from msgspec import UNSET, Struct, UnsetType
from pydantic import BaseModel

from smart_router.api.asgi import ClientGone, read_body
from smart_router.api.auth import Door
from smart_router.api.cursor import cursor as cursor_of
from smart_router.api.cursor import position
from smart_router.api.wire import MOST_OF_A_MESSAGE, checked_session_id, located
from smart_router.chooser import Chooser
from smart_router.errors import BadRequest, UnknownSession, UnsupportedMedia
from smart_router.registry import Registry
from smart_router.sessions.base import Key, SessionStore, Steering
from smart_router.settings import Settings
from smart_router.types import Grant, Lane, Session

USUAL_PAGE, LONGEST_PAGE = 50, 200  # sessions
MOST_OF_A_CHANGE = 4096  # bytes

Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Sessions of a page, at most.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before; without one, the first page.")]


class SessionOut(BaseModel):
    """
    Times are ISO 8601 in UTC; `lanes` holds the last choice per backend group. `pinned`: every turn is for `use_case`;
    `endpoint` is empty until a turn went there. `bypass_enabled`: follow-ups may go without classification.
    """

    session_id: str
    use_case: str
    model_id: str
    endpoint: str
    confidence: float
    request_count: int
    created_at: str
    last_accessed: str
    bypass_enabled: bool
    pinned: bool
    lanes: dict[str, dict[str, Any]]


class SessionList(BaseModel):
    """`next_cursor`: null on the last page. Any other page may be shorter than asked for, even empty."""

    sessions: list[SessionOut]
    next_cursor: str | None


class Ended(BaseModel):
    success: bool
    message: str


class SessionChange(Struct, forbid_unknown_fields=True):
    """What `PATCH` takes; what is left out stays as it is."""

    use_case: str | UnsetType | None = UNSET
    bypass_enabled: bool | UnsetType = UNSET


_FIELDS = ", ".join(SessionChange.__struct_fields__)
_change = msgspec.json.Decoder(SessionChange).decode
_CHANGE_SCHEMA = {
    "type": "object",
    "properties": {
        "use_case": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "description": "Pin the session to this use case; null unpins it.",
        },
        "bypass_enabled": {
            "type": "boolean",
            "description": "False: every turn of the session is classified; true: follow-ups may go without, in any "
            "ROUTING_MODE.",
        },
    },
    "additionalProperties": False,
    "minProperties": 1,
}
_CHANGE_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _CHANGE_SCHEMA}}}}


class Sessions:
    """What people see of sessions, and what of it they may change."""

    def __init__(self, store: SessionStore, chooser: Chooser, registry: Registry, settings: Settings) -> None:
        self._store = store
        self._chooser = chooser
        self._registry = registry
        self._bypass = settings.routing_mode == "realtime"

    async def read(self, key: Key) -> SessionOut:
        return self._found(key.id, await self._store.get(key))

    async def page(self, owner: str, limit: int, cursor: str | None) -> SessionList:
        page = await self._store.page(owner, limit, None if cursor is None else position(cursor))
        sessions = [self._out(id, session) for id, session in page.sessions]
        return SessionList(sessions=sessions, next_cursor=cursor_of(page.after) if page.after is not None else None)

    async def change(self, grant: Grant, key: Key, change: SessionChange) -> SessionOut:
        """
        Raises:
            UnknownSession, UnknownUseCase
            Forbidden: the key is not for the use case.
        """
        pinned = None if change.use_case is UNSET else change.use_case or ""
        if change.use_case is not UNSET and change.use_case is not None:
            self._found(key.id, await self._store.get(key))  # whose it is comes first
            self._chooser.permitted(grant, change.use_case)
        bypass = None if change.bypass_enabled is UNSET else change.bypass_enabled
        return self._found(key.id, await self._store.steer(key, Steering(pinned, bypass)))

    async def end(self, key: Key) -> Ended:
        if not await self._store.end(key):
            raise _unknown()
        return Ended(success=True, message=f"Session {key.id} ended")

    def _found(self, id: str, session: Session | None) -> SessionOut:
        if session is None:
            raise _unknown()
        return self._out(id, session)

    def _out(self, id: str, session: Session) -> SessionOut:
        steer, lane = session.steer, session.lane
        pinned = steer.pinned in self._registry.use_cases
        if pinned:
            lane = self._lane(session, steer.pinned)
        return SessionOut(
            session_id=id,
            use_case=lane.use_case,
            model_id=lane.model,
            endpoint=lane.replica,
            confidence=lane.confidence,
            request_count=session.count,
            created_at=_iso(session.created),
            last_accessed=_iso(session.accessed),
            bypass_enabled=self._bypass if steer.bypass is None else steer.bypass,
            pinned=pinned,
            lanes={
                group: {"use_case": lane.use_case, "model_id": lane.model, "endpoint": lane.replica}
                for group, lane in session.lanes.items()
            },
        )

    def _lane(self, session: Session, use_case: str) -> Lane:
        """Where a turn for *use_case* went last, else where it would go."""
        lanes = (session.lane, *session.lanes.values())
        there = next((lane for lane in lanes if lane.use_case == use_case), None)
        return there or Lane(use_case, self._registry.candidates(use_case)[0].id, "")


def session_routes(sessions: Sessions, door: Door, settings: Settings) -> APIRouter:
    routes = APIRouter(tags=["sessions"])

    def key(request: Request, session_id: str) -> Key:
        return Key(door.enter(request.scope, "route").id, checked_session_id(session_id))

    @routes.get("/sessions")
    async def list_sessions(request: Request, limit: Limit = USUAL_PAGE, cursor: Cursor = None) -> SessionList:
        """
        The caller's own sessions, page by page, the last used first (from page to page to a thirtieth of
        `SESSION_TIMEOUT`): at most `MAX_SESSIONS` of them. One that is used meanwhile moves to the front. Reading does
        not prolong them.
        """
        return await sessions.page(door.enter(request.scope, "route").id, limit, cursor)

    @routes.get("/sessions/{session_id}")
    async def read_session(request: Request, session_id: str) -> SessionOut:
        """The session as it stands; reading does not prolong it."""
        return await sessions.read(key(request, session_id))

    @routes.patch("/sessions/{session_id}", openapi_extra=_CHANGE_BODY)
    async def change_session(request: Request, session_id: str) -> SessionOut:
        """
        Pin the session to a use case, or unpin it; classify every turn, or let follow-ups go without. The session
        afterwards. A `use_case` or `model` in a request still wins over the pin, for its turn. What the pinned use case
        cannot take is refused with 400.
        """
        grant = door.enter(request.scope, "route")
        key = Key(grant.id, checked_session_id(session_id))
        return await sessions.change(grant, key, await _asked(request, settings))

    @routes.delete("/sessions/{session_id}")
    async def end_session(request: Request, session_id: str) -> Ended:
        """Forget the session and its conversation."""
        return await sessions.end(key(request, session_id))

    return routes


async def _asked(request: Request, settings: Settings) -> SessionChange:
    """
    Raises:
        UnsupportedMedia, BodyTooLarge
        BadRequest: it is not of the form, or nothing is asked for.
    """
    try:
        change = _change(await _body(request, settings))
    except msgspec.ValidationError as exc:
        what, place = located(str(exc))
        raise BadRequest(f"{place or 'the body'}: {what}; the fields are {_FIELDS}"[:MOST_OF_A_MESSAGE]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest('the body is not JSON; send an object such as {"use_case": "agent"}') from None
    if change == SessionChange():
        raise BadRequest(
            "the body asks for nothing; send use_case (a use case, or null to unpin), bypass_enabled (true or false), "
            "or both"
        )
    return change


async def _body(request: Request, settings: Settings) -> bytes:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia("send JSON with `Content-Type: application/json`")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("send the body uncompressed, without Content-Encoding")
    length = request.headers.get("content-length", "").encode()
    try:
        async with asyncio.timeout(settings.body_timeout):
            return await read_body(length, request.receive, MOST_OF_A_CHANGE)
    except TimeoutError:
        raise BadRequest(f"the body did not arrive within {settings.body_timeout:g} s; send it faster") from None
    except ClientGone:
        raise BadRequest("the client left before its request was whole") from None


def _unknown() -> UnknownSession:
    return UnknownSession("no such session, it may have expired; send a turn with this id to begin it anew")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
