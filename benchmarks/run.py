"""
smart-router beside other routers: `python -m benchmarks.run`, from the project's folder.

Writes benchmarks/results.md and results.json. README.md here says what is measured.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks import machine, nginx, report, streams, wrk
from benchmarks.process import Command, DidNotStart, Program, running
from benchmarks.report import Results
from benchmarks.rounds import Contender, Effort, Row, alternate
from benchmarks.routers import KINDS, OURS, ROOT, UPSTREAM, Router, Site, reason, scrubbed, started
from benchmarks.scenarios import SCENARIOS, Scenario, WrongAnswer, check
from smart_router.cli.processes import find_redis_server, free_port

FULL = Effort(rounds=5, seconds=4, warm_up_s=2)
QUICK = Effort(rounds=2, seconds=1, warm_up_s=1)
FULL_STREAMS, QUICK_STREAMS = 1000, 200
EVERYTHING = "a,b,c,d"
STREAMING = ("nginx", "vllm-router", "fastapi-aiohttp", OURS)

Part = Callable[[argparse.Namespace, Results, Path], None]


def main() -> int:
    options = _options()
    _open_many_files()
    results = _results(options)
    stolen = _Steal()
    for part in (_loads, _streams):
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            _attempt(part, options, results, Path(scratch))
        results.steal_percent = stolen()
        report.write(results, options.out)
    say(f"written: {options.out.name}/results.md and results.json")
    return 0


def _attempt(part: Part, options: argparse.Namespace, results: Results, scratch: Path) -> None:
    """A part whose upstream does not start is reported; the other one goes on."""
    try:
        part(options, results, scratch)
    except DidNotStart as exc:
        why = scrubbed(str(exc), Site("", scratch, options.bench, None))
        results.absent["scenario d" if part is _streams else "scenarios a, b, c"] = f"no upstream: {why}"
        say(why)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short rounds: to try it out, not to quote")
    parser.add_argument("--only", default=EVERYTHING, help="scenarios, by comma (default: all); e comes with a")
    parser.add_argument("--rounds", type=int, help=f"alternating rounds (default: {FULL.rounds})")
    parser.add_argument("--peers", default=",".join(KINDS), help="routers, by comma (default: all)")
    parser.add_argument("--bench", type=Path, default=ROOT / ".bench", help="what install_peers.sh made")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks", help="folder for the results")
    options = parser.parse_args()
    for option, chosen, known in (("only", _letters(options), "abcde"), ("peers", _names(options), KINDS)):
        if unknown := [one for one in chosen if one not in known]:
            parser.error(f"--{option}: {', '.join(unknown)}: not among {', '.join(known)}")
    return options


def _letters(options: argparse.Namespace) -> list[str]:
    """The scenarios to run; e is about what the routers used in a."""
    return ["a" if letter == "e" else letter for letter in options.only.split(",")]


def _names(options: argparse.Namespace) -> list[str]:
    """The routers to run."""
    return [str(name) for name in options.peers.split(",")]


def _results(options: argparse.Namespace) -> Results:
    effort = QUICK if options.quick else FULL
    effort = Effort(options.rounds or effort.rounds, effort.seconds, effort.warm_up_s)
    there = [name for name in _names(options) if KINDS[name].absent(options.bench) is None]
    return Results(
        machine=machine.describe(options.bench, there),
        command=_again(options),
        effort=effort,
        streams_at_once=QUICK_STREAMS if options.quick else FULL_STREAMS,
    )


def _again(options: argparse.Namespace) -> str:
    """The command that repeats this run; without folders, which are a matter of the machine."""
    said = ["--quick"] if options.quick else []
    said += [f"--rounds {options.rounds}"] if options.rounds else []
    said += [f"--only {options.only}"] if options.only != EVERYTHING else []
    said += [f"--peers {options.peers}"] if options.peers != ",".join(KINDS) else []
    return f"make bench BENCH='{' '.join(said)}'" if said else "make bench"


def _loads(options: argparse.Namespace, results: Results, scratch: Path) -> None:
    """Scenarios a, b and c, on an upstream that answers at once."""
    chosen = [scenario for scenario in SCENARIOS if scenario.letter in _letters(options)]
    missing = [name for name, found in (("wrk", wrk.find_wrk()), ("nginx", nginx.find_nginx())) if found is None]
    if chosen and missing:
        reasons = ", ".join(f"{name}: {reason(options.bench, name)}" for name in missing)
        results.absent["scenarios a, b, c"] = f"they need wrk and nginx; {reasons}"
        return
    if not chosen:
        return
    with nginx_upstream(scratch) as upstream, own_redis(scratch) as (redis, store):
        site = Site(upstream.url, scratch, options.bench, redis)
        with started(_names(options), site, results.absent) as routers:
            results.idle_rss = {one.name: one.idle_rss_bytes for one in [upstream, *routers]}
            for scenario in chosen:
                everyone = [upstream, *routers] if scenario.letter == "a" else routers
                contenders = scenario.contenders(everyone, store)
                results.loads[scenario.letter] = list(_rows(scenario, contenders, results.effort, site))


def _rows(scenario: Scenario, contenders: Sequence[Contender], effort: Effort, site: Site) -> Iterator[Row]:
    say(f"{scenario.letter}. {scenario.title}")
    right = []
    for contender in contenders:
        try:
            check(contender)
            right.append(contender)
        except WrongAnswer as exc:
            wrong = scrubbed(str(exc), site)
            say(f"   {contender.name}: {wrong}")
            yield from (Row(contender.name, contender.router.name, n, failed=wrong) for n in scenario.connections)
    for connections in scenario.connections:
        for row in alternate(right, connections, effort, site.scratch):
            say(f"   {connections:3} connections, {row.name}: {row.failed or f'{row.per_second:,.0f}/s'}")
            yield row


def _streams(options: argparse.Namespace, results: Results, scratch: Path) -> None:
    """Scenario d, on an upstream that streams."""
    if "d" not in _letters(options):
        return
    say(f"d. {results.streams_at_once} streams at once")
    with streams.upstream(scratch) as upstream, own_redis(scratch) as (redis, _):
        site = Site(upstream.url, scratch, options.bench, redis)
        names = [name for name in _names(options) if name in STREAMING]
        with started(names, site, results.absent) as routers:
            contenders = streams.contenders([upstream, *routers])
            results.streams = streams.alternate(contenders, results.streams_at_once, results.effort.rounds)
    for row in results.streams:
        row.failed = row.failed and scrubbed(row.failed, site)
        late = "" if row.failed else f"{row.median('late_p50_ms'):.2f} ms late"
        say(f"   {row.name}: {row.failed or late}")


@contextmanager
def nginx_upstream(scratch: Path) -> Iterator[Router]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(Command(nginx.upstream(scratch, port), url + "/health"), scratch) as program:
        yield Router(UPSTREAM, url, program, {}, program.rss_bytes())


@contextmanager
def own_redis(scratch: Path) -> Iterator[tuple[str | None, Program | None]]:
    """A Redis of our own, without a file on disk: its URL and its process; nothing where there is no redis-server."""
    if (server := find_redis_server()) is None:
        yield None, None
        return
    port = free_port()
    words = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with running(Command(words, None), scratch) as program:
        yield f"redis://127.0.0.1:{port}/0", program


def _open_many_files() -> None:
    """A thousand streams are two thousand sockets of a router; children inherit the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Steal:
    """Call it at the end: the share of CPU time, in percent, that the host took from this machine since."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def __call__(self) -> float:
        now = psutil.cpu_times()
        total = sum(now) - sum(self._before)
        return float(100 * (now.steal - self._before.steal) / total) if total else 0.0


def say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


if __name__ == "__main__":
    sys.exit(main())
