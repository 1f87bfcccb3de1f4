"""
Sessions in Redis while it answers, and in this process while it does not.

    Redis answers      it is right; what it says of a session is kept here as well, without the conversation
    it does not        the session goes on from what is kept here, or begins here
    it is back         what changed here meanwhile is written back, at its next turn or by a task of its own, whichever
                       comes first; a session that was ended here is ended there. It is well once the first of it is
                       there: a Redis that is full answers, too

Of a session that was routed here and elsewhere meanwhile, the latest choice stands; one that was made here without
knowing the session, although it needed to be known, only where there is no other.

So an outage costs a request at most the deadline of a call, and a conversation its earlier turns, but not its model.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import structlog
from msgspec.structs import replace

from smart_router.errors import StoreUnavailable
from smart_router.sessions.base import (
    Begun,
    Held,
    Key,
    OnTrouble,
    Page,
    Pin,
    Position,
    SessionStore,
    SharedCounts,
    Steering,
    nobody_hears,
)
from smart_router.sessions.memory import EmbeddedStore
from smart_router.types import Admission, Message, Rate, Session, Steer

log = structlog.get_logger("sessions")

_T = TypeVar("_T")

AT_ONCE = 100  # sessions that are written back together
WELL_AFTER_S = 1.0  # without a failed call; one node of a cluster may fail while the others answer
WATCH_S = 0.25  # between two looks whether it is back, while nobody else may be asking


class _Turn(NamedTuple):
    """What `begin` is asked."""

    key: Key
    history: bool
    rate: Rate | None


class FallbackStore:
    """
    *remote* in front of *local*. `on_trouble` hears of the beginning of an outage, not of each call in it. It takes no
    call to end one.
    """

    kind = "redis"

    def __init__(self, remote: SessionStore, local: EmbeddedStore) -> None:
        self.on_trouble: OnTrouble = nobody_hears
        self.degraded = False
        self._remote = remote
        self._local = local
        self._failed_at = 0.0  # of the monotonic clock
        self._changed: dict[Key, bool] = {}  # here alone, the earliest first; True: ended
        self._begun: dict[Key, None] = {}  # here, since Redis was last heard of them; the earliest first
        self._underway: dict[Key, asyncio.Task[Session | None]] = {}  # on their way back
        self._writing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        remote.on_trouble = self._failed

    @property
    def counts(self) -> SharedCounts | None:
        return self._remote.counts

    async def start(self) -> None:
        await self._remote.start()

    async def close(self) -> None:
        await _ended(self._writing)
        if self._underway:
            await asyncio.wait(self._underway.values())  # within the deadlines of their calls
        await self._remote.close()
        await _ended(self._watching)  # last, as what fails now is an outage, too
        await self._local.close()

    async def ping(self) -> None:
        await self._answered(self._remote.ping())

    def begin(self, key: Key, *, history: bool, rate: Rate | None = None) -> Coroutine[Any, Any, Begun]:
        turn = _Turn(key, history, rate)
        try:
            ours = self._is_ours(key)
            return self._begun_there(turn, self._remote.begin(key, history=history, rate=rate), ours)
        except StoreUnavailable as exc:
            return self._begun_here(turn, exc)

    async def admit(self, owner: str, rate: Rate) -> Admission:
        """While Redis is away, each process counts for itself."""
        try:
            return await self._answered(self._remote.admit(owner, rate))
        except StoreUnavailable:
            return await self._local.admit(owner, rate)

    async def commit(self, key: Key, pin: Pin) -> Session:
        """A turn that began here is committed here, and then written back: Redis does not know what it went by."""
        if key in self._begun or key in self._changed:
            here = await self._commit_here(key, pin)
            there = await self._written_back(key)
            return here if there is None or key in self._changed else there
        try:
            session = await self._remote.commit(key, pin)
        except StoreUnavailable as exc:
            self._failed(exc)
            return await self._commit_here(key, pin)
        self._worked()
        self._local.keep(key, session)
        return session

    def remember(self, key: Key, messages: Sequence[Message]) -> None:
        if self.degraded:
            self._change(key)
            self._local.remember(key, messages)
        else:
            self._remote.remember(key, messages)

    async def get(self, key: Key) -> Session | None:
        try:
            return await self._answered(self._remote.get(key))
        except StoreUnavailable:
            return await self._local.get(key)

    async def steer(self, key: Key, steering: Steering) -> Session | None:
        if self._is_ours(key):
            here = await self._steer_here(key, steering)
            there = await self._written_back(key)
            return here if there is None or key in self._changed else there
        try:
            session = await self._answered(self._remote.steer(key, steering))
        except StoreUnavailable:
            return await self._steer_here(key, steering)
        if session is not None:
            self._local.keep(key, session)
        return session

    async def page(self, owner: str, limit: int, after: Position | None = None) -> Page:
        """While Redis is away, those that this process knows; positions mean the same there."""
        try:
            page = await self._answered(self._remote.page(owner, limit, after))
        except StoreUnavailable:
            return await self._local.page(owner, limit, after)
        return replace(page, sessions=tuple(self._as_they_stand(owner, page.sessions))) if self._changed else page

    async def history(self, key: Key) -> tuple[Message, ...]:
        try:
            found = await self._answered(self._remote.history(key))
        except StoreUnavailable:
            return await self._local.history(key)
        return found + self._local.look(key).history if key in self._changed else found

    async def end(self, key: Key) -> bool:
        here = await self._local.end(key)
        if key in self._underway:
            await asyncio.shield(self._underway[key])  # or it would be there again afterwards
        try:
            known = await self._answered(self._remote.end(key))
        except StoreUnavailable:
            self._change(key, ended=True)
            return here
        self._changed.pop(key, None)
        return known or here

    def hold(self, key: Key, held: Held) -> None:
        if self.degraded:
            self._local.hold(key, held)
        else:
            self._remote.hold(key, held)

    async def held(self, key: Key) -> Held | None:
        """
        Raises:
            StoreUnavailable: it is not known here, and Redis, which may know it, does not answer.
        """
        found = await self._local.held(key)
        return found or await self._answered(self._remote.held(key))

    def _as_they_stand(self, owner: str, sessions: Iterable[tuple[str, Session]]) -> Iterator[tuple[str, Session]]:
        """What changed here, and is not written back yet, stands as it does here."""
        for id, session in sessions:
            ended = self._changed.get(Key(owner, id))
            if not ended:
                here = None if ended is None else self._local.look(Key(owner, id)).session
                yield id, here or session

    # beginning a turn

    async def _begun_there(self, turn: "_Turn", beginning: Awaitable[Begun], ours: bool) -> Begun:
        """*ours*: Redis may answer before it has what changed here."""
        try:
            begun = await beginning
        except StoreUnavailable as exc:
            return await self._begun_here(turn, exc)
        self._worked()
        if begun.admission is not None and not begun.admission.admitted:
            return begun
        key = turn.key
        self._begun.pop(key, None)
        if ours or self._is_ours(key):
            begun = await self._gone_on(turn, begun)
        if begun.session is not None:
            self._local.keep(key, begun.session)
        else:
            self._local.forget(key)
        return begun

    async def _begun_here(self, turn: "_Turn", trouble: StoreUnavailable) -> Begun:
        self._failed(trouble)
        self._begun[turn.key] = None
        self._bound(self._begun)
        return await self._local.begin(turn.key, history=turn.history, rate=turn.rate)

    async def _gone_on(self, turn: "_Turn", begun: Begun) -> Begun:
        """The session changed here while Redis was away: it goes on once that is written back."""
        said = self._local.look(turn.key).history if turn.history else ()
        return Begun(await self._written_back(turn.key), begun.history + said, begun.admission)

    # outages

    async def _answered(self, reply: Awaitable[_T]) -> _T:
        try:
            found = await reply
        except StoreUnavailable as exc:
            self._failed(exc)
            raise
        self._worked()
        return found

    def _failed(self, trouble: StoreUnavailable) -> None:
        self._failed_at = monotonic()
        if not self.degraded:
            self.degraded = True
            if self._watching is None or self._watching.done():
                self._watching = asyncio.get_running_loop().create_task(self._watch())
            self.on_trouble(trouble)

    async def _watch(self) -> None:
        """Until the outage is over. No answer is no news: of a cluster, all nodes would have to answer."""
        while self.degraded:
            await asyncio.sleep(WATCH_S)
            with suppress(StoreUnavailable):
                await self._remote.ping()
                self._worked()

    def _worked(self) -> None:
        if not self.degraded or monotonic() - self._failed_at < WELL_AFTER_S:
            return
        if not self._changed and not self._underway:
            self._is_well()
        elif self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_back())

    def _is_well(self) -> None:
        if self.degraded:
            self.degraded = False
            log.info("the session store answers again", to_write_back=len(self._changed))

    def _is_ours(self, key: Key) -> bool:
        """What changed here is not in Redis yet."""
        return key in self._changed or key in self._underway

    def _change(self, key: Key, *, ended: bool = False) -> None:
        """Of those that are too many, the earliest is not written back."""
        self._changed[key] = ended
        self._bound(self._changed)

    def _bound(self, noted: dict[Key, Any]) -> None:
        if len(noted) > self._local.limits.sessions:
            del noted[next(iter(noted))]

    async def _commit_here(self, key: Key, pin: Pin) -> Session:
        unknown = key in self._begun and key not in self._changed and self._local.look(key).session is None
        if unknown and not pin.sure:
            pin = replace(pin, chosen=0.0)
        self._change(key)
        return await self._local.commit(key, pin)

    async def _steer_here(self, key: Key, steering: Steering) -> Session | None:
        session = await self._local.steer(key, steering)
        if session is not None:
            self._change(key)
        return session

    async def _write_back(self) -> None:
        """All that changed here, unless a call fails meanwhile."""
        failed_at = self._failed_at
        while self._changed:
            keys = [key for key, _ in zip(self._changed, range(AT_ONCE), strict=False)]
            await asyncio.gather(*(self._written_back(key) for key in keys))
            if self._failed_at != failed_at:
                return
            self._is_well()
        if not self._underway:  # at its own next turn
            self._is_well()

    async def _written_back(self, key: Key) -> Session | None:
        """The session afterwards. It is written back even if who waits for that leaves."""
        if key not in self._underway:
            if key not in self._changed:
                return self._local.look(key).session
            ended = self._changed.pop(key)
            self._underway[key] = asyncio.create_task(self._write(key, ended))
        return await asyncio.shield(self._underway[key])

    async def _write(self, key: Key, ended: bool) -> Session | None:
        """The session as it stands in Redis afterwards; as it stands here, if it is not there."""
        here = self._local.look(key)
        try:
            if here.session is None:  # else it made room for others
                await (self._remote.end(key) if ended else self._remote.ping())
                return None
            pin = Pin(here.session.group, here.session.lane, here.session.turn, chosen=here.session.chosen)
            session = await self._remote.commit(key, pin)
            for steering in _said_since(session.steer, here.session.steer):
                session = await self._remote.steer(key, steering) or session
        except StoreUnavailable as exc:
            self._failed(exc)
            self._change(key, ended=ended)
            return here.session
        finally:
            del self._underway[key]
        self._remote.remember(key, here.history)
        self._local.forget_conversation(key)
        if key not in self._changed:  # once more, meanwhile
            self._begun.pop(key, None)
            self._local.keep(key, session)
        return session


def _said_since(there: Steer, here: Steer) -> Iterator[Steering]:
    """What was asked here later than what Redis knows."""
    if here.pinned_at > there.pinned_at:
        yield Steering(pinned=here.pinned, at=here.pinned_at)
    if here.bypass_at > there.bypass_at:
        yield Steering(bypass=here.bypass, at=here.bypass_at)


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
