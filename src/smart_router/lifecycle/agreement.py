"""What routers that share model servers tell one another: who changes a group now, and how its models stand."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class Told(Struct, frozen=True):
    """What one router knows of one model. Durations in seconds."""

    idle_s: float | None = None  # since its last request here; None: there was none
    sessions: int = 0  # live ones that stand with it here
    in_flight: int = 0  # here
    waiting: int = 0  # here, until it is awake
    waiting_for_s: float = 0.0  # the first of them


class Known(Struct, frozen=True):
    """What all routers together know of one model: `Told` by all of them, and what was noted of it."""

    told: Told = Told()  # the shortest idle, the longest wait, the sums; this router's own part is left out of it
    awake_for_s: float | None = None
    wake_s: float | None = None  # what waking took lately
    pinned: bool = False
    draining: bool = False  # somebody is about to put it to sleep: send it nothing


class Note(Struct, frozen=True):
    """What is noted of one model for everybody; None leaves it as it was."""

    woke: bool | None = None  # now (True), or it sleeps (False)
    wake_s: float | None = None
    pinned: bool | None = None
    draining: bool | None = None


class Agreement(Protocol):
    """
    Between routers. An *arena* is what is decided together: a group, or all groups.

    Raises, from all but `close`:
        StoreUnavailable: each router goes by what the servers say.
    """

    async def hold(self, arena: str, for_s: float) -> bool:
        """Take the arena's lease, or prolong one's own: nobody else has it for *for_s*. False: somebody else has it."""

    async def let_go(self, arena: str) -> None: ...

    async def exchange(self, arena: str, told: Mapping[str, Told]) -> Mapping[str, Known]:
        """Tell the others how models stand here, in place of what was told before; learn how they stand elsewhere."""

    async def note(self, arena: str, model: str, note: Note) -> None: ...

    async def close(self) -> None:
        """What was told ends with this process, and its leases."""


class Alone:
    """There is no other router; notes are kept in the process."""
