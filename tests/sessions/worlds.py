"""The stores under test, each with its own way to see what time does to it."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis, RedisCluster

from smart_router.sessions.base import Key, Limits, Pin, SessionStore
from smart_router.types import Lane, Message
from tests.fakes import Clock, a_lane

LIMITS = Limits(ttl_s=60, memory_turns=3, memory_bytes=4096, sessions=1000)


def a_pin(
    use_case: str = "agent",
    *,
    turn: int = 0,
    group: str = "gpu0",
    lane: Lane | None = None,
    sure: bool = False,
    chosen: float | None = None,
) -> Pin:
    return Pin(group, lane or a_lane(use_case), turn, sure, chosen)


def an_exchange(number: int = 1, question: str = "", answer: str = "") -> list[Message]:
    return [Message("user", question or f"q{number}"), Message("assistant", answer or f"a{number}")]


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages]


def an_owner() -> str:
    """Of this test alone: the Redis is shared by all of them."""
    return f"owner-{uuid.uuid4().hex}"


@dataclass
class World:
    """One kind of store. *opened* makes one with other limits, over the same data where that is shared."""

    kind: str
    store: SessionStore
    opened: Callable[[Limits], SessionStore]
    clock: Clock | None = None  # embedded
    redis: Redis | RedisCluster | None = None  # others: a look behind the store's back

    async def left_s(self, key: Key) -> float:
        """Seconds until the session is forgotten."""
        if self.redis is not None:
            return int(await self.redis.pttl(f"sr:{{{key.owner}}}:s:{key.id}")) / 1000
        assert self.clock is not None
        now, left = self.clock.now, 0.0
        while left < 10_000 and await self.store.get(key) is not None:  # looking is free, but what expires is dropped
            left += 1.0
            self.clock.pass_(1.0)
        self.clock.now = now
        return left

    async def spend(self, key: Key, seconds: float) -> None:
        """As if *seconds* had passed for the session."""
        if self.clock is not None:
            self.clock.pass_(seconds)
        if self.redis is not None:
            for letter in "sh":
                name = f"sr:{{{key.owner}}}:{letter}:{key.id}"
                left = int(await self.redis.pttl(name))
                if left > 0:
                    await self.redis.pexpire(name, max(1, left - int(seconds * 1000)))
