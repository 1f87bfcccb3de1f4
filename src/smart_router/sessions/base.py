"""What every session store promises; `tests/sessions/test_contract.py` holds each kind to it."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from smart_router.errors import StoreUnavailable
from smart_router.types import Admission, Lane, Message, Rate, Session

OnTrouble = Callable[[StoreUnavailable], None]


class Key(msgspec.Struct, frozen=True, gc=False):
    """
    A session, or a stored response, belongs to the caller that made it: two callers' `s1` are two sessions. Sessions
    and responses do not share names either.
    """

    owner: str
    id: str


class Limits(msgspec.Struct, frozen=True):
    """Bounds of what a store keeps."""

    ttl_s: int = 1800  # since the last turn
    memory_turns: int = 10  # exchanges of a conversation
    memory_bytes: int = 262_144  # of a conversation
    sessions: int = 50_000  # embedded store: kept, and as many held responses; Redis: listed, of each owner
    total_bytes: int = 268_435_456  # of all conversations, embedded store only


class Begun(msgspec.Struct, frozen=True):
    """
    What a turn finds: the session, this turn counted, None for a new one; its conversation, oldest first. *admission*
    where its caller's requests are limited; one that is not admitted finds nothing and is not counted.
    """

    session: Session | None = None
    history: tuple[Message, ...] = ()
    admission: Admission | None = None


class Pin(msgspec.Struct, frozen=True):
    """
    The choice to commit: *lane* in *group*. *turn* is the session's turn when this exchange began (0: there was none);
    if another exchange changed the pin since, that one stands. *sure*: what this turn brought decides alone, so that it
    does not matter whether the session was known.

    *chosen*: when that was, for a choice that was made apart from this store (0: not knowing the session). Of such a
    one and that which stands, the later counts, whatever the turns; of the same use case's choice, that of more turns.
    """

    group: str
    lane: Lane
    turn: int
    sure: bool = False
    chosen: float | None = None


class Steering(msgspec.Struct, frozen=True):
    """
    What a person changes of a session; None stays as it is. *pinned*: a use case, empty for none.

    *at*: when that was, for what was said apart from this store: it counts unless something was said since.
    """

    pinned: str | None = None
    bypass: bool | None = None
    at: float | None = None


class Position(msgspec.Struct, frozen=True):
    """Where a list of sessions goes on: after *id*, which was last used *at_us* (microseconds since the epoch)."""

    at_us: int
    id: str


class Page(msgspec.Struct, frozen=True):
    """Sessions by their ids, the last used first; *after*: where the list goes on, None at its end."""

    sessions: tuple[tuple[str, Session], ...] = ()
    after: Position | None = None


class Held(msgspec.Struct, frozen=True, gc=False):
    """Where a stored response lives."""

    session_id: str
    model: str
    replica: str


class Sums(msgspec.Struct, frozen=True):
    """*since*: when counting began, in seconds since the epoch; None when nothing was counted yet."""

    counts: dict[str, float]
    since: float | None


class SharedCounts(Protocol):
    """
    Sums that all processes share, such as those of `/stats`.

    Raises, from every call:
        StoreUnavailable: no answer in time.
    """

    async def add(self, number: int, counts: Mapping[str, float]) -> None:
        """*number* grows with each addition of this process; one that was taken before changes nothing."""

    async def read(self) -> Sums: ...

    async def clear(self) -> None: ...


class SessionStore(Protocol):
    """
    Every call but `page` is one round trip at most. A session lives for the TTL after its last `begin`, `commit` or
    `remember`.

    A turn is counted once: by `begin` if it finds the session, else by `commit`. Where session, lane and place are
    unchanged, nothing is left to commit.

    Raises, from every call that is awaited:
        StoreUnavailable: no answer in time. Of a store that has another to fall back on, only `held` and `ping` do.
    """

    kind: str
    on_trouble: OnTrouble  # hears why a `remember` or a `hold` failed; must not raise

    @property
    def degraded(self) -> bool:
        """Redis does not answer, and sessions are kept in this process meanwhile."""

    @property
    def counts(self) -> "SharedCounts | None":
        """None where there is but one process."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Return when the store answers."""

    def begin(self, key: Key, *, history: bool, rate: Rate | None = None) -> Coroutine[Any, Any, Begun]:
        """
        Is under way when this returns, so that other work may be done before its result is awaited.

        Count the turn of a known session; return the session and, if wanted, its conversation. Starts nothing: an
        unknown session stays unknown. With *rate*, this is also one more request of its owner (see `admit`).
        """

    async def admit(self, owner: str, rate: Rate) -> Admission:
        """One more request of *owner*, apart from any session; it counts unless it is refused."""

    async def commit(self, key: Key, pin: Pin) -> Session:
        """
        Set the pin, unless it lost a race; count the exchange if `begin` had nothing to count. Returns the session as
        it stands afterwards; of first turns that race, all get the same lane back.
        """

    def remember(self, key: Key, messages: Sequence[Message]) -> None:
        """
        Append to the conversation of a session that still exists; the oldest messages make room. On return they are on
        their way: a later `begin` of this process finds them, that of another one if theirs is the longer way.
        """

    async def get(self, key: Key) -> Session | None:
        """The session as it stands, neither counted nor prolonged."""

    async def steer(self, key: Key, steering: Steering) -> Session | None:
        """
        Change what a person asked of the session, whatever turns are committed meanwhile; the session afterwards, None
        if there is none. Neither counted nor prolonged.
        """

    async def page(self, owner: str, limit: int, after: Position | None = None) -> Page:
        """
        At most *limit* of the sessions of *owner*, that were last used before *after*; a store may know that moment
        only to a thirtieth of the TTL. One that is used while somebody goes through the list moves to its beginning,
        and may be missed. A page may hold fewer, and others still follow.
        """

    async def history(self, key: Key) -> tuple[Message, ...]:
        """The session's conversation as it stands, oldest first; not prolonged."""

    async def end(self, key: Key) -> bool:
        """Forget the session and its conversation; False if there was none."""

    def hold(self, key: Key, held: Held) -> None:
        """Keep for the TTL where response *key* lives; found from when on, see `remember`."""

    async def held(self, key: Key) -> Held | None:
        """Where response *key* lives, None if that is not known (any more)."""


def nobody_hears(trouble: StoreUnavailable) -> None:
    """The `on_trouble` of a store that was given none."""
