"""
Which models to wake and which to put to sleep, where groups hold only some of theirs: VRAM as a cache.

Who waits longest is served first. Who has to go for it is who is cheapest to lose, and has no requests in flight.

Nothing is remembered from one plan to the next: what was begun and is still right is planned again, and what has become
wrong is taken back.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

State = Literal["awake", "sleeping", "waking", "loading", "draining", "failed", "unknown"]
STATES: tuple[State, ...] = get_args(State)
RESIDENT: frozenset[State] = frozenset({"awake", "waking", "loading", "draining"})  # these take room

_PAUSE_S = 10.0  # people read and type: shorter pauses say little; as simulated, docs/model-lifecycle.md


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
    foreseen: bool = False  # sessions will likely go on to it soon


@dataclass(frozen=True, slots=True)
class Room:
    """
    How many may be awake at once, per group (1 in one that is not named) and in *total*; who woke stays at least
    *min_residency_s*.
    """

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
    """
    What follows from how things stand.

    1. More are awake than there is room, as people woke them: who is cheapest to lose goes, though nobody waits.
    2. Requests wait for a model: who waits longest comes first, then kept and other wanted models as they are listed.
       a. Those who are kept fill the room by themselves: its requests are refused.
       b. There is room: it is woken, now or once those who leave have left.
       c. There is none: the cheapest of those whose need is less makes room. An idle one sleeps at once; of busy ones
          one drains, as constant traffic would hold the place for ever. One that drains already goes before others.
       d. Those who could make room woke just now: it waits until the first of them has stayed long enough.
    3. Sessions will likely go on to a model that nobody asks for yet: it is woken where there is room, or in place of
       one that is idle, stands with no session, has stayed long enough and is not foreseen itself.
    4. Who drains though nobody needs the place, any more, is resumed.

    A model that requests wait for makes room only for those that have waited longer, so that two models that wait for
    one place take turns; requests that come while it drains wait behind those for which it drains.
    """
    arena = _Arena(occupants, room)
    arena.shrink()  # 1
    for claim in sorted(filter(_claims, occupants), key=_need):
        arena.place(claim)  # 2
    for model in filter(_is_ahead, occupants):
        arena.place_ahead(model)  # 3
    return arena.plan()  # 4


def worth(model: Occupant) -> float:
    """
    What is lost with *model*: seconds of waking, as likely as it is needed soon. That it was needed lately makes it
    likely, as LRU has it, and so does every session that will come back to it. Where sessions and costs are equal, the
    order is that of LRU.

    To divide what a miss costs by age is hyperbolic caching (Blankstein, Sen, Freedman 2017), with sessions in place of
    hits; that costs of misses belong into recency is GreedyDual (Young 1994; GreedyDual-Size: Cao, Irani 1997).
    """
    return model.wake_s * (1 + model.sessions) / (_PAUSE_S + model.idle_s)


_Need = tuple[int, float, str]
_SURPLUS: _Need = (-1, 0.0, "")  # before all others
_AHEAD: _Need = (3, 0.0, "")  # after all who are needed now


def _need(model: Occupant) -> _Need:
    """The least is served first, and takes the place of greater ones."""
    if model.waiting:
        return 0, -model.waiting_for_s, model.model
    if model.wanted:
        return (1 if model.kept else 2), 0.0, ""
    return 4, 0.0, ""


def _claims(model: Occupant) -> bool:
    return model.state not in RESIDENT and (model.waiting > 0 or model.wanted)


def _is_ahead(model: Occupant) -> bool:
    return model.foreseen and model.state not in RESIDENT and not _claims(model)


def _is_spare(model: Occupant) -> bool:
    """Nobody will miss it soon, as far as is known."""
    return not (model.in_flight or model.sessions or model.foreseen)


class _Arena:
    """
    Places while they are given away: how many are taken *now*, and *then*, once those who leave have left and those who
    come have come.
    """

    def __init__(self, occupants: Sequence[Occupant], room: Room) -> None:
        self._room = room
        self._residents = [model for model in occupants if model.state in RESIDENT]
        self._kept = Counter(model.group for model in self._residents if model.kept)
        self._now = Counter(model.group for model in self._residents)
        self._then = self._now.copy()
        self._leaving: dict[str, Occupant] = {}
        self._wake: list[str] = []
        self._refuse: list[str] = []
        self._look_again_s: list[float] = []

    def shrink(self) -> None:
        for group in sorted(self._now):
            while self._then[group] > self._most(group) and self._make_room(group, _SURPLUS):
                pass
        while self._then.total() > self._room.total and self._make_room(None, _SURPLUS):
            pass

    def place(self, claim: Occupant) -> None:
        if claim.waiting and self._full(self._kept, claim.group):
            self._refuse.append(claim.model)  # 2a
            return
        if self._full(self._then, claim.group):
            within = claim.group if self._then[claim.group] >= self._most(claim.group) else None
            if not self._make_room(within, _need(claim)):  # 2c
                return
        self._come(claim)

    def place_ahead(self, model: Occupant) -> None:
        if self._full(self._then, model.group):
            within = model.group if self._then[model.group] >= self._most(model.group) else None
            if not self._replace_spare(within):
                return
        self._come(model)

    def plan(self) -> Plan:
        leaving = self._leaving.values()
        return Plan(
            wake=tuple(self._wake),
            sleep=tuple(model.model for model in leaving if not model.in_flight),
            drain=tuple(model.model for model in leaving if model.in_flight and model.state == "awake"),
            resume=tuple(m.model for m in self._residents if m.state == "draining" and m.model not in self._leaving),
            refuse=tuple(self._refuse),
            look_again_s=min(self._look_again_s, default=None),
        )

    def _come(self, model: Occupant) -> None:
        self._then[model.group] += 1
        if not self._full(self._now, model.group):
            self._now[model.group] += 1
            self._wake.append(model.model)  # 2b

    def _make_room(self, within: str | None, need: _Need) -> bool:
        """One more leaves, of group *within* or of any; False: nobody can."""
        able = list(self._able(within, need))
        due = [model for model in able if self._stays_s(model) <= 0]
        leaves = min(due, key=_cheapest, default=None)
        if leaves is None or leaves.in_flight:
            self._look_again_s.extend(self._stays_s(model) for model in able if self._stays_s(model) > 0)  # 2d
        if leaves is None:
            return False
        self._leave(leaves)
        return True

    def _replace_spare(self, within: str | None) -> bool:
        """As `_make_room`, for what is only foreseen."""
        spare = [model for model in self._able(within, _AHEAD) if _is_spare(model)]
        leaves = min((model for model in spare if self._stays_s(model) <= 0), key=_cheapest, default=None)
        if leaves is None:
            self._look_again_s.extend(map(self._stays_s, spare))
            return False
        self._leave(leaves)
        return True

    def _leave(self, model: Occupant) -> None:
        self._leaving[model.model] = model
        self._then[model.group] -= 1

    def _able(self, within: str | None, need: _Need) -> Iterator[Occupant]:
        """Those who may leave for *need*, now or later."""
        for model in self._residents:
            leaves = model.state in ("awake", "draining") and not model.kept and model.model not in self._leaving
            if leaves and within in (None, model.group) and need < _need(model):
                yield model

    def _stays_s(self, model: Occupant) -> float:
        return 0.0 if model.state == "draining" else self._room.min_residency_s - model.awake_for_s

    def _full(self, taken: Counter[str], group: str) -> bool:
        return taken[group] >= self._most(group) or taken.total() >= self._room.total

    def _most(self, group: str) -> int:
        return self._room.groups.get(group, 1)


def _cheapest(model: Occupant) -> tuple[bool, bool, int, float, float, str]:
    """Idle ones first; what drains already, then what nobody needs, then what is worth least."""
    begins = model.state != "draining"
    return model.in_flight > 0, begins, -_need(model)[0], worth(model), -model.idle_s, model.model
