"""`/sessions/{id}`: what is kept of a session, and forgetting it."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from smart_router.api.auth import Door
from smart_router.api.wire import checked_session_id
from smart_router.errors import UnknownSession
from smart_router.sessions.base import Key, SessionStore
from smart_router.types import RoutingMode, Session


class SessionOut(BaseModel):
    """Times are ISO 8601 in UTC; `lanes` holds the last choice per backend group."""

    session_id: str
    use_case: str
    model_id: str
    endpoint: str
    confidence: float
    request_count: int
    created_at: str
    last_accessed: str
    bypass_enabled: bool
    lanes: dict[str, dict[str, Any]]


class Ended(BaseModel):
    success: bool
    message: str


def session_routes(store: SessionStore, door: Door, mode: RoutingMode) -> APIRouter:
    routes = APIRouter(tags=["sessions"])

    def key(request: Request, session_id: str) -> Key:
        return Key(door.enter(request.scope, "route").id, checked_session_id(session_id))

    @routes.get("/sessions/{session_id}")
    async def read_session(request: Request, session_id: str) -> SessionOut:
        """The session as it stands; reading does not prolong it."""
        session = await store.get(key(request, session_id))
        if session is None:
            raise UnknownSession("no such session; it may have expired")
        return _out(session_id, session, bypass_enabled=mode == "realtime")

    @routes.delete("/sessions/{session_id}")
    async def end_session(request: Request, session_id: str) -> Ended:
        """Forget the session and its conversation."""
        if not await store.end(key(request, session_id)):
            raise UnknownSession("no such session; it may have expired")
        return Ended(success=True, message=f"Session {session_id} ended")

    return routes


def _out(session_id: str, session: Session, *, bypass_enabled: bool) -> SessionOut:
    lane = session.lane
    return SessionOut(
        session_id=session_id,
        use_case=lane.use_case,
        model_id=lane.model,
        endpoint=lane.replica,
        confidence=lane.confidence,
        request_count=session.count,
        created_at=_iso(session.created),
        last_accessed=_iso(session.accessed),
        bypass_enabled=bypass_enabled,
        lanes={
            group: {"use_case": lane.use_case, "model_id": lane.model, "endpoint": lane.replica}
            for group, lane in session.lanes.items()
        },
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
