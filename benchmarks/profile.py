"""
Where smart-router's CPU time goes, stage by stage: `python -m benchmarks.profile`, from the project's folder.

py-spy (of install_peers.sh) samples the router under a load of wrk's; attaching to it needs root, or a kernel that
lets one. A sample counts for the innermost frame that belongs to a stage, so the standard library counts for its
caller.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import wrk
from benchmarks.process import Program
from benchmarks.rounds import Contender
from benchmarks.routers import OURS, ROOT, Router, Site, started
from benchmarks.run import nginx_upstream, own_redis
from benchmarks.scenarios import SCENARIOS, WrongAnswer, check
from benchmarks.wrk import Taken

WARM_UP_S = 2
HEAD_START_S = 1.0  # of wrk, before sampling
SAMPLES_PER_S = 100  # more would stop the router too often
MOST_FUNCTIONS = 30

_CALLS = "send|sendmsg|sendto|recv|recvmsg|recvfrom|read|write|writev|readv|epoll_\\w+|close|accept4?|connect|socket"
SYSCALL = re.compile(rf"^(__)?(libc_)?({_CALLS})\b.* \(\S*libc")  # seen with --native only
STAGES = (
    ("JSON: msgspec, wire", re.compile(r"msgspec|smart_router/api/wire|[( ]json/")),
    ("sessions: store, redis", re.compile(r"smart_router/sessions|[( ]redis/|hiredis")),
    ("classify: encoder, head, guard", re.compile(r"smart_router/classify|onnxruntime|tokenizers|numpy")),
    ("decide: chooser, rules", re.compile(r"smart_router/(decide|chooser)")),
    ("upstream: fleet, client", re.compile(r"smart_router/(upstream|opening)|[( ](aiohttp|yarl|multidict|aiosignal)/")),
    ("observe: metrics, stats, log", re.compile(r"smart_router/observe|structlog|prometheus_client|[( ]logging/")),
    ("pipeline, exchange", re.compile(r"smart_router/(pipeline|exchange)")),
    ("api: door, front, relay", re.compile(r"smart_router/(api|front)")),
    ("control plane: FastAPI", re.compile(r"[( ](fastapi|starlette)/")),
    ("HTTP server: uvicorn, httptools", re.compile(r"uvicorn/protocols")),
)
LOOP = ("event loop: asyncio, uvloop", re.compile(r"uvloop|asyncio|selectors|libuv|\(uv__"))
KERNEL = "kernel: system calls"
OTHER = "other"


class CannotSample(Exception):
    """py-spy is not there or may not attach; the message says which."""


@dataclass(frozen=True)
class Profile:
    """Stacks, outermost frame first, with the number of samples of each; and CPU per request meanwhile."""

    stacks: Counter[tuple[str, ...]]
    taken: Taken
    cpu_us: float
    kernel_us: float

    @property
    def samples(self) -> int:
        return self.stacks.total()


def main() -> int:
    options = _options()
    try:
        for letter in options.only.split(","):
            for contender in _contenders(letter, options):
                profile = _profile(contender, options)
                sys.stdout.write("\n".join(_report(contender.name, options.connections, profile)) + "\n")
    except (CannotSample, WrongAnswer) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="a,b,c", help="scenarios of benchmarks/run.py, by comma (default: all)")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=10, help="of sampling")
    parser.add_argument("--native", action="store_true", help="look into C as well: tells system calls, but slows much")
    parser.add_argument("--bench", type=Path, default=ROOT / ".bench", help="what install_peers.sh made")
    return parser.parse_args()


def _contenders(letter: str, options: argparse.Namespace) -> Iterator[Contender]:
    """smart-router's loads of a scenario, each on a router of its own."""
    scenario = next(one for one in SCENARIOS if one.letter == letter)
    with _router(options.bench) as (router, store):
        for contender in scenario.contenders([router], store):
            check(contender)
            yield contender


