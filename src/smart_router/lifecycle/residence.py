"""What one router remembers of one model that comes and goes."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from smart_router.decide.swap import State
from smart_router.errors import ModelNotReady
from smart_router.lifecycle.agreement import Known
from smart_router.lifecycle.backoff import Backoff
from smart_router.lifecycle.base import Lifecycle
from smart_router.lifecycle.place import Place
from smart_router.lifecycle.visits import Visits
from smart_router.lifecycle.waiters import Waiters
from smart_router.registry import Model

LONGEST_RETRY_AFTER_S = 60.0
UNKNOWN_WAKE_S = 1.0  # until the first
LATELY_S = 10.0
ONE_FAILURE_IS_FREE = 1  # of waking: the next request tries again

Motion = Literal["coming", "draining", "leaving"]  # by this router; only who drains may be resumed


class Residence:
    """
    Reads top down: how it stands, and what becomes of it. Servers are told nothing here: see `Gate` and `Mover`; what
    others are told of it is in `telling.py`.
    """

    def __init__(self, model: Model, kind: Lifecycle, now: Callable[[], float], session_s: float) -> None:
        self.model = model
        self.kind = kind
        self.now = now
        self.arena = ""
        self.changed: Callable[[], None] = lambda: None  # its arena should think again
        self.places: dict[str, Place] = {}
        self.waiters = Waiters(now)
        self.visits = Visits(now, session_s)
        self.known = Known()
        self.preloaded = False
        self.left_out = False  # those that are preloaded leave no room for it
        self.pinned = False
        self.untold_pin = False  # the last word on that, of people here, is not known to other routers
        self.barred = False  # another router is about to change it
        self.announced = False  # other routers were told that this one is
        self.refused = False  # by the last plan
        self.refused_beside: tuple[str, ...] = ()  # those who were kept then, as the log says
        self.others_stay = False  # while it drains: whoever asks its servers directly
        self.sent_away = False  # by an order: it goes though nobody needs its place
        self.trouble = ""  # why it did not wake
        self.stays = ""  # why it did not sleep
        self.base: Residence | None = None  # whose server this adapter is loaded into
        self.riders: list[Residence] = []  # adapters: their requests are the base's, too
        self.neighbours: list[Residence] = []  # others of its group, but for its base
        self.motion: Motion | None = None
        self.task: asyncio.Task[None] | None = None
        self.began_at = self.since = now()
        self.moves = 0  # what was seen before the last one is out of date
        self.waking, self.staying = Backoff(ONE_FAILURE_IS_FREE), Backoff()  # it failed to wake, to sleep
        self.lost, self.losing = False, Backoff()  # its server ended by itself, and does so again and again
        self.awake_at: float | None = None
        self.wake_s: float | None = None
        self.wakes = self.evictions = 0

    @property
    def id(self) -> str:
        return self.model.id

    @property
    def unmanageable(self) -> str:
        """Why one of its servers cannot be told to sleep or wake: it counts as always awake. Empty: all can."""
        return next((place.unmanageable for place in self.places.values() if place.unmanageable), "")

    @property
    def kept(self) -> bool:
        """Never evicted."""
        return self.preloaded or self.pinned or bool(self.unmanageable) or bool(self.carries)

    @property
    def carries(self) -> list[str]:
        """Adapters that are to stay awake, and so keep it awake as well."""
        return [rider.id for rider in self.riders if rider.preloaded or rider.pinned]

    @property
    def awake(self) -> bool:
        """It gets requests, and its server said that it is awake."""
        return any(place.open and place.seen == "awake" for place in self.places.values())

    @property
    def failing(self) -> bool:
        """The last try to wake it failed."""
        return self.waking.failures > 0

    @property
    def missed(self) -> bool:
        """Its server ended by itself while sessions stood with it: it should come back."""
        return self.lost and self.visits.live() > 0 and not self.losing.left_s(self.now())

    @property
    def stuck(self) -> bool:
        """Its server is awake, but it failed to prove itself: it takes room for nothing."""
        return self.idle and not self.awake and any(place.seen == "awake" for place in self.places.values())

    @property
    def holds(self) -> bool:
        return any(place.holds for place in self.places.values())

    @property
    def may_wake(self) -> bool:
        """There is no reason not to try."""
        fit = self.base is None or self.base.awake or self.base.may_wake
        return fit and not self.unmanageable and not self.waking.left_s(self.now())

    @property
    def may_leave(self) -> bool:
        """It takes room, and there is no reason not to try to have it back."""
        return self.idle and self.holds and not self.staying.left_s(self.now())

    @property
    def held_back(self) -> bool:
        """It gets no requests although it may be awake: it is about to be changed, or what it is loaded into is."""
        base = self.base
        return self.barred or (base is not None and (base.barred or base.motion in ("draining", "leaving")))

    @property
    def idle(self) -> bool:
        """Nobody moves it."""
        return self.motion is None and not self.held_back and not self.unmanageable

    @property
    def state(self) -> State:
        if self.motion in ("draining", "leaving"):
            return "draining"
        if self.awake:
            return "awake"
        if self.motion == "coming" or (self.held_back and not self.holds):
            return self.kind.cold
        if self.held_back:
            return "draining"
        if self.failing:
            return "failed"
        return "sleeping" if any(place.seen == "sleeping" for place in self.places.values()) else "unknown"

    @property
    def waiting(self) -> int:
        """Requests, its adapters' included."""
        return sum(len(one.waiters) for one in (self, *self.riders))

    @property
    def may_stay(self) -> bool:
        """It drains, and need not where nobody needs its place."""
        return self.motion == "draining" and (not self.sent_away or self.waiting + self.known.told.waiting > 0)

    @property
    def waiting_for_s(self) -> float:
        return max(one.waiters.longest_s for one in (self, *self.riders))

    @property
    def used_elsewhere(self) -> bool:
        """Another router may well send it a request the next moment."""
        told = self.known.told
        lately = told.idle_s is not None and told.idle_s < LATELY_S
        return told.in_flight > 0 or (told.sessions > 0 and lately)

    @property
    def usual_wake_s(self) -> float:
        return next((s for s in (self.wake_s, self.known.wake_s) if s is not None), UNKNOWN_WAKE_S)

    @property
    def idle_s(self) -> float:
        """Since its last request; one that had none counts as if the first look at it had been one."""
        return self.now() - (self.since if self.visits.used_at is None else self.visits.used_at)

    @property
    def awake_for_s(self) -> float:
        return 0.0 if self.awake_at is None else self.now() - self.awake_at

    async def wait(self, most: int | None, within_s: float) -> None:
        """As `Waiters.wait`: for its turn to be awake."""
        self._tell()
        try:
            await self.waiters.wait(self.id, most, within_s, self.retry_after_s)
        finally:
            self._tell()

    def used(self, session: str) -> None:
        """It answers *session* now, which stands with it, and no more with its neighbours."""
        new = self.visits.note(session)
        if self.base is not None:
            self.base.visits.note(session)
        if new:
            for neighbour in self.neighbours:
                neighbour.visits.forget(session)

    def opened(self) -> None:
        """It gets requests, whoever woke it."""
        self.awake_at = self.now() if self.awake_at is None else self.awake_at
        self.waking.clear()
        self.trouble, self.lost = "", False
        self.waiters.go_on()

    def woke(self, took_s: float) -> None:
        self.wakes, self.wake_s, self.awake_at = self.wakes + 1, took_s, self.now()

    def did_not_wake(self, trouble: str) -> None:
        """Its requests are told so; the log says why."""
        self.waking.failed(self.now())
        self.trouble = trouble
        for one in (self, *self.riders):
            one.waiters.fail(one.not_ready)

    def was_lost(self) -> None:
        """Its server ended by itself."""
        self.losing.failed(self.now(), self.awake_for_s)
        self.lost = True

    def fell_asleep(self) -> None:
        self.evictions, self.awake_at, self.stays, self.lost = self.evictions + 1, None, "", False
        self.staying.clear()

    def did_not_sleep(self, trouble: str) -> None:
        self.staying.failed(self.now())
        self.stays = trouble

    def refuse(self) -> None:
        """Its requests would wait in vain."""
        for one in (self, *self.riders):
            one.waiters.fail(
                partial(one.not_ready, "has no room beside the models that are kept awake; ask for another")
            )

    def not_ready(self, why: str = "could not be woken; try again shortly") -> ModelNotReady:
        return ModelNotReady(f"{self.id} {why}", retry_after_s=self.retry_after_s())

    def retry_after_s(self) -> float:
        """When a client should come again: when it will be awake, as far as that can be foreseen."""
        begun_s = self.now() - self.began_at if self.motion == "coming" else 0.0
        expected_s = max(self.usual_wake_s - begun_s, self.waking.left_s(self.now()), 1.0)
        return min(expected_s, LONGEST_RETRY_AFTER_S)

    def due_s(self) -> Iterator[float]:
        """When something may be tried again."""
        now = self.now()
        backoffs = (self.waking, self.staying, self.losing, *(place.backoff for place in self.places.values()))
        return (left_s for backoff in backoffs if (left_s := backoff.left_s(now)))

    def _tell(self) -> None:
        for one in (self, self.base):
            if one is not None:
                one.changed()
