"""Programs under test: start one, wait until it answers, see what it used, stop it."""

import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from smart_router.cli.processes import stop

READY_WITHIN_S = 180.0
POLL_S = 0.1
TAIL_BYTES = 600
IDLE_SHARE = 0.1  # of one core: what a router may use between two rounds
IDLE_SAMPLE_S = 0.2
IDLE_WITHIN_S = 8.0


class DidNotStart(Exception):
    """A program ended, or did not answer in time; the message holds the end of its output."""


@dataclass(frozen=True)
class Command:
    """What to run, the address that answers once it is ready (None: as soon as it runs), and its environment."""

    words: Sequence[str]
    ready: str | None
    environment: Mapping[str, str] | None = None


class Program:
    """A running program with its children."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._root = psutil.Process(pid)

    def cpu_s(self) -> float:
        """Seconds of CPU used so far, in user and kernel mode."""
        return sum(float(times.user + times.system) for times in self._times())

    def kernel_s(self) -> float:
        """The part of it in kernel mode."""
        return sum(float(times.system) for times in self._times())

    def rss_bytes(self) -> int:
        return sum(_rss(process) for process in self._tree())

    def await_idle(self) -> None:
        """Wait until what an earlier round left behind is worked off; not for ever."""
        deadline, before = time.monotonic() + IDLE_WITHIN_S, self.cpu_s()
        while time.monotonic() < deadline:
            time.sleep(IDLE_SAMPLE_S)
            now = self.cpu_s()
            if now - before < IDLE_SHARE * IDLE_SAMPLE_S:
                return
            before = now

    def _times(self) -> Iterator[Any]:
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                yield process.cpu_times()

    def _tree(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]


@contextmanager
def running(command: Command, cwd: Path) -> Iterator[Program]:
    """
    *command* as a process that writes its output to a file, as a service's would be; stopped at the end.

    Raises:
        DidNotStart: the message says why.
    """
    with tempfile.NamedTemporaryFile(dir=cwd, suffix=".log") as log:
        process = subprocess.Popen(  # noqa: S603
            command.words, env=command.environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _wait(process, command.ready, Path(log.name))
            yield Program(process.pid)
        finally:
            stop(process)


def _wait(process: "subprocess.Popen[bytes]", ready: str | None, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not (ready is None or answers(ready)):
        if process.poll() is not None:
            raise DidNotStart(f"ended with status {process.returncode}: {_tail(log)}")
        if time.monotonic() > deadline:
            raise DidNotStart(f"did not answer within {READY_WITHIN_S:.0f} s: {_tail(log)}")
        time.sleep(POLL_S)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(log: Path) -> str:
    return log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip() or "it printed nothing"


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def clean_environment(**added: str) -> dict[str, str]:
    """What a program needs of this shell's variables, so that no setting of the shell's reaches a router."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "PYTHONPATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"DRAIN_DELAY": "0"} | added