@contextmanager
def _router(bench: Path) -> Iterator[tuple[Router, Program | None]]:
    absent: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        scratch = Path(folder)
        upstream = stack.enter_context(nginx_upstream(scratch))
        url, store = stack.enter_context(own_redis(scratch))
        routers = stack.enter_context(started([OURS], Site(upstream.url, scratch, bench, url), absent))
        if not routers:
            raise CannotSample(absent[OURS])
        yield routers[0], store


def _profile(contender: Contender, options: argparse.Namespace) -> Profile:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scratch, program = Path(folder), contender.router.program
        _load(contender, options.connections, WARM_UP_S, "warm-", scratch)
        before, kernel_before = program.cpu_s(), program.kernel_s()
        sampler = _sampler(options, program.pid, scratch / "stacks")
        taken = _load(contender, options.connections, options.seconds + 2 * HEAD_START_S, "load-", scratch)
        used, kernel = program.cpu_s() - before, program.kernel_s() - kernel_before
        _, complaint = sampler.communicate()
        if sampler.returncode:
            raise CannotSample(f"py-spy failed: {complaint.strip()[-300:]}")
        each = 1e6 / max(1, taken.requests)
        return Profile(_stacks(scratch / "stacks"), taken, used * each, kernel * each)


def _load(contender: Contender, connections: int, seconds: float, prefix: str, scratch: Path) -> Taken:
    router = contender.router
    return wrk.run(router.url, contender.load, router.headers, connections, seconds, prefix, scratch)


def _sampler(options: argparse.Namespace, pid: int, out: Path) -> "subprocess.Popen[str]":
    """py-spy, which begins once the load runs."""
    program = options.bench.absolute() / "py-spy" / "bin" / "py-spy"
    if not program.exists():
        raise CannotSample("py-spy is not installed; see benchmarks/install_peers.sh")
    native = ["--native"] if options.native else []
    words = [
        *(str(program), "record", "--pid", str(pid), "--format", "raw", "--output", str(out), *native),
        *("--rate", str(SAMPLES_PER_S), "--duration", str(options.seconds)),
    ]
    late = ["sh", "-c", f'sleep {HEAD_START_S}; exec "$@"', "sh", *words]
    return subprocess.Popen(late, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603


def _stacks(raw: Path) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for line in raw.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        found[tuple(frames.split(";"))] += int(count)
    return found


def stage(frames: Sequence[str]) -> str:
    """What a stack was busy with: 1 a system call, 2 the innermost frame of a stage, 3 the loop itself, 4 anything."""
    if any(SYSCALL.match(frame) for frame in frames[-2:]):
        return KERNEL
    for frame in reversed(frames):
        for name, pattern in STAGES:
            if pattern.search(frame):
                return name
    name, pattern = LOOP
    return name if any(pattern.search(frame) for frame in frames) else OTHER


def _report(name: str, connections: int, profile: Profile) -> Iterator[str]:
    rate = profile.taken.per_second
    yield f"## {name}, {connections} connections"
    yield ""
    yield (
        f"{rate:,.0f} requests/s while sampled; {profile.cpu_us:.0f} µs of CPU each, {profile.kernel_us:.0f} of them "
        f"in the kernel; {profile.samples} samples"
    )
    yield ""
    stages: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for frames, count in profile.stacks.items():
        stages[stage(frames)] += count
        functions[_function(frames)] += count
    yield from _table("stage", stages, profile)
    yield from _table("innermost Python function", functions, profile)


def _function(frames: Sequence[str]) -> str:
    """The innermost Python function, without its line, and with the stage that it works for."""
    python = next((frame for frame in reversed(frames) if ".py" in frame), frames[-1])
    return re.sub(r":\d+\)", ")", python)


def _table(head: str, counts: Counter[str], profile: Profile) -> Iterator[str]:
    yield f"| {head} | share | µs/request |"
    yield "| --- | --: | --: |"
    for name, count in counts.most_common(MOST_FUNCTIONS):
        share = count / max(1, profile.samples)
        yield f"| {name} | {share:.1%} | {share * profile.cpu_us:.1f} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
