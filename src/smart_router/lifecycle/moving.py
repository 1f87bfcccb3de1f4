"""Wakes models and puts them to sleep; what servers say decides whether that came true."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

from smart_router.errors import BackendUnreachable, LifecycleFailed, StoreUnavailable
from smart_router.lifecycle.agreement import Agreement, Note
from smart_router.lifecycle.base import named
from smart_router.lifecycle.coming import Comer, first, in_time, told
from smart_router.lifecycle.gate import Gate
from smart_router.lifecycle.place import Place
from smart_router.lifecycle.quiet import Quiet
from smart_router.lifecycle.residence import Residence
from smart_router.observe.metrics import Metrics
from smart_router.settings import Settings

log = structlog.get_logger("lifecycle")

CLAIMED_WITHIN_S = 5.0  # a wake that begins so soon after an eviction took that one's place
HEARD_S = 2.0  # a router that exchanges more rarely may send a request to what sleeps, and ask again
TOLD_S = 0.3

Move = Callable[[Residence], Coroutine[Any, Any, None]]


class Mover:
    """One move of a model at a time, as tasks; their ends are heard through `Residence.changed`."""

    def __init__(
        self, gate: Gate, comer: Comer, quiet: Quiet, agreement: Agreement, settings: Settings, metrics: Metrics
    ) -> None:
        self._gate = gate
        self._comer = comer
        self._quiet = quiet
        self._agreement = agreement
        self._settings = settings
        self._metrics = metrics
        self._freed: dict[str, deque[tuple[float, float]]] = {}  # by arena: when an eviction ended, and what it took

    def wake(self, residence: Residence) -> None:
        """
        All of its servers; it is awake when one of them is. Returns at once. Requests wait meanwhile, also where nobody
        knew that it is not awake, as its server was killed.
        """
        residence.motion = "coming"
        self._gate.shut(residence)
        self._go(residence, self._woken)

    def evict(self, residence: Residence) -> None:
        """It gets no more requests, and sleeps when there are none. Returns at once."""
        residence.motion = "draining"
        self._gate.shut(residence)
        self._go(residence, self._evicted)

    def resume(self, residence: Residence) -> None:
        """Nobody needs its place."""
        if residence.may_stay and residence.task is not None:
            residence.task.cancel()

    async def renew(self, residence: Residence) -> None:
        """What serves it ends once it has no requests, whoever wants it: it is to be started otherwise."""
        if residence.motion == "coming":
            await self.stop(residence)
        if residence.motion is None and residence.holds:
            self.evict(residence)
        if residence.motion == "draining":
            residence.motion = "leaving"

    async def stop(self, residence: Residence) -> None:
        """Where it is."""
        found = [residence.task, *(place.coming for place in residence.places.values())]
        await _cancelled(task for task in found if task is not None)

    async def announce(self, residence: Residence) -> None:
        """Other routers are to send it nothing."""
        residence.announced = True
        await self._note(residence, Note(draining=True))

    async def retract(self, residence: Residence) -> None:
        """What other routers were told of a move that is over. What they cannot be told now is told later."""
        if await self._note(residence, Note(draining=False)):
            residence.announced = False

    async def tell_pin(self, residence: Residence) -> None:
        """What people said here. Where it cannot be told, it is still `untold_pin`."""
        pinned = residence.pinned
        if await self._note(residence, Note(pinned=pinned)) and pinned == residence.pinned:
            residence.untold_pin = False

    async def _woken(self, residence: Residence) -> None:
        evicting_s = self._claimed(residence)
        await self.announce(residence)
        self._gate.follow(residence)
        places = tuple(residence.places.values())
        trouble = await first([self._comer.begin(residence, place) for place in places])
        if trouble is None:
            await self._did_wake(residence, evicting_s)
        else:
            self._did_not_wake(residence, trouble)
            await asyncio.gather(*(self._comer.put_back(residence, place) for place in places))

    async def _did_wake(self, residence: Residence, evicting_s: float) -> None:
        took_s = residence.now() - residence.began_at
        residence.woke(took_s)
        self._metrics.model_wakes.add((residence.id, "ok"))
        self._metrics.model_swaps.add((residence.id,), took_s + evicting_s)
        log.info("awake", model=residence.id, took_s=round(took_s, 3))
        await self._note(residence, Note(woke=True, wake_s=took_s))

    def _did_not_wake(self, residence: Residence, trouble: Exception) -> None:
        residence.did_not_wake(told(trouble))
        self._metrics.model_wakes.add((residence.id, "failed"))
        again_s = round(residence.waking.left_s(residence.now()), 1)
        log.error("a model did not wake", model=residence.id, trouble=residence.trouble, again_s=again_s)

    async def _evicted(self, residence: Residence) -> None:
        await _cancelled(place.coming for place in residence.places.values() if place.coming is not None)
        await self.announce(residence)
        if residence.used_elsewhere:  # until they have heard, and told what they began meanwhile
            await asyncio.sleep(min(self._settings.lifecycle_interval, HEARD_S) + TOLD_S)
        await self._quiet.wait(residence)
        residence.motion = "leaving"
        found = await asyncio.gather(*(self._leave(residence, place) for place in residence.places.values()))
        if trouble := next(filter(None, found), None):
            self._did_not_sleep(residence, trouble)
        else:
            await self._did_sleep(residence)

    async def _leave(self, residence: Residence, place: Place) -> Exception | None:
        """What stands against believing that it sleeps there. Who is gone has left."""
        model, endpoint, load_s, trouble = residence.model, place.endpoint, self._settings.model_load_timeout, None
        who = named(model, endpoint)
        late = f"{who}: not asleep within MODEL_LOAD_TIMEOUT ({load_s:g} s); see its server's log, or raise it"
        try:
            await in_time(residence.kind.sleep(model, endpoint), load_s, late)
        except Exception as exc:
            trouble = exc
        try:
            async with asyncio.timeout(self._settings.health_timeout):
                place.became(await residence.kind.look(model, endpoint))
        except Exception as exc:
            place.silent(told(exc), gone=isinstance(exc, BackendUnreachable))
        if not place.holds:
            return None
        return trouble or LifecycleFailed(f"{who}: told to sleep, it is still awake; look at its server's log")

    async def _did_sleep(self, residence: Residence) -> None:
        now, took_s = residence.now(), residence.now() - residence.began_at
        residence.fell_asleep()
        self._freed.setdefault(residence.arena, deque(maxlen=64)).append((now, took_s))
        self._metrics.model_evictions.add((residence.id, "ok"))
        log.info("asleep", model=residence.id, took_s=round(took_s, 3))
        await self._note(residence, Note(woke=False))

    def _did_not_sleep(self, residence: Residence, trouble: Exception) -> None:
        residence.did_not_sleep(told(trouble))
        self._metrics.model_evictions.add((residence.id, "failed"))
        again_s = round(residence.staying.left_s(residence.now()), 1)
        log.error("a model did not fall asleep", model=residence.id, trouble=told(trouble), again_s=again_s)
        self._gate.reopen(residence)

    async def _note(self, residence: Residence, note: Note) -> bool:
        try:
            await self._agreement.note(residence.arena, residence.id, note)
        except StoreUnavailable:
            return False
        return True

    def _go(self, residence: Residence, move: Move) -> None:
        residence.moves, residence.began_at = residence.moves + 1, residence.now()
        residence.task = asyncio.create_task(self._moved(residence, move), name=f"move {residence.id}")
        residence.task.add_done_callback(lambda task: self._ended(residence, cancelled=task.cancelled()))

    async def _moved(self, residence: Residence, move: Move) -> None:
        try:
            await move(residence)
        except Exception as exc:  # nobody may wait for ever
            log.error("moving a model failed", model=residence.id, exc_info=exc)
            residence.did_not_sleep(told(exc))
            residence.did_not_wake(told(exc))

    def _ended(self, residence: Residence, *, cancelled: bool) -> None:
        residence.motion = residence.task = None
        residence.others_stay = False
        residence.moves += 1
        if cancelled:
            self._gate.reopen(residence)
        residence.changed()

    def _claimed(self, residence: Residence) -> float:
        """What the eviction took that made room, where there was one."""
        freed = self._freed.get(residence.arena, deque())
        while freed:
            when, took_s = freed.popleft()
            if residence.now() - when <= CLAIMED_WITHIN_S:
                return took_s
        return 0.0


async def _cancelled(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    found = list(tasks)
    for task in found:
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)
