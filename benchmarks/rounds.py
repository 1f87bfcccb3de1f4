"""Contenders measured in turn, round after round, so that a machine that drifts drifts for all of them."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import wrk
from benchmarks.process import Program
from benchmarks.routers import Router
from benchmarks.wrk import Load, Taken, WrkFailed


@dataclass(frozen=True)
class Effort:
    """How long and how often."""

    rounds: int
    seconds: float
    warm_up_s: float


@dataclass(frozen=True)
class Contender:
    """A load on a router, under the name that its row in the table has; *store* is the Redis beside it, if any."""

    name: str
    router: Router
    load: Load
    store: Program | None = None


@dataclass(frozen=True)
class Round:
    """One measurement: wrk's figures, and CPU per request in microseconds."""

    taken: Taken
    cpu_us: float
    store_cpu_us: float | None
    rss_bytes: int


@dataclass
class Row:
    """A contender's rounds at one number of connections, or why there are none."""

    name: str
    router: str
    connections: int
    rounds: list[Round] = field(default_factory=list)
    failed: str | None = None

    @property
    def errors(self) -> int:
        return sum(one.taken.errors for one in self.rounds)

    @property
    def per_second(self) -> float:
        return statistics.median(one.taken.per_second for one in self.rounds)

    def latency_us(self, which: str) -> float:
        """*which*: p50, p90, p99 or max."""
        return statistics.median(float(getattr(one.taken, f"{which}_us")) for one in self.rounds)

    @property
    def cpu_us(self) -> float:
        return statistics.median(one.cpu_us for one in self.rounds)

    @property
    def store_cpu_us(self) -> float | None:
        found = [one.store_cpu_us for one in self.rounds if one.store_cpu_us is not None]
        return statistics.median(found) if found else None


def throughput_ratio(ours: Row, theirs: Row) -> float:
    """Our requests per second in units of theirs: the median over rounds that stood side by side."""
    pairs = zip(ours.rounds, theirs.rounds, strict=False)
    return statistics.median(a.taken.per_second / b.taken.per_second for a, b in pairs)


def alternate(contenders: Sequence[Contender], connections: int, effort: Effort, scratch: Path) -> Iterator[Row]:
    """One warm-up for each, then rounds of one measurement each; a contender that fails drops out."""
    rows = [Row(one.name, one.router.name, connections) for one in contenders]
    for number in range(effort.rounds + 1):
        for contender, row in zip(contenders, rows, strict=True):
            if row.failed is None:
                _measure(contender, row, number, effort, scratch)
    yield from rows


def _measure(contender: Contender, row: Row, number: int, effort: Effort, scratch: Path) -> None:
    seconds = effort.seconds if number else effort.warm_up_s
    prefix = f"new-{row.connections}-{number}-"
    try:
        one = _one(contender, row.connections, seconds, prefix, scratch)
    except WrkFailed as exc:
        row.failed = str(exc)
        return
    if number and not one.taken.requests:
        row.failed = f"answered no request within {seconds:g} s"
    elif number:
        row.rounds.append(one)


def _one(contender: Contender, connections: int, seconds: float, prefix: str, scratch: Path) -> Round:
    router, store = contender.router, contender.store
    before, store_before = router.program.cpu_s(), store.cpu_s() if store else 0.0
    taken = wrk.run(router.url, contender.load, router.headers, connections, seconds, prefix, scratch)
    used = router.program.cpu_s() - before
    store_used = store.cpu_s() - store_before if store else None
    rss = router.program.rss_bytes()
    router.program.await_idle()
    each = 1e6 / max(1, taken.requests)
    return Round(taken, used * each, None if store_used is None else store_used * each, rss)
