"""For administrators: how models stand, and to load them, put them to sleep and keep them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from smart_router.api.auth import Door
from smart_router.decide.swap import State
from smart_router.errors import LifecycleFailed, OrderFailed
from smart_router.lifecycle.base import ModelReport
from smart_router.lifecycle.coming import longest_wake_s
from smart_router.lifecycle.standing import ALWAYS, GroupReport, Manager, Standing, takes_room
from smart_router.registry import Lifecycle
from smart_router.settings import Settings

log = structlog.get_logger("lifecycle")

SLACK_S = 2.0  # beyond the longest wake: what became of it is better told than that it goes on
SOON_S = 1.0  # who does not want to wait is still told what is so by then: most refusals, and a quick wake
Order = Callable[[str], Coroutine[Any, Any, None]]
Wait = Annotated[bool, Query(description="Answer when it is done, or has failed: MODEL_LOAD_TIMEOUT bounds that.")]


class ModelStanding(BaseModel):
    """
    `state`: of one that is always awake, as its health checks tell. `sessions`: live ones that stand with it; null
    where nobody counts. `wakes` and `evictions` are this router's. `last_wake_seconds`: what waking it took.
    `trouble`: why it is not awake, or cannot be managed.
    """

    id: str
    group: str
    lifecycle: Lifecycle
    state: State
    pinned: bool
    preloaded: bool
    endpoints: list[str]
    in_flight: int
    waiting: int
    sessions: int | None
    last_used: str | None
    awake_since: str | None
    wakes: int
    evictions: int
    last_wake_seconds: float | None
    trouble: str


class GroupStanding(BaseModel):
    """Models that share GPU memory. `residents` take its room, `room` is for so many more."""

    id: str
    max_resident: int
    residents: list[str]
    room: int


class Standings(BaseModel):
    """All models in the registry's order. `concurrent_models`: how many that come and go are awake now."""

    models: list[ModelStanding]
    groups: list[GroupStanding]
    concurrent_models: int
    max_concurrent_models: int


class Orders:
    """What administrators want of models: it goes on when they do not wait for it, and twice the same is done once."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def load(self, model: str, within_s: float) -> bool:
        """As `_done`."""
        return await self._done("load", model, self._manager.load, within_s)

    async def unload(self, model: str, within_s: float) -> bool:
        """As `_done`."""
        return await self._done("unload", model, self._manager.unload, within_s)

    async def pin(self, model: str, pinned: bool) -> None:
        await _told(self._manager.pin(model, pinned))

    async def _done(self, what: str, model: str, order: Order, within_s: float) -> bool:
        """
        Whether it is done within *within_s*.

        Raises:
            RouterError: it was refused, or failed, by then.
        """
        key = what, model
        if key not in self._under_way:
            self._under_way[key] = task = asyncio.create_task(_told(order(model)), name=f"{what} {model}")
            task.add_done_callback(lambda done: self._end(key, done))
        task = self._under_way[key]
        await asyncio.wait([task], timeout=within_s)
        if task.done():
            await task
        return task.done()

    def _end(self, key: tuple[str, str], done: asyncio.Task[None]) -> None:
        del self._under_way[key]
        if done.cancelled():
            return
        if (trouble := done.exception()) is None:
            log.info("an order was carried out", order=key[0], model=key[1])
        else:
            log.warning("an order was not carried out", order=key[0], model=key[1], error=str(trouble))


def lifecycle_routes(
    standing: Standing,
    manager: Manager,
    door: Door,
    settings: Settings,
    *,
    soon_s: float = SOON_S,
    late_s: float | None = None,
) -> APIRouter:
    """Who waits for an order waits for *late_s*: unless given, until it is known what became of it."""
    routes = APIRouter(prefix="/models", tags=["models that come and go"])
    orders, late_s = Orders(manager), longest_wake_s(settings) + SLACK_S if late_s is None else late_s
    later: dict[int | str, dict[str, Any]] = {202: {"model": ModelStanding, "description": "Under way: see `state`."}}

    def admit(request: Request, order: str, id: str) -> None:
        caller = door.enter(request.scope, "admin").id
        standing.model(id)
        log.info("ordered", order=order, model=id, caller=caller)

    def now(id: str) -> ModelStanding:
        return _model(standing.model(id), standing.waiting(id))

    @routes.get("")
    async def models(request: Request) -> Standings:
        """How every model stands, and how much room its group has."""
        door.enter(request.scope, "admin")
        reports = standing.models()
        return Standings(
            models=[_model(report, standing.waiting(report.id)) for report in reports],
            groups=[_group(group) for group in standing.groups(reports)],
            concurrent_models=sum(report.lifecycle != ALWAYS and takes_room(report) for report in reports),
            max_concurrent_models=settings.max_concurrent_models,
        )

    @routes.post("/{model_id:path}/load", responses=later)
    async def load(request: Request, response: Response, model_id: str, wait: Wait = False) -> ModelStanding:
        """
        Wake it, evicting another if need be. 200 when it is awake; 202 while that goes on. 409 (`no_room`) where all
        others are preloaded or pinned, or (`not_managed`) where it is always awake.
        """
        admit(request, "load", model_id)
        if not await orders.load(model_id, late_s if wait else soon_s):
            response.status_code = 202
        return now(model_id)

    @routes.post("/{model_id:path}/unload", responses=later)
    async def unload(request: Request, response: Response, model_id: str, wait: Wait = False) -> ModelStanding:
        """
        Put it to sleep, until a request or an administrator wakes it. 200 when it sleeps; 202 while that goes on. 409
        where it has requests (`model_busy`), is preloaded or pinned (`model_kept`), or always awake (`not_managed`).
        """
        admit(request, "unload", model_id)
        if not await orders.unload(model_id, late_s if wait else soon_s):
            response.status_code = 202
        return now(model_id)

    @routes.post("/{model_id:path}/pin")
    async def pin(request: Request, model_id: str) -> ModelStanding:
        """Wake it, and never evict it from now on. 409 (`no_room`) where all the room is kept already."""
        admit(request, "pin", model_id)
        await orders.pin(model_id, True)
        return now(model_id)

    @routes.delete("/{model_id:path}/pin")
    async def unpin(request: Request, model_id: str) -> ModelStanding:
        """It may be evicted again, unless it is preloaded."""
        admit(request, "unpin", model_id)
        await orders.pin(model_id, False)
        return now(model_id)

    return routes


async def _told(order: Awaitable[None]) -> None:
    """
    Raises:
        RouterError
    """
    try:
        await order
    except LifecycleFailed as exc:
        raise OrderFailed(str(exc)) from exc


def _model(report: ModelReport, waiting: int) -> ModelStanding:
    return ModelStanding(
        id=report.id,
        group=report.group,
        lifecycle=report.lifecycle,
        state=report.state,
        pinned=report.pinned,
        preloaded=report.preloaded,
        endpoints=list(report.endpoints),
        in_flight=report.in_flight,
        waiting=waiting,
        sessions=None if report.lifecycle == ALWAYS else report.sessions,
        last_used=_moment(report.last_used),
        awake_since=_moment(report.awake_since),
        wakes=report.wakes,
        evictions=report.evictions,
        last_wake_seconds=report.last_wake_s,
        trouble=report.trouble,
    )


def _group(group: GroupReport) -> GroupStanding:
    return GroupStanding(id=group.id, max_resident=group.max_resident, residents=list(group.residents), room=group.room)


def _moment(seconds: float | None) -> str | None:
    """Seconds since the epoch -> ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
