"""
The Redis store: a hash per session, a list per conversation, one Lua script per call.

    sr:{owner}:s:<id>   hash   v, owner, turn, group, place, lane:<group> (JSON), count, created, accessed
    sr:{owner}:h:<id>   list   messages (JSON), oldest first

`{owner}` is a hash tag, so that both keys of a session share a slot of a cluster. Times are Redis's own, as several
routers share a session. Every key has a TTL. What cannot be read counts as absent.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from smart_router.decide.memory import OVERHEAD
from smart_router.errors import ConfigurationError, StoreUnavailable
from smart_router.sessions.base import Begun, Key, Limits, Pin
from smart_router.types import Lane, Message, Session

FORMAT = "1"  # of the records; another one counts as absent
FIRST_CONNECT_S = 1.0  # at the start; later connecting falls under the deadline of the call
MAX_CONNECTIONS = 64  # further calls wait for one, within their deadline

log = structlog.get_logger("sessions")

_Argument = str | int | bytes

_HERE = Path(__file__).parent
_lane = msgspec.json.Decoder(Lane)
_message = msgspec.json.Decoder(Message)
_encode = msgspec.json.Encoder().encode


class RedisStore:
    """redis-py with deadlines fit for a hot path: *timeout_ms* per call and no retries, whatever the URL says."""

    kind = "redis"

    def __init__(self, url: str, limits: Limits, *, timeout_ms: int = 50) -> None:
        self._limits = limits
        self._timeout_s = timeout_ms / 1000
        pool = BlockingConnectionPool.from_url(url, protocol=2)
        pool.max_connections, pool.timeout = MAX_CONNECTIONS, self._timeout_s
        pool.connection_kwargs |= {  # after from_url: options in the URL would win over arguments
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": FIRST_CONNECT_S,
            "decode_responses": False,
            "retry": Retry(NoBackoff(), 0),
            "retry_on_timeout": False,
            "health_check_interval": 0,
        }
        try:
            pool.make_connection()  # type: ignore[no-untyped-call]  # opens nothing yet
        except TypeError:
            raise ConfigurationError("REDIS_URL: has an option that redis-py does not know; leave it out") from None
        self._redis = Redis.from_pool(pool)
        self._begin = self._redis.register_script((_HERE / "begin.lua").read_text())
        self._commit = self._redis.register_script((_HERE / "commit.lua").read_text())
        self._remember = self._redis.register_script((_HERE / "remember.lua").read_text())

    async def start(self) -> None:
        """Make a first connection, if Redis is there; later ones are made when they are needed."""
        try:
            await self._ask(self._redis.ping(), FIRST_CONNECT_S)
        except StoreUnavailable as exc:
            log.warning("Redis does not answer: routing goes on, but follow-ups are not recognised", error=str(exc))

    async def close(self) -> None:
        await self._redis.aclose()

    async def ping(self) -> None:
        await self._ask(self._redis.ping())

    async def begin(self, key: Key, *, history: bool) -> Begun:
        arguments: list[_Argument] = [FORMAT, self._limits.ttl_s, int(history)]
        fields, messages = await self._ask(self._begin(keys=_names(key), args=arguments))
        session = _session(_pairs(fields), key.owner)
        return Begun(session, _messages(messages) if session else ())

    async def commit(self, key: Key, pin: Pin) -> Session:
        place = "\n".join((pin.group, pin.lane.use_case, pin.lane.model, pin.lane.replica))
        lane = _encode(pin.lane)
        arguments: list[_Argument] = [FORMAT, self._limits.ttl_s, key.owner, pin.turn, pin.group, lane, place]
        session = _session(_pairs(await self._ask(self._commit(keys=_names(key), args=arguments))), key.owner)
        if session is None:  # a damaged record counts as absent: begin anew
            await self.end(key)
            session = _session(_pairs(await self._ask(self._commit(keys=_names(key), args=arguments))), key.owner)
        if session is None:
            raise StoreUnavailable("a session could not be read back")
        return session

    async def remember(self, key: Key, messages: Sequence[Message]) -> None:
        limits = self._limits
        bounds = [limits.ttl_s, 2 * limits.memory_turns, limits.memory_bytes, OVERHEAD]
        arguments: list[_Argument] = [*bounds, *map(_encode, messages)]
        await self._ask(self._remember(keys=_names(key), args=arguments))

    async def get(self, key: Key) -> Session | None:
        try:
            fields = await self._ask(self._redis.hgetall(_names(key)[0]))
        except _WrongType:
            return None
        return _session(fields, key.owner) if fields.get(b"v") == FORMAT.encode() else None

    async def end(self, key: Key) -> bool:
        name, history = _names(key)
        return bool(await self._ask(self._redis.delete(name, history)))

    async def _ask(self, call: Awaitable[Any], deadline_s: float | None = None) -> Any:
        """The deadline covers what redis-py's own does not: waiting for a connection, and making one."""
        try:
            async with asyncio.timeout(deadline_s or self._timeout_s):
                return await call
        except (RedisError, OSError) as exc:  # TimeoutError is an OSError
            if "WRONGTYPE" in str(exc):
                raise _WrongType from exc
            raise StoreUnavailable(str(exc) or type(exc).__name__) from exc


class _WrongType(StoreUnavailable):
    """The key holds something else than a session."""


def _names(key: Key) -> list[str]:
    return [f"sr:{{{key.owner}}}:s:{key.id}", f"sr:{{{key.owner}}}:h:{key.id}"]


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _session(fields: Mapping[bytes, bytes], owner: str) -> Session | None:
    """None for a record that is absent, damaged or somebody else's."""
    try:
        if fields[b"owner"].decode() != owner:
            return None
        lanes = {name[5:].decode(): _lane.decode(v) for name, v in fields.items() if name.startswith(b"lane:")}
        session = Session(
            owner=owner,
            turn=int(fields[b"turn"]),
            group=fields[b"group"].decode(),
            lanes=lanes,
            count=int(fields[b"count"]),
            created=float(fields[b"created"]),
            accessed=float(fields[b"accessed"]),
        )
        return session if session.group in lanes else None
    except (KeyError, ValueError, msgspec.MsgspecError):
        return None


def _messages(rows: Sequence[bytes]) -> tuple[Message, ...]:
    found = []
    for row in rows:
        try:
            found.append(_message.decode(row))
        except (ValueError, msgspec.MsgspecError):
            continue
    return tuple(found)
