"""
Faults under constant load: `make chaos`, or `python -m tests.chaos` from the project's folder.

Starts three routers, a Redis and SIMULATED model servers, harms them one way after the other, and writes docs/chaos.md.
The exit code is 0 if nothing was found wanting, 1 if something was, 2 if it could not begin.
"""

import argparse
import asyncio
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.process import DidNotStart

from tests.chaos.faults import NOTHING, REDIS_KILLED, REDIS_PAUSED, REPLICAS_KILLED, ROUTERS_RESTARTED, Fault
from tests.chaos.report import PAGE, Soak, renew, table
from tests.chaos.trial import Pace, Sample, soaked, tried
from tests.chaos.verdict import Verdict, slopes_mib_per_hour, verdict
from tests.chaos.world import World, a_world

PEOPLE = 24
LONG = (
    (NOTHING, 20.0),
    (REDIS_PAUSED, 90.0),
    (REDIS_KILLED, 30.0),
    (REPLICAS_KILLED, 30.0),
    (ROUTERS_RESTARTED, 30.0),
)
QUICK = tuple((fault, 10.0) for fault, _ in LONG[1:])
CALM_S, AFTER_S = 10.0, 10.0
MOST_MIB_PER_HOUR = 20.0  # of a router; with 10 requests a second, 600 bytes kept of each would show
UNABLE = 2


def main() -> int:
    options = _options()
    try:
        with tempfile.TemporaryDirectory(prefix="chaos-") as scratch, a_world(Path(scratch)) as world:
            return _run(options, world)
    except DidNotStart as exc:
        sys.stderr.write(f"chaos: {exc}\n")
        return UNABLE


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shorter faults (three minutes); prints its table only")
    parser.add_argument("--soak", type=float, default=0, metavar="MINUTES", help="then constant load for so long")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"who converse at once (default: {PEOPLE})")
    parser.add_argument("--seed", type=int, default=1, help="of what they say (default: 1)")
    return parser.parse_args()


def _run(options: argparse.Namespace, world: World) -> int:
    rows = list(_harmed(options, world))
    soak = _soaked(options, world) if options.soak else None
    if options.quick:
        sys.stdout.write(table(rows))
    else:
        renew(_command(), _redis_version(world), rows, soak)
        sys.stdout.write(f"written: {PAGE}\n")
    wrong = [*_complaints(rows), *(_complaints_of(soak) if soak else ())]
    sys.stdout.writelines(f"WRONG: {complaint}\n" for complaint in wrong)
    return bool(wrong)


def _harmed(options: argparse.Namespace, world: World) -> Iterator[tuple[str, Verdict]]:
    for number, (fault, lasts_s) in enumerate(QUICK if options.quick else LONG):
        name = _name(fault, lasts_s)
        sys.stderr.write(f"{name} ...\n")
        pace = Pace(options.people, CALM_S, lasts_s, AFTER_S)
        row = name, verdict(asyncio.run(tried(world, fault, pace, f"{options.seed}-{number}")))
        sys.stderr.writelines(f"WRONG: {complaint}\n" for complaint in _complaints([row]))
        yield row


def _name(fault: Fault, lasts_s: float) -> str:
    return fault.name if fault is ROUTERS_RESTARTED else f"{fault.name}, {lasts_s:g} s"


def _soaked(options: argparse.Namespace, world: World) -> Soak:
    sys.stderr.write(f"soak, {options.soak:g} minutes ...\n")
    pace = Pace(options.people, CALM_S, options.soak * 60, 0)
    trial, samples = asyncio.run(soaked(world, pace, f"{options.seed}-soak"))
    slopes = slopes_mib_per_hour(samples)
    return Soak(options.soak, verdict(trial), slopes, MOST_MIB_PER_HOUR, _half_and_end(samples))


def _half_and_end(samples: Sequence[Sample]) -> tuple[Sequence[int], Sequence[int]]:
    return samples[len(samples) // 2].rss_bytes, samples[-1].rss_bytes


def _complaints(rows: Sequence[tuple[str, Verdict]]) -> Iterator[str]:
    for name, one in rows:
        yield from (f"{name}: {what}" for what in (*one.complaints, *one.troubles))


def _complaints_of(soak: Soak) -> Iterator[str]:
    yield from _complaints([("soak", soak.verdict)])
    for number, slope in enumerate(soak.slopes):
        if slope > soak.bound:
            yield f"soak: the memory of router {number} grows by {slope:.1f} MiB/h"


def _command() -> str:
    given = shlex.join(sys.argv[1:])
    return f"make chaos CHAOS='{given}'" if given else "make chaos"


def _redis_version(world: World) -> str:
    told = str(world.redis.ask("INFO", "server"))
    return told.partition("redis_version:")[2].partition("\r\n")[0]


if __name__ == "__main__":
    sys.exit(main())
