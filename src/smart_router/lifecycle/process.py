"""The kind `process`: the router starts the model's server when it is needed, and stops it when it has to go."""

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from typing import Literal

import structlog

from smart_router.errors import BackendUnreachable, LifecycleFailed
from smart_router.lifecycle.backoff import Backoff
from smart_router.lifecycle.base import Seen
from smart_router.lifecycle.launcher import Launched, Launcher, taken
from smart_router.lifecycle.program import Program, program_for
from smart_router.registry import Model
from smart_router.settings import Settings

log = structlog.get_logger("lifecycle")

Place = tuple[str, str]  # model and endpoint


class ByProcess:
    """
    One server per model and endpoint. One that ends by itself stays down until it is woken: its place on the GPU may
    have become another's. If that happens again and again, each start waits longer.
    """

    cold: Literal["waking", "loading"] = "loading"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._launcher = Launcher(settings)
        self._running: dict[Place, Launched] = {}
        self._backoffs: dict[Place, Backoff] = defaultdict(Backoff)
        self._turns: dict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self) -> None:
        await self._launcher.start()

    async def close(self) -> None:
        await self._launcher.close()

    async def look(self, model: Model, endpoint: str) -> Seen:
        """What an earlier router left there is ended first."""
        place = (model.id, endpoint)
        running, turn = self._running.get(place), self._turns[place]
        if running is not None and running.runs:
            await self._launcher.check(endpoint)
            return "awake"
        if turn.locked():
            raise BackendUnreachable("its server is being started or stopped")
        async with turn:
            await self._is_vacant(program_for(model, endpoint, self._settings))
        return "sleeping"

    async def wake(self, model: Model, endpoint: str) -> None:
        place = (model.id, endpoint)
        async with self._turns[place]:
            running = self._running.get(place)
            if running is not None and running.runs:
                with suppress(LifecycleFailed):  # it has just ended, or hung and was stopped
                    await running.become_healthy()
                    return
            self._running[place] = launched = await self._launched(place, model)
            await launched.become_healthy()

    async def sleep(self, model: Model, endpoint: str) -> None:
        place = (model.id, endpoint)
        async with self._turns[place]:
            running = self._running.pop(place, None)
            if running is None:
                await self._is_vacant(program_for(model, endpoint, self._settings))
                return
            await running.stop()
            await self._is_vacant(running.program)

    async def _launched(self, place: Place, model: Model) -> Launched:
        program = program_for(model, place[1], self._settings)
        await asyncio.sleep(self._backoffs[place].left_s(time.monotonic()))
        launched = await self._launcher.launch(program)
        launched.end.add_done_callback(lambda _: self._ended(place, launched))
        return launched

    async def _is_vacant(self, program: Program) -> None:
        """
        Raises:
            LifecycleFailed: a server answers there that is not ours.
        """
        await self._launcher.vacate(program)
        if await self._launcher.somebody_answers(program.endpoint):
            raise LifecycleFailed(taken(program))

    def _ended(self, place: Place, ended: Launched) -> None:
        """By itself, after it was healthy; what becomes of a start that fails is told to whoever wants it."""
        if ended.is_stopping or ended.healthy_since is None:
            return
        pause_s = self._backoffs[place].failed(time.monotonic(), ended.healthy_for_s)
        log.error("a server ended by itself", model=place[0], trouble=ended.why_it_ended(), not_again_for_s=pause_s)
