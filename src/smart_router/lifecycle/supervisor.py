"""Keeps servers running beside a router: `smart-router up`."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import structlog

from smart_router.errors import LifecycleFailed, UpstreamError
from smart_router.lifecycle.backoff import Backoff
from smart_router.lifecycle.base import Lifecycle
from smart_router.lifecycle.launcher import Launched, Launcher
from smart_router.lifecycle.roster import Entry
from smart_router.settings import Settings

log = structlog.get_logger("launcher")

TOLD_EVERY_S = 15.0

Tell = Callable[[str], None]


class Supervisor:
    """
    Models that share a GPU start one after the other, as vLLM measures what memory is free; others at once. Whatever
    ends by itself is started again, each time a little later. Use `bring_up()`, then `close()`.
    """

    def __init__(
        self, entries: Sequence[Entry], settings: Settings, tell: Tell, sleep: Lifecycle | None = None
    ) -> None:
        """*tell* says to people how servers come up; *sleep* puts those to sleep that are crowded."""
        self._entries = entries
        self._settings = settings
        self._tell = tell
        self._sleep = sleep
        self._launcher = Launcher(settings)
        self._lanes: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._keepers: list[asyncio.Task[None]] = []
        self._down = {entry.program.endpoint: entry for entry in entries}

    @property
    def down(self) -> tuple[str, ...]:
        """Models of which a server has not become healthy, since it was started for the first time or again."""
        return tuple(dict.fromkeys(entry.model.id for entry in self._down.values()))

    @property
    def runs(self) -> bool:
        return bool(self._keepers)

    async def bring_up(self) -> None:
        """Returns when each server is healthy, or its first start has failed; trying goes on."""
        await self._launcher.start()
        if self._sleep is not None:
            await self._sleep.start()
        begun: dict[asyncio.Future[None], str] = {}
        for entry in self._entries:
            first = asyncio.get_running_loop().create_future()
            begun[first] = entry.model.id
            self._keepers.append(asyncio.create_task(self._keep(entry, first), name=f"keeper of {entry.model.id}"))
        while begun:
            done, _ = await asyncio.wait(begun, timeout=TOLD_EVERY_S)
            if not done:
                self._tell(f"still loading: {', '.join(dict.fromkeys(begun.values()))}")
            begun = {first: model for first, model in begun.items() if first not in done}

    async def close(self) -> None:
        """All at once; returns when nothing is left."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(self._launcher.close(), *self._keepers, return_exceptions=True)
        if self._sleep is not None:
            await self._sleep.close()

    async def _keep(self, entry: Entry, first: asyncio.Future[None]) -> None:
        backoff, told = Backoff(), ""
        while True:
            healthy_for_s = 0.0
            try:
                launched = await self._begin(entry, again=bool(told))
                told = ""
                _set(first)
                await asyncio.wait({launched.end})
                healthy_for_s, trouble = launched.healthy_for_s, launched.why_it_ended()
            except LifecycleFailed as exc:
                trouble = str(exc)
            except Exception as exc:  # it must be tried again
                trouble = f"{entry.model.id}: could not be started"
                log.error("starting a server failed", model=entry.model.id, exc_info=exc)
            self._down[entry.program.endpoint] = entry
            pause_s = backoff.failed(time.monotonic(), healthy_for_s)
            self._tell(f"{f'{entry.model.id}: the same' if trouble == told else trouble}\n  next try in {pause_s:g} s")
            told = trouble
            _set(first)
            await asyncio.sleep(pause_s)

    async def _begin(self, entry: Entry, *, again: bool) -> Launched:
        """
        Raises:
            LifecycleFailed
        """
        program = entry.program
        async with self._lanes[entry.model.lane]:
            begun = time.monotonic()
            launched = await self._launcher.launch(program)
            if not again:
                self._tell(f"{program.model}: loading, on {program.place}; its log: {program.log}")
            await launched.become_healthy()
            self._down.pop(program.endpoint, None)
            self._tell(f"{program.model}: healthy after {time.monotonic() - begun:.1f} s")
            if entry.crowded:
                await self._let_sleep(entry)
        return launched

    async def _let_sleep(self, entry: Entry) -> None:
        """Until somebody needs it; others of its group need the room now."""
        assert self._sleep is not None
        try:
            async with asyncio.timeout(self._settings.model_load_timeout):
                await self._sleep.sleep(entry.model, entry.program.endpoint)
        except (LifecycleFailed, UpstreamError, TimeoutError) as exc:
            self._tell(f"{entry.model.id}: stays awake, although its group has no room for it: {exc}")
        else:
            self._tell(f"{entry.model.id}: sleeps until it is needed")


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
