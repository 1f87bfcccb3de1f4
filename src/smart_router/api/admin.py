"""For administrators: what changes how the router works."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from pydantic import BaseModel

from smart_router.api.auth import Door
from smart_router.errors import BadConfiguration, ConfigurationError
from smart_router.registry import Changes

Reload = Callable[[], Awaitable[Changes]]


class Reloaded(BaseModel):
    """Ids of models; `restarting`: worker processes are being replaced, one after the other."""

    success: bool
    added: list[str]
    removed: list[str]
    changed: list[str]
    use_cases: list[str]
    restarting: bool


def admin_routes(reload: Reload, door: Door, *, restarts: bool) -> APIRouter:
    """*restarts*: a reload has worker processes replaced."""
    routes = APIRouter(prefix="/admin", tags=["administration"])

    @routes.post("/reload")
    async def reload_registry(request: Request) -> Reloaded:
        """Read the registry again, and its examples. One that is wrong leaves everything as it was."""
        door.enter(request.scope, "admin")
        try:
            found = await reload()
        except ConfigurationError as exc:
            raise BadConfiguration(f"the registry stays as it was: {exc}") from None
        return Reloaded(
            success=True,
            added=list(found.added),
            removed=list(found.removed),
            changed=list(found.changed),
            use_cases=list(found.use_cases),
            restarting=restarts,
        )

    return routes
