"""Load by wrk: one thread, some connections, requests from a file, exact percentiles."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SCRIPT = Path(__file__).parent / "load.lua"
ANSWER_WITHIN_S = 60  # wrk's own limit of 2 s would call slow answers errors
SESSION = "{session}"


class WrkFailed(Exception):
    """wrk printed no figures; the message holds what it printed."""


@dataclass(frozen=True)
class Load:
    """
    POST *bodies* in turn to *path*. `{session}` in a body or header becomes a session id: "rotate" takes *sessions*
    ids in turn, "fresh" a new one for every request.
    """

    path: str
    bodies: Sequence[Mapping[str, Any]]
    headers: Mapping[str, str] = field(default_factory=dict)
    sessions: int = 500
    kind: Literal["rotate", "fresh"] = "rotate"
    prefix: str = "bench-"

    def session(self, number: int) -> str:
        """As load.lua makes them."""
        return f"{self.prefix}{number:010d}"


@dataclass(frozen=True)
class Taken:
    """What wrk counted; latencies in microseconds."""

    requests: int
    duration_us: int
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float
    socket_errors: int
    timeouts: int
    bad_statuses: int

    @property
    def errors(self) -> int:
        return self.socket_errors + self.timeouts + self.bad_statuses

    @property
    def per_second(self) -> float:
        return self.requests / (self.duration_us / 1e6)


def find_wrk() -> str | None:
    return shutil.which("wrk")


def run(
    url: str, load: Load, headers: Mapping[str, str], connections: int, seconds: float, prefix: str, scratch: Path
) -> Taken:
    """
    One run of *load* with further *headers*; ids of fresh sessions start with *prefix*.

    Raises:
        WrkFailed: there are no figures.
    """
    bodies = scratch / "bodies.jsonl"
    bodies.write_text("".join(json.dumps(body) + "\n" for body in load.bodies))
    sent = {"Content-Type": "application/json"} | dict(load.headers) | dict(headers)
    words = [
        *(find_wrk() or "wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--latency"),
        *("--timeout", f"{ANSWER_WITHIN_S}s", "-s", str(SCRIPT), url, "--", str(bodies), load.path, load.kind),
        *(prefix if load.kind == "fresh" else load.prefix, str(load.sessions)),
        *(f"{name}: {value}" for name, value in sent.items()),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    return _parsed(done.stdout, done.stderr)


def _parsed(printed: str, complaints: str) -> Taken:
    for line in printed.splitlines():
        if line.startswith("JSON "):
            return Taken(**json.loads(line.removeprefix("JSON ")))
    raise WrkFailed((complaints or printed).strip()[-300:] or "wrk printed nothing")
