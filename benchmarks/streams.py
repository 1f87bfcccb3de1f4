"""Scenario d: many streams at once, through routers and past them."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.nginx import MODEL
from benchmarks.process import Command, Program, clean_environment, running
from benchmarks.routers import OURS, ROOT, Router
from benchmarks.stream_client import Plan, Seen
from smart_router.cli.processes import free_port

CHUNKS = 50
PER_SECOND = 20.0
RAMP_S = 1.5
SAMPLE_S = 0.1
SETTLE_S = 0.5
MESSAGES = [{"role": "user", "content": "Tell me a story about a lighthouse keeper who repairs clocks."}]


@dataclass(frozen=True)
class Contender:
    """A streaming request to a router."""

    name: str
    router: Router
    path: str
    body: Mapping[str, object]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Round:
    """What the client saw, and what the router used meanwhile."""

    seen: Seen
    cpu_us_per_chunk: float
    rss_before: int
    rss_peak: int
    rss_after: int


@dataclass
class Row:
    """A contender's rounds."""

    name: str
    router: str
    rounds: list[Round] = field(default_factory=list)
    failed: str | None = None

    def median(self, name: str) -> float:
        return statistics.median(float(getattr(one.seen, name)) for one in self.rounds)

    def total(self, name: str) -> int:
        return sum(int(getattr(one.seen, name)) for one in self.rounds)

    @property
    def cpu_us_per_chunk(self) -> float:
        return statistics.median(one.cpu_us_per_chunk for one in self.rounds)

    @property
    def trouble(self) -> str | None:
        return next((one.seen.first_trouble for one in self.rounds if one.seen.first_trouble), None)


@contextmanager
def upstream(scratch: Path) -> Iterator[Router]:
    """A model server that streams, in a router's clothes."""
    port = free_port()
    words = [sys.executable, "-m", "benchmarks.stream_upstream", str(port), str(CHUNKS), str(PER_SECOND)]
    url = f"http://127.0.0.1:{port}"
    with running(Command(words, url + "/health", clean_environment(PYTHONPATH=str(ROOT))), scratch) as program:
        yield Router("the upstream itself", url, program, {}, program.rss_bytes())


def contenders(routers: Sequence[Router]) -> list[Contender]:
    found = [_chat(router) for router in routers]
    return found + [_route(router) for router in routers if router.name == OURS]


def _chat(router: Router) -> Contender:
    name = f"{router.name}, /v1/chat/completions" if router.name == OURS else router.name
    body = {"model": MODEL, "messages": MESSAGES, "stream": True, "max_tokens": CHUNKS}
    return Contender(name, router, "/v1/chat/completions", body, {"X-Session-ID": "stream-{session}"})


def _route(router: Router) -> Contender:
    body = {
        "query": MESSAGES[0]["content"],
        "session_id": "route-{session}",
        "use_case": "agent",  # so that streams are measured, not the classifier
        "stream": True,
        "max_tokens": CHUNKS,
    }
    return Contender(f"{router.name}, /route", router, "/route", body, {})


def alternate(found: Sequence[Contender], streams: int, rounds: int) -> list[Row]:
    """A warm-up of a tenth of the streams, then rounds of one measurement each; a contender that fails drops out."""
    rows = [Row(one.name, one.router.name) for one in found]
    for number in range(rounds + 1):
        for contender, row in zip(found, rows, strict=True):
            if row.failed is None:
                _measure(contender, row, streams, number)
    return rows


def _measure(contender: Contender, row: Row, streams: int, number: int) -> None:
    one = _one(contender, streams if number else max(1, streams // 10))
    if one.seen.chunks == 0:
        row.failed = one.seen.first_trouble or "no chunk arrived"
    elif number:
        row.rounds.append(one)


def _one(contender: Contender, streams: int) -> Round:
    program = contender.router.program
    plan = Plan(
        port=int(contender.router.url.rpartition(":")[2]),
        path=contender.path,
        headers=dict(contender.headers) | dict(contender.router.headers),
        body=json.dumps(contender.body),
        streams=streams,
        chunks=CHUNKS,
        ramp_s=RAMP_S,
        lasts_s=CHUNKS / PER_SECOND,
    )
    before, cpu_before = program.rss_bytes(), program.cpu_s()
    seen, peak = _watched(plan, program)
    cpu = program.cpu_s() - cpu_before
    time.sleep(SETTLE_S)
    return Round(seen, cpu * 1e6 / max(1, seen.chunks), before, peak, program.rss_bytes())


def _watched(plan: Plan, program: Program) -> tuple[Seen, int]:
    """What a client in a process of its own saw, and the most memory that *program* held meanwhile."""
    words = [sys.executable, "-m", "benchmarks.stream_client"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as client:  # noqa: S603
        assert client.stdin and client.stdout
        client.stdin.write(json.dumps(asdict(plan)).encode())
        client.stdin.close()
        peak = 0
        while client.poll() is None:
            peak = max(peak, program.rss_bytes())
            time.sleep(SAMPLE_S)
        return Seen(**json.loads(client.stdout.read())), peak
