"""What every session store promises; `tests/sessions/test_contract.py` holds each kind to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from smart_router.types import Lane, Message, Session


@dataclass(frozen=True, slots=True)
class Key:
    """A session belongs to the caller that made it: two callers' `s1` are two sessions."""

    owner: str
    id: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what a store keeps."""

    ttl_s: int = 1800  # since the last turn
    memory_turns: int = 10  # exchanges of a conversation
    memory_bytes: int = 262_144  # of a conversation
    sessions: int = 50_000  # embedded store only
    total_bytes: int = 268_435_456  # of all conversations, embedded store only


@dataclass(frozen=True, slots=True)
class Begun:
    """What a turn finds: the session as it stands, None for a new one, and its conversation, oldest first."""

    session: Session | None = None
    history: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Pin:
    """
    The choice to commit: *lane* in *group*. *turn* is the session's turn when this exchange began (0: there was none);
    if another exchange changed the pin since, that one stands and only the count goes on.
    """

    group: str
    lane: Lane
    turn: int


class SessionStore(Protocol):
    """
    Every call is one round trip at most. A session lives for the TTL after its last `begin`, `commit` or `remember`.

    Raises, from every call:
        StoreUnavailable: no answer in time. The caller goes on without the store.
    """

    kind: str

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Return when the store answers."""

    async def begin(self, key: Key, *, history: bool) -> Begun:
        """The session and, if wanted, its conversation. Starts nothing: an unknown session stays unknown."""

    async def commit(self, key: Key, pin: Pin) -> Session:
        """
        Count the exchange and, unless it lost a race, set the pin. Returns the session as it stands afterwards; of
        first turns that race, all get the same lane back.
        """

    async def remember(self, key: Key, messages: Sequence[Message]) -> None:
        """Append to the conversation of a session that still exists; the oldest messages make room."""

    async def get(self, key: Key) -> Session | None:
        """The session as it stands, without prolonging it."""

    async def end(self, key: Key) -> bool:
        """Forget the session and its conversation; False if there was none."""
