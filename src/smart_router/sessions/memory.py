"""The embedded store: one process, bounded, gone with it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from smart_router.decide.memory import size
from smart_router.sessions.base import (
    Begun,
    Held,
    Key,
    Limits,
    OnTrouble,
    Page,
    Pin,
    Position,
    SharedCounts,
    Steering,
    nobody_hears,
)
from smart_router.sessions.listing import Listing
from smart_router.sessions.rates import LocalRates
from smart_router.types import Admission, Lane, Message, Rate, Session, Steer

TICK_S = 1e-6  # a choice is later than the one that it follows, at least by that


@dataclass(slots=True)
class _Entry:
    session: Session
    expires: float  # monotonic seconds
    history: list[Message] = field(default_factory=list)


class EmbeddedStore:
    """The least recently used sessions make room when there are too many, or their conversations are too large."""

    kind = "embedded"
    degraded = False
    counts: SharedCounts | None = None

    def __init__(
        self,
        limits: Limits,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        on_trouble: OnTrouble = nobody_hears,
    ) -> None:
        self.on_trouble = on_trouble  # never called: there is no trouble here
        self.limits = limits
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()  # the next to expire first
        self._listing = Listing()
        self._bytes = 0  # of all conversations
        self._rates = LocalRates()
        self._held: OrderedDict[Key, tuple[Held, float]] = OrderedDict()  # and when it expires, the next first

    async def start(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        self._entries.clear()
        self._listing.clear()
        self._held.clear()
        self._bytes = 0

    async def ping(self) -> None:
        """Always there."""

    async def begin(self, key: Key, *, history: bool, rate: Rate | None = None) -> Begun:
        admission = None if rate is None else self._rates.admit(key.owner, rate)
        entry = self._live(key)
        if entry is None or (admission is not None and not admission.admitted):
            return Begun(admission=admission)
        entry.session = _counted(entry.session, self._wall_clock())
        self._use(key, entry)
        return Begun(entry.session, tuple(entry.history) if history else (), admission)

    async def admit(self, owner: str, rate: Rate) -> Admission:
        return self._rates.admit(owner, rate)

    async def commit(self, key: Key, pin: Pin) -> Session:
        entry, now = self._live(key), self._wall_clock()
        if entry is None:
            entry = _Entry(_first(key.owner, pin, now), 0.0)
        else:
            entry.session = _next(entry.session, pin, now)
        self._use(key, entry)
        self._make_room()
        return entry.session

    def remember(self, key: Key, messages: Sequence[Message]) -> None:
        entry = self._live(key)
        if entry is None or not messages:
            return
        before = _bytes(entry.history)
        entry.history = _bounded([*entry.history, *messages], self.limits)
        self._bytes += _bytes(entry.history) - before
        self._prolong(key, entry)
        self._make_room()

    async def get(self, key: Key) -> Session | None:
        entry = self._live(key)
        return entry.session if entry else None

    async def steer(self, key: Key, steering: Steering) -> Session | None:
        entry = self._live(key)
        if entry is None:
            return None
        entry.session = replace(entry.session, steer=_steered(entry.session.steer, steering, self._wall_clock()))
        return entry.session

    async def page(self, owner: str, limit: int, after: Position | None = None) -> Page:
        self._drop_expired()
        positions = self._listing.positions(owner, after, limit + 1)
        found = tuple((one.id, self._entries[Key(owner, one.id)].session) for one in positions[:limit])
        return Page(found, positions[limit - 1] if len(positions) > limit else None)

    async def history(self, key: Key) -> tuple[Message, ...]:
        entry = self._live(key)
        return tuple(entry.history) if entry else ()

    async def end(self, key: Key) -> bool:
        if self._live(key) is None:
            return False
        self._forget(key)
        return True

    def keep(self, key: Key, session: Session) -> None:
        """*session* as it stands elsewhere; a conversation that is here stays."""
        entry = self._entries.get(key)
        if entry is None:
            entry = _Entry(session, 0.0)
        else:
            entry.session = session
        self._use(key, entry)
        self._make_room()

    def look(self, key: Key) -> Begun:
        """The session and its conversation as they stand, neither counted nor prolonged."""
        entry = self._live(key)
        return Begun(entry.session, tuple(entry.history)) if entry else Begun()

    def forget(self, key: Key) -> None:
        if key in self._entries:
            self._forget(key)

    def forget_conversation(self, key: Key) -> None:
        if entry := self._entries.get(key):
            self._bytes -= _bytes(entry.history)
            entry.history = []

    def hold(self, key: Key, held: Held) -> None:
        self._drop_expired_held()
        self._held[key] = held, self._monotonic() + self.limits.ttl_s
        self._held.move_to_end(key)
        if len(self._held) > self.limits.sessions:
            self._held.popitem(last=False)

    async def held(self, key: Key) -> Held | None:
        self._drop_expired_held()
        found = self._held.get(key)
        return found[0] if found else None

    def _live(self, key: Key) -> _Entry | None:
        self._drop_expired()
        return self._entries.get(key)

    def _use(self, key: Key, entry: _Entry) -> None:
        self._prolong(key, entry)
        self._listing.touch(key, entry.session.accessed)

    def _prolong(self, key: Key, entry: _Entry) -> None:
        entry.expires = self._monotonic() + self.limits.ttl_s
        self._entries[key] = entry
        self._entries.move_to_end(key)

    def _make_room(self) -> None:
        limits = self.limits
        while len(self._entries) > limits.sessions or (self._bytes > limits.total_bytes and len(self._entries) > 1):
            self._forget(next(iter(self._entries)))

    def _forget(self, key: Key) -> None:
        self._bytes -= _bytes(self._entries.pop(key).history)
        self._listing.drop(key)

    def _drop_expired(self) -> None:
        """Every entry lives equally long, so the order of use is the order of expiry."""
        now = self._monotonic()
        while self._entries and next(iter(self._entries.values())).expires <= now:
            self._forget(next(iter(self._entries)))

    def _drop_expired_held(self) -> None:
        now = self._monotonic()
        while self._held and next(iter(self._held.values()))[1] <= now:
            self._held.popitem(last=False)


def _first(owner: str, pin: Pin, now: float) -> Session:
    chosen = now if pin.chosen is None else pin.chosen
    lanes = {pin.group: pin.lane}
    return Session(owner, turn=1, group=pin.group, lanes=lanes, count=1, created=now, accessed=now, chosen=chosen)


def _next(session: Session, pin: Pin, now: float) -> Session:
    """A pin of turn 0 comes from an exchange that found no session, so that `begin` had nothing to count."""
    found = _counted(session, now) if pin.turn == 0 else replace(session, accessed=now)
    if not _replaces(session, pin):
        return found
    changes = pin.group != session.group or not _same_place(session.lane, pin.lane)
    lanes = {**session.lanes, pin.group: pin.lane}
    chosen = _chosen(session, pin, now)
    return replace(found, turn=session.turn + changes, group=pin.group, lanes=lanes, chosen=chosen)


def _replaces(session: Session, pin: Pin) -> bool:
    """Does *pin* take the place of what *session* has?"""
    if pin.chosen is not None:
        return (pin.chosen, pin.turn) > (session.chosen, session.turn)
    return pin.turn == session.turn


def _chosen(session: Session, pin: Pin, now: float) -> float:
    if pin.chosen is not None:
        return pin.chosen
    anew = pin.sure or pin.lane.use_case != session.lane.use_case
    return max(now, session.chosen + TICK_S) if anew else session.chosen


def _steered(steer: Steer, steering: Steering, now: float) -> Steer:
    pinned_at, bypass_at = (_said_at(before, steering, now) for before in (steer.pinned_at, steer.bypass_at))
    if steering.pinned is not None and pinned_at > steer.pinned_at:
        steer = replace(steer, pinned=steering.pinned, pinned_at=pinned_at)
    if steering.bypass is not None and bypass_at > steer.bypass_at:
        steer = replace(steer, bypass=steering.bypass, bypass_at=bypass_at)
    return steer


def _said_at(before: float, steering: Steering, now: float) -> float:
    return max(now, before + TICK_S) if steering.at is None else steering.at


def _counted(session: Session, now: float) -> Session:
    return replace(session, count=session.count + 1, accessed=now)


def _same_place(a: Lane, b: Lane) -> bool:
    return (a.use_case, a.model, a.replica) == (b.use_case, b.model, b.replica)


def _bounded(history: list[Message], limits: Limits) -> list[Message]:
    kept = history[-2 * limits.memory_turns :] if limits.memory_turns else []
    total = _bytes(kept)
    while kept and total > limits.memory_bytes:
        total -= size(kept.pop(0))
    return kept


def _bytes(history: Sequence[Message]) -> int:
    return sum(size(message) for message in history)
