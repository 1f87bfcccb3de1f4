"""
Which models to wake and which to put to sleep, where groups hold only some of theirs: VRAM as a cache.

Who waits longest is served first. Who has to go for it is who is cheapest to lose, and has no requests in flight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["awake", "sleeping", "waking", "loading", "draining", "failed", "unknown"]
STATES: tuple[State, ...] = ("awake", "sleeping", "waking", "loading", "draining", "failed", "unknown")
RESIDENT: frozenset[State] = frozenset({"awake", "waking", "loading", "draining"})  # these take room


@dataclass(frozen=True, slots=True)
class Occupant:
    """A model that comes and goes, as it stands now; durations in seconds."""

    model: str
    group: str
    state: State
    in_flight: int = 0  # requests at its servers, of all routers as far as that is known
    waiting: int = 0  # requests that wait until it is awake
    waiting_for_s: float = 0.0  # the first of them
    wanted: bool = False  # by an operator, or as it is preloaded: to be awake without any request
    kept: bool = False  # preloaded or pinned: never evicted
    idle_s: float = 0.0  # since its last request
    awake_for_s: float = 0.0
    sessions: int = 0  # live ones that stand with it
    wake_s: float = 1.0  # what waking it takes


@dataclass(frozen=True, slots=True)
class Room:
    """How many may be awake at once, per group and in *total*; who woke stays at least *min_residency_s*."""

    groups: Mapping[str, int]
    total: int
    min_residency_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What to do now.

        wake     there is room for them
        sleep    they are idle, and their place is needed
        drain    they are not idle: no new requests until they are
        resume   they were draining, and need not
        refuse   requests wait for them in vain: nobody who is kept will make room
    """

    wake: tuple[str, ...] = ()
    sleep: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    look_again_s: float | None = None  # when something may follow without any event; None: nothing will


def plan(occupants: Sequence[Occupant], room: Room) -> Plan:
    """What follows from how things stand."""
    raise NotImplementedError
