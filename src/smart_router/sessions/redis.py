"""
The Redis store: a hash per session, a list per conversation, one Lua script per call.

    sr:{owner}:s:<id>   hash     v, owner, turn, group, place, lane:<group> (JSON), count, created, accessed,
                                 chosen
    sr:{owner}:h:<id>   list     messages (JSON), oldest first
    sr:{owner}:r:<id>   string   where a stored response lives (JSON)
    sr:{owner}:rate     string   when the owner's next request would come if all came evenly, in microseconds

`{owner}` is a hash tag, so that all keys of an owner share a slot of a cluster. Times are Redis's own, as several
routers share a session; only `chosen` is of the router that chose, as Redis may not have been there. Every key has a
TTL. What cannot be read counts as absent.
"""

from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from pathlib import Path
from time import time
from typing import Any

import msgspec

from smart_router.decide.admission import admission, interval_us
from smart_router.decide.memory import OVERHEAD
from smart_router.errors import StoreUnavailable
from smart_router.sessions import counts
from smart_router.sessions.base import Begun, Held, Key, Limits, OnTrouble, Pin, nobody_hears
from smart_router.sessions.batching import Script, WrongType
from smart_router.sessions.connection import connection_to
from smart_router.types import Admission, Lane, Message, Rate, Session

FORMAT = b"1"  # of the records; another one counts as absent


_HERE = Path(__file__).parent
_RATE = (_HERE / "rate.lua").read_text()
_BEGIN, _ADMIT = (Script.of(_RATE + (_HERE / f"{name}.lua").read_text()) for name in ("begin", "admit"))
_COMMIT, _REMEMBER = (Script.of((_HERE / f"{name}.lua").read_text()) for name in ("commit", "remember"))
_lane = msgspec.json.Decoder(Lane).decode
_message = msgspec.json.Decoder(Message).decode
_held = msgspec.json.Decoder(Held).decode
_encode = msgspec.json.Encoder().encode


class RedisStore:
    """Deadlines fit for a hot path: *timeout_ms* per call and no retries, whatever the URL says."""

    kind = "redis"
    degraded = False  # it keeps nothing itself

    def __init__(self, url: str, limits: Limits, *, timeout_ms: int = 50, on_trouble: OnTrouble = nobody_hears) -> None:
        self.on_trouble = on_trouble
        self._limits = limits
        scripts = (_BEGIN, _ADMIT, _COMMIT, _REMEMBER, counts.ADD)
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
        wanted = FORMAT, self._limits.ttl_s, 1 if history else 0
        names = *_names(key), _rate_name(key.owner)
        reply = self._redis.call("EVALSHA", _BEGIN.sha, 3, *names, *wanted, *_limit(rate))
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
        arguments = (FORMAT, self._limits.ttl_s, key.owner, pin.turn, pin.group, _encode(lane), place, *chosen)
        fields = await self._redis.call("EVALSHA", _COMMIT.sha, 2, *_names(key), *arguments)
        return _session(_pairs(fields), key.owner)

    def remember(self, key: Key, messages: Sequence[Message]) -> None:
        limits, most = self._limits, 2 * self._limits.memory_turns
        latest = messages[-most:] if most else ()
        if latest:
            bounds = (limits.ttl_s, most, limits.memory_bytes, OVERHEAD)
            self._post("EVALSHA", _REMEMBER.sha, 2, *_names(key), *bounds, *map(_encode, latest))

    async def get(self, key: Key) -> Session | None:
        try:
            fields = _pairs(await self._redis.call("HGETALL", _names(key)[0]))
        except WrongType:
            return None
        return _session(fields, key.owner) if fields.get(b"v") == FORMAT else None

    async def history(self, key: Key) -> tuple[Message, ...]:
        try:
            return _messages(await self._redis.call("LRANGE", _names(key)[1], 0, -1))
        except WrongType:
            return ()

    async def end(self, key: Key) -> bool:
        return bool(await self._redis.call("DEL", *_names(key)))

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
    found = _session(_pairs(fields), owner)
    return Begun(found, _messages(messages) if found and messages else (), admission)


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


def _response_name(key: Key) -> str:
    return f"sr:{{{key.owner}}}:r:{key.id}"


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    each = iter(flat)
    return dict(zip(each, each, strict=True))


def _session(fields: Mapping[bytes, bytes], owner: str) -> Session | None:
    """None for a record that is absent, damaged or somebody else's."""
    try:
        if fields[b"owner"] != owner.encode():
            return None
        lanes = {name[5:].decode(): _lane(value) for name, value in fields.items() if name.startswith(b"lane:")}
        session = Session(
            owner,
            int(fields[b"turn"]),
            fields[b"group"].decode(),
            lanes,
            int(fields[b"count"]),
            float(fields[b"created"]),
            float(fields[b"accessed"]),
            float(fields.get(b"chosen", 0.0)),
        )
        return session if session.group in lanes else None
    except (KeyError, ValueError):  # MsgspecError is a ValueError
        return None


def _messages(rows: Sequence[bytes]) -> tuple[Message, ...]:
    found = []
    for row in rows:
        try:
            found.append(_message(row))
        except ValueError:
            continue
    return tuple(found)
