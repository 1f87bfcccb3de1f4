"""One arena: models whose room is given away together, as requests need them and servers allow."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog

from smart_router.decide.swap import RESIDENT, Occupant, Plan, Room, State
from smart_router.errors import StoreUnavailable
from smart_router.lifecycle.agreement import Agreement, Known
from smart_router.lifecycle.coming import Comer, joining
from smart_router.lifecycle.foresight import Foresight
from smart_router.lifecycle.gate import Gate
from smart_router.lifecycle.hold import Hold
from smart_router.lifecycle.looking import Looker
from smart_router.lifecycle.moving import Mover
from smart_router.lifecycle.quiet import Quiet
from smart_router.lifecycle.residence import Residence
from smart_router.lifecycle.telling import occupant, told

log = structlog.get_logger("lifecycle")

SOON_S = 0.2  # between two steps while something moves, or requests wait for what another router does
NO_ROOM = (
    "unpin a model; in ROUTING_MODE=realtime, which keeps what it preloads, write standard; or raise the group's "
    "max_resident, or MAX_CONCURRENT_MODELS"
)
SETTLES_S = 0.01  # between an event and the step after it: events come together, and who may go on takes its place

Planner = Callable[[Sequence[Occupant], Room], Plan]


@dataclass(frozen=True)
class Hands:
    """What an arena acts with."""

    gate: Gate
    looker: Looker
    comer: Comer
    mover: Mover
    quiet: Quiet
    agreement: Agreement
    foresight: Foresight
    planner: Planner
    interval_s: float
    now: Callable[[], float]


@dataclass
class _ToDo:
    """What of a plan has not begun yet."""

    wake: list[Residence] = field(default_factory=list)
    evict: list[Residence] = field(default_factory=list)
    join: list[Residence] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.wake or self.evict or self.join)


class Arena:
    """Use `start()` and `close()`."""

    def __init__(self, name: str, residences: Sequence[Residence], room: Room, hands: Hands) -> None:
        self.hold = Hold(hands.agreement, name)
        self._name = name
        self._residences = {residence.id: residence for residence in residences}
        self._room = room
        self._hands = hands
        self._event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = hands.now()
        self._alone = False  # the others do not hear us
        for residence in residences:
            residence.arena, residence.changed = name, self._event.set

    async def start(self) -> None:
        """Returns when it is known who is awake, as far as servers answer in time."""
        await self._exchange()
        await self._look()
        self._task = asyncio.create_task(self._run(), name=f"arena {self._name}")

    async def close(self) -> None:
        """Moves go on."""
        await self.stop()
        await self.hold.close()

    async def stop(self) -> None:
        """Nothing new begins."""
        tasks = [task for task in (self._task, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def has_room_for(self, residence: Residence) -> bool:
        """There would be, if all who are not kept made room."""
        occupants = [
            replace(o, state="sleeping", waiting=1) if o.model == residence.id else o for o in self._occupants()
        ]
        return residence.id not in self._hands.planner(occupants, self._room).refuse

    def beside(self, residence: Residence) -> tuple[str, ...]:
        """Who is kept awake and so leaves it no room; nobody where it has room, or others could make some."""
        if (
            residence.kept
            or residence.state in RESIDENT
            or not (residence.left_out or not self.has_room_for(residence))
        ):
            return ()
        kept = [r for r in self._residences.values() if r.kept]
        own = [r for r in kept if r.model.lane == residence.model.lane]
        filled = len(own) >= self._room.groups.get(residence.model.lane, 1)
        return tuple(r.id for r in (own if filled else kept))

    async def _run(self) -> None:
        while True:
            self._event.clear()
            try:
                pause_s = await self._step()
            except Exception as exc:  # it must go on
                log.error("planning failed", arena=self._name, exc_info=exc)
                pause_s = self._hands.interval_s
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._event.wait()
            await asyncio.sleep(SETTLES_S)

    async def _step(self) -> float:
        """Returns in how many seconds the next one is due, if nothing happens."""
        await self._exchange()
        for residence in self._residences.values():
            self._hands.foresight.settle(residence)
        plan = self._planned()
        for residence in self._residences.values():
            residence.refused = residence.id in plan.refuse
            if residence.refused:
                self._tell_of_refusal(residence)
                residence.refuse()
        if self._to_do(plan) or (self._moving and not self.hold.held):
            plan = await self._do(plan)
        elif not self._moving:
            await self.hold.let_go()
        self._look_if_due()
        return self._pause_s(plan)

    async def _do(self, plan: Plan) -> Plan:
        """Only who holds the lease does anything. Whoever has just taken it looks again: others may have acted."""
        if not self.hold.held and await self.hold.take():
            await self._look()
            await self._exchange()
            plan = self._planned()
        if self.hold.held:
            to_do, mover = self._to_do(plan), self._hands.mover
            for residence in to_do.evict:
                mover.evict(residence)
            for residence in to_do.wake:
                self._hands.foresight.wakes(residence)
                mover.wake(residence)
            for residence in to_do.join:
                self._hands.comer.join(residence)
        return plan

    def _planned(self) -> Plan:
        plan = self._hands.planner(self._occupants(), self._room)
        for id in plan.resume:
            self._hands.mover.resume(self._residences[id])
        return plan

    def _occupants(self) -> list[Occupant]:
        gate, foresees = self._hands.gate, self._hands.foresight.foresees
        return [occupant(r, gate.in_flight(r), foreseen=foresees(r.id)) for r in self._residences.values()]

    def _to_do(self, plan: Plan) -> _ToDo:
        known = self._residences
        evict = [r for id in (*plan.sleep, *plan.drain) if (r := known[id]).may_leave]
        stuck = [r for r in known.values() if r.stuck and r.may_wake and r not in evict]
        wake = [r for id in plan.wake if (r := known[id]).idle]
        return _ToDo([*wake, *stuck], evict, [r for r in known.values() if joining(r)])

    # what others do

    async def _exchange(self) -> None:
        here = {r.id: told(r, self._hands.gate.in_flight(r)) for r in self._residences.values()}
        try:
            known = await self._hands.agreement.exchange(self._name, here)
            self._tell_of_others(alone=False)
        except StoreUnavailable:
            known = {r.id: Known(pinned=r.pinned) for r in self._residences.values()}
            self._tell_of_others(alone=True)
        for residence in self._residences.values():
            self._heed(residence, known.get(residence.id, Known()))
            if residence.untold_pin and not self._alone:
                await self._hands.mover.tell_pin(residence)
            if residence.announced and residence.motion is None:
                await self._hands.mover.retract(residence)
            elif residence.announced and not residence.known.draining and not self._alone:
                await self._hands.mover.announce(residence)  # they have forgotten it, or never heard

    def _heed(self, residence: Residence, known: Known) -> None:
        """What another router is about to change gets no requests; a look tells what became of it."""
        barred = known.draining and not residence.announced
        residence.known = known
        if known.pinned is None:
            residence.untold_pin |= residence.pinned  # Redis has lost it
        elif not residence.untold_pin:
            residence.pinned = known.pinned
        if barred and not residence.barred:
            self._hands.gate.shut(residence)
        if residence.barred and not barred:
            self._looked_at -= self._hands.interval_s
        residence.barred = barred

    def _tell_of_refusal(self, residence: Residence) -> None:
        """Once, unless others are kept."""
        kept = self.beside(residence)
        if residence.refused_beside != kept:
            residence.refused_beside = kept
            log.warning(f"requests are refused: {NO_ROOM}", model=residence.id, kept=kept)

    def _tell_of_others(self, *, alone: bool) -> None:
        if alone and not self._alone:
            log.warning("other routers cannot be heard: going by what the servers say", arena=self._name)
        self._alone = alone

    # looking

    def _look_if_due(self) -> None:
        if self._looking is None and self._look_due_s() <= 0:
            self._looking = asyncio.create_task(self._look(), name=f"look at {self._name}")
            self._looking.add_done_callback(lambda _: self._looked())

    async def _look(self) -> None:
        self._looked_at, before = self._hands.now(), self._states()
        await self._hands.looker.look(self._residences.values())
        if self._states() != before:
            self._event.set()

    def _states(self) -> list[tuple[State, bool, int]]:
        """What a plan may depend on."""
        found = self._residences.values()
        return [(r.state, r.holds, len(joining(r))) for r in found]

    def _looked(self) -> None:
        self._looking = None

    def _look_due_s(self) -> float:
        """Requests may wait for what another router is doing."""
        others_act = not self.hold.held and any(r.waiters or r.barred for r in self._residences.values())
        every_s = min(SOON_S, self._hands.interval_s) if others_act else self._hands.interval_s
        return self._looked_at + every_s - self._hands.now()

    @property
    def _moving(self) -> bool:
        return any(r.motion or r.announced for r in self._residences.values())

    def _pause_s(self, plan: Plan) -> float:
        found = [self._hands.interval_s, *(s for r in self._residences.values() for s in r.due_s())]
        if plan.look_again_s is not None:
            found.append(plan.look_again_s)
        if self._moving or any(r.waiters for r in self._residences.values()):
            found.append(SOON_S)
        found.append(self._look_due_s() if self._looking is None else SOON_S)
        return max(0.0, min(found))
