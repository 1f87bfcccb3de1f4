"""
What sessions go on to, as counted by all routers of one Redis.

    sr:{models}:succession   hash   [the model before, the one now] -> {visits, steps: {model: count}}, JSON both

Counts are halved like those of one router. An addition whose reply was lost may be counted twice: shares hardly change.
What cannot be read counts as absent. More pairs than `MOST_PAIRS` are of registries of the past: all is learnt anew.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from smart_router.decide.succession import MOST_SEEN, Habit, Habits, Pair
from smart_router.sessions.batching import Script
from smart_router.sessions.connection import Connection

NAME = "sr:{models}:succession"
TTL_S = 90 * 24 * 3600  # since a router last asked for it
MOST_PAIRS = 4096  # some 200 kB

_HERE = Path(__file__).parent
ADD = Script.of((_HERE / "moments.lua").read_text() + (_HERE / "add_habits.lua").read_text())

_encode = msgspec.json.Encoder().encode
_pair = msgspec.json.Decoder(Pair).decode
_habit = msgspec.json.Decoder(Habit).decode


class RedisHabits:
    """See `SharedHabits`."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def add(self, habits: Habits) -> Habits:
        flat = [part for pair, habit in habits.items() for part in (_encode(pair), _encode(habit))]
        return _read(await self._redis.call("EVALSHA", ADD.sha, 1, NAME, TTL_S, MOST_SEEN, MOST_PAIRS, *flat))


def _read(reply: Sequence[bytes]) -> Habits:
    found: dict[Pair, Habit] = {}
    for pair, habit in zip(reply[::2], reply[1::2], strict=True):
        with suppress(ValueError, RecursionError):  # MsgspecError is a ValueError
            found[_pair(pair)] = _habit(habit)
    return found
