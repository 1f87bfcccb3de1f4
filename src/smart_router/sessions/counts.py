"""
The sums that all routers of one Redis share.

    sr:{stats}:counts   hash     name -> sum, and `since`, when counting began (seconds since the epoch)
    sr:{stats}:p:<id>   string   the last addition of one process that was taken

An addition has a number of its own, so that one whose reply was lost may be sent again and counts once.
"""

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from smart_router.sessions.base import Sums
from smart_router.sessions.batching import Script
from smart_router.sessions.connection import Connection

TTL_S = 90 * 24 * 3600  # of the sums, since the last addition
IN_DOUBT_S = 24 * 3600  # how long after its loss an addition may be repeated
SUMS, TAKEN = "sr:{stats}:counts", "sr:{stats}:p:"
SINCE = "since"

ADD = Script.of((Path(__file__).parent / "add_counts.lua").read_text())


class RedisCounts:
    """See `SharedCounts`."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis
        self._process = uuid4().hex

    async def add(self, number: int, counts: Mapping[str, float]) -> None:
        flat = [part for name, count in counts.items() for part in (name, count)]
        await self._redis.call("EVALSHA", ADD.sha, 2, SUMS, TAKEN + self._process, number, TTL_S, IN_DOUBT_S, *flat)

    async def read(self) -> Sums:
        found = await self._redis.call("HGETALL", SUMS)
        sums = {name.decode(): float(value) for name, value in zip(found[::2], found[1::2], strict=True)}
        since = sums.pop(SINCE, None)
        return Sums(sums, since)

    async def clear(self) -> None:
        await self._redis.call("DEL", SUMS)
