"""What routers that share model servers tell one another: who changes a group now, and how its models stand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from msgspec import Struct

from smart_router.decide.succession import Habits


class Told(Struct, frozen=True):
    """What one router knows of one model. Durations in seconds."""

    idle_s: float | None = None  # since its last request here; None: there was none
    sessions: int = 0  # live ones that stand with it here
    in_flight: int = 0  # here
    waiting: int = 0  # here, until it is awake
    waiting_for_s: float = 0.0  # the first of them


class Known(Struct, frozen=True):
    """What all routers together know of one model: `Told` by all of them, and what was noted of it."""

    # The sums and the longest wait, of the other routers that live; the shortest idle, of all that ever told.
    told: Told = Told()
    awake_for_s: float | None = None
    wake_s: float | None = None  # what waking took lately
    pinned: bool | None = None  # None: nobody ever said, or what was said is lost
    draining: bool = False  # somebody is about to put it to sleep: send it nothing


class Note(Struct, frozen=True):
    """What is noted of one model for everybody; None leaves it as it was."""

    woke: bool | None = None  # now (True), or it sleeps (False)
    wake_s: float | None = None
    pinned: bool | None = None
    draining: bool | None = None


class SharedHabits(Protocol):
    """What sessions go on to, as all routers have counted it. It outlives them."""

    async def add(self, habits: Habits) -> Habits:
        """
        Add what was counted here; returns what all have counted, this included.

        Raises:
            StoreUnavailable: it may have been added all the same.
        """


class Agreement(Protocol):
    """
    Between routers. An *arena* is what is decided together: a group, or all groups. A model has one name in all arenas.

    Recency, pins and what waking took outlive every router. What a router told, and its drainings, last while it goes
    on to exchange; once it is gone, nobody drains for it.

    Raises, from all but `close`:
        StoreUnavailable: each router goes by what the servers say.
    """

    @property
    def habits(self) -> SharedHabits | None:
        """None where there is no other router."""

    async def hold(self, arena: str, for_s: float) -> bool:
        """
        Take the arena's lease, or prolong one's own: nobody else has it for *for_s*, counted from before this call.
        False: somebody else has it.
        """

    async def let_go(self, arena: str) -> None: ...

    async def exchange(self, arena: str, told: Mapping[str, Told]) -> Mapping[str, Known]:
        """
        Tell the others how models stand here, in place of what was told before; learn how they stand elsewhere. Of
        the models in *told*, of others nothing is said.
        """

    async def note(self, arena: str, model: str, note: Note) -> None:
        """For everybody who exchanges after this."""

    async def close(self) -> None:
        """What was told ends with this process, and its leases."""


@dataclass(slots=True)
class _Noted:
    """Of one model; moments of the clock."""

    used_at: float | None = None
    woke_at: float | None = None
    wake_s: float | None = None
    pinned: bool | None = None
    draining: bool = False


class Alone:
    """There is no other router; notes are kept in the process."""

    habits = None

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._noted: dict[str, _Noted] = {}

    async def hold(self, arena: str, for_s: float) -> bool:
        return True

    async def let_go(self, arena: str) -> None:
        """Nobody waits for it."""

    async def exchange(self, arena: str, told: Mapping[str, Told]) -> Mapping[str, Known]:
        return {model: self._exchanged(model, here) for model, here in told.items()}

    async def note(self, arena: str, model: str, note: Note) -> None:
        noted = self._of(model)
        if note.woke is not None:
            noted.woke_at = self._clock() if note.woke else None
        if note.wake_s is not None:
            noted.wake_s = note.wake_s
        if note.pinned is not None:
            noted.pinned = note.pinned
        if note.draining is not None:
            noted.draining = note.draining

    async def close(self) -> None:
        """All of it ends with the process."""

    def _exchanged(self, model: str, here: Told) -> Known:
        noted, now = self._of(model), self._clock()
        if here.idle_s is not None:
            used_at = now - here.idle_s
            noted.used_at = used_at if noted.used_at is None else max(used_at, noted.used_at)
        idle_s = None if noted.used_at is None else now - noted.used_at
        awake_for_s = None if noted.woke_at is None else now - noted.woke_at
        return Known(Told(idle_s), awake_for_s, noted.wake_s, noted.pinned, noted.draining)

    def _of(self, model: str) -> _Noted:
        return self._noted.setdefault(model, _Noted())
