"""
The Redis store: a hash per session, a list per conversation, one Lua script per call.

    sr:{owner}:s:<id>   hash     v, owner, turn, group, place, lane:<group> (JSON), count, created, accessed,
                                 chosen, listed; and once a person asked for it pin, bypass
    sr:{owner}:h:<id>   list     messages (JSON), oldest first
    sr:{owner}:r:<id>   string   where a stored response lives (JSON)
    sr:{owner}:rate     string   when the owner's next request would come if all came evenly, in microseconds
    sr:{owner}:index    zset     ids of sessions, by when they were `listed`, in microseconds: about their last use

`{owner}` is a hash tag, so that all keys of an owner share a slot of a cluster: the index is kept by the scripts that
begin and commit, without a call of its own. Times are Redis's own, as several routers share a session; only `chosen`
and those of `pin` and `bypass` are of the router that was asked, as Redis may not have been there. Every key has a TTL.
What cannot be read counts as absent; a router that does not know a field leaves it as it is.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from time import time
from typing import Any

import msgspec

from smart_router.decide.admission import admission, interval_us
from smart_router.decide.memory import OVERHEAD
from smart_router.errors import StoreUnavailable
from smart_router.sessions import counts
from smart_router.sessions.base import (
    Begun,
    Held,
    Key,
    Limits,
    OnTrouble,
    Page,
    Pin,
    Position,
    Steering,
    nobody_hears,
)
from smart_router.sessions.batching import Script, WrongType
from smart_router.sessions.connection import connection_to
from smart_router.sessions.records import FORMAT, messages_of, pairs, position_of, session_of
from smart_router.types import Admission, Message, Rate, Session

ROUNDS = 4  # of looking for sessions of a page among entries of the index that have none
AT_ONCE = 100  # entries, at least, of a later round
BEHIND_ALL = "\x7f"  # ids, in the order that Redis has for those of one moment


def _script(*names: str) -> Script:
    return Script.of("".join((Path(__file__).parent / f"{name}.lua").read_text() for name in names))


_BEGIN, _ADMIT, _COMMIT = _script("rate", "list", "begin"), _script("rate", "admit"), _script("list", "commit")
_REMEMBER, _STEER, _END = _script("remember"), _script("steer"), _script("end")
_held = msgspec.json.Decoder(Held).decode
_encode = msgspec.json.Encoder().encode


class RedisStore:
    """Deadlines fit for a hot path: *timeout_ms* per call and no retries, whatever the URL says."""

    kind = "redis"
    degraded = False  # it keeps nothing itself

    def __init__(self, url: str, limits: Limits, *, timeout_ms: int = 50, on_trouble: OnTrouble = nobody_hears) -> None:
        self.on_trouble = on_trouble
        self._limits = limits
        scripts = (_BEGIN, _ADMIT, _COMMIT, _REMEMBER, _STEER, _END, counts.ADD)
        self._redis = connection_to(url, scripts, timeout_s=timeout_ms / 1000)
        self.counts = counts.RedisCounts(self._redis)

    async def start(self) -> None:
        """Make a first connection, if Redis is there; else it is looked for from now on."""
        try:
            await self._redis.open()
        except StoreUnavailable as exc:
            self.on_trouble(exc)

    async def close(self) -> None:
        await self._redis.close()

    async def ping(self) -> None:
        await self._redis.call("PING")

    def begin(self, key: Key, *, history: bool, rate: Rate | None = None) -> Coroutine[Any, Any, Begun]:
        limits, owner = self._limits, key.owner
        names = *_names(key), _rate_name(owner), _index_name(owner)
        wanted = FORMAT, limits.ttl_s, 1 if history else 0, *_limit(rate), key.id, limits.sessions
        reply = self._redis.call("EVALSHA", _BEGIN.sha, 4, *names, *wanted)
        return _begun(reply, key.owner, rate)

    async def admit(self, owner: str, rate: Rate) -> Admission:
        found = await self._redis.call("EVALSHA", _ADMIT.sha, 1, _rate_name(owner), *_limit(rate))
        return _admission(found, rate)

    async def commit(self, key: Key, pin: Pin) -> Session:
        found = await self._commit(key, pin)
        if found is None:  # a damaged record counts as absent: begin anew
            await self.end(key)
            found = await self._commit(key, pin)
        if found is None:
            raise StoreUnavailable("a session could not be read back")
        return found

    async def _commit(self, key: Key, pin: Pin) -> Session | None:
        lane = pin.lane
        place = "\n".join((pin.group, lane.use_case, lane.model, lane.replica))
        chosen = (1 if pin.sure else 0, time()) if pin.chosen is None else ("apart", pin.chosen)
        limits, names = self._limits, (*_names(key), _index_name(key.owner))
        choice = key.owner, pin.turn, pin.group, _encode(lane), place, *chosen
        arguments = (FORMAT, limits.ttl_s, *choice, key.id, limits.sessions)
        fields = await self._redis.call("EVALSHA", _COMMIT.sha, 3, *names, *arguments)
        return session_of(pairs(fields), key.owner)

    def remember(self, key: Key, messages: Sequence[Message]) -> None:
        limits, most = self._limits, 2 * self._limits.memory_turns
        latest = messages[-most:] if most else ()
        if latest:
            bounds = (limits.ttl_s, most, limits.memory_bytes, OVERHEAD)
            self._post("EVALSHA", _REMEMBER.sha, 2, *_names(key), *bounds, *map(_encode, latest))

    async def get(self, key: Key) -> Session | None:
        try:
            fields = pairs(await self._redis.call("HGETALL", _names(key)[0]))
        except WrongType:
            return None
        return session_of(fields, key.owner) if fields.get(b"v") == FORMAT else None

    async def history(self, key: Key) -> tuple[Message, ...]:
        try:
            return messages_of(await self._redis.call("LRANGE", _names(key)[1], 0, -1))
        except WrongType:
            return ()

    async def end(self, key: Key) -> bool:
        names = *_names(key), _index_name(key.owner)
        return bool(await self._redis.call("EVALSHA", _END.sha, 3, *names, key.id))

    async def steer(self, key: Key, steering: Steering) -> Session | None:
        how = (0, time()) if steering.at is None else ("apart", steering.at)
        asked: list[str | int] = []
        if steering.pinned is not None:
            asked += "pin", steering.pinned
        if steering.bypass is not None:
            asked += "bypass", int(steering.bypass)
        fields = await self._redis.call("EVALSHA", _STEER.sha, 1, _names(key)[0], FORMAT, *how, *asked)
        return session_of(pairs(fields), key.owner)

    async def page(self, owner: str, limit: int, after: Position | None = None) -> Page:
        """
        Entries of the index whose session is gone are dropped when they are met. Within a page the order is exact, from
        one to the next it is that of the index.
        """
        found: list[tuple[str, Session]] = []
        most = limit + 1  # to know whether others follow
        for _ in range(ROUNDS):
            positions, beyond = await self._positions(owner, after, most)
            sessions = await asyncio.gather(*(self.get(Key(owner, one.id)) for one in positions))
            for position, session in zip(positions, sessions, strict=True):
                if session is None:
                    self._post("ZREM", _index_name(owner), position.id)
                elif len(found) < limit:
                    found.append((position.id, session))
                else:
                    return _page(found, after)
                after = position
            after, most = beyond, max(limit + 1 - len(found), AT_ONCE)
            if after is None:
                break
        return _page(found, after)

    async def _positions(self, owner: str, after: Position | None, most: int) -> tuple[list[Position], Position | None]:
        """At most so many entries of the index, and where it goes on."""
        highest = "+inf" if after is None else after.at_us
        bounds = (highest, "-inf", "WITHSCORES", "LIMIT", 0, most)
        try:
            rows = await self._redis.call("ZREVRANGEBYSCORE", _index_name(owner), *bounds)
        except WrongType:
            return [], None
        read = [position_of(id, score) for id, score in pairs(rows).items()]
        found = [one for one in read if after is None or (one.at_us, one.id) < (after.at_us, after.id)]
        if len(read) < most:
            return found, None
        return found, found[-1] if found else Position(read[-1].at_us - 1, BEHIND_ALL)

    def hold(self, key: Key, held: Held) -> None:
        self._post("SET", _response_name(key), _encode(held), "EX", self._limits.ttl_s)

    async def held(self, key: Key) -> Held | None:
        try:
            return _held(await self._redis.call("GET", _response_name(key)) or b"")
        except (WrongType, ValueError):  # MsgspecError is a ValueError
            return None

    def _post(self, *parts: str | int | bytes) -> None:
        self._redis.post(*parts, on_error=self._failed)

    def _failed(self, trouble: StoreUnavailable) -> None:
        self.on_trouble(trouble)  # looked up now: it may have been set since


async def _begun(reply: Awaitable[Any], owner: str, rate: Rate | None) -> Begun:
    fields, messages, admitted = await reply
    admission = None if rate is None else _admission(admitted, rate)
    if not fields:
        return Begun(admission=admission) if admission else Begun()
    found = session_of(pairs(fields), owner)
    return Begun(found, messages_of(messages) if found and messages else (), admission)


def _page(found: list[tuple[str, Session]], after: Position | None) -> Page:
    return Page(tuple(sorted(found, key=lambda one: one[1].accessed, reverse=True)), after)


def _limit(rate: Rate | None) -> tuple[int, int]:
    return (0, 0) if rate is None else (interval_us(rate), rate.burst)


def _admission(found: Sequence[int], rate: Rate) -> Admission:
    admitted, remaining, reset_us, retry_after_us = found
    return admission(rate, bool(admitted), remaining, reset_us, retry_after_us)


def _names(key: Key) -> tuple[str, str]:
    owner, name = key.owner, key.id
    return f"sr:{{{owner}}}:s:{name}", f"sr:{{{owner}}}:h:{name}"


def _rate_name(owner: str) -> str:
    return f"sr:{{{owner}}}:rate"


def _index_name(owner: str) -> str:
    return f"sr:{{{owner}}}:index"


def _response_name(key: Key) -> str:
    return f"sr:{{{key.owner}}}:r:{key.id}"
