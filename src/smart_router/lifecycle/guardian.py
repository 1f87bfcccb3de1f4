"""
Watches over one server that a router starts, as a program of its own: nothing of it outlives the router.

    python guardian.py LOG PID_FILE STOP_S COMMAND...

It starts COMMAND in a session of its own and ends with its exit code (128 + signal where one ended it). Told to stop,
by a signal or by the end of its standard input, which the router holds open while it lives, it asks all of the
command's processes to end, and kills them STOP_S later. On Linux that includes those that left the command's group.
LOG, its standard output and the command's, is moved to LOG.1 when it has become too long. PID_FILE says what runs,
until it does not.

It imports nothing of ours: one such process per server has to be small.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path

MOST_LOG_BYTES = 16 * 1024 * 1024
LOOK_EVERY_S = 10.0  # at the log
NOT_STARTED = 127  # as shells say it
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>


def guard(command: list[str], log: Path, pid_file: Path, stop_s: float) -> int:
    """Run *command* until it ends, or has to; its exit code."""
    told = Told()
    keep_short(log)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        server = subprocess.Popen(  # noqa: S603 - an operator's own
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_ends_with(os.getpid())
        )
    except OSError as exc:
        _say(f"{command[0]} cannot be started: {exc.strerror}")
        return NOT_STARTED
    try:
        _write(pid_file, server.pid)
    except OSError as exc:  # without it, nobody would find what a killed router leaves
        _say(f"{pid_file} cannot be written: {exc.strerror}")
        told.to_stop = True
    kill_at = inf
    while (over := _has_ended(server.pid)) is False or _orphans(server.pid):
        if kill_at == inf and (told.to_stop or over):
            kill_at = time.monotonic() + stop_s
            _signal_all(server.pid, signal.SIGTERM)
        elif time.monotonic() >= kill_at:
            _signal_all(server.pid, signal.SIGKILL)
        told.wait(min(LOOK_EVERY_S, max(0.05, kill_at - time.monotonic())))
        keep_short(log)
    _signal_all(server.pid, signal.SIGKILL)  # its number is its own until `wait`
    pid_file.unlink(missing_ok=True)
    code = server.wait()
    return code if code >= 0 else 128 - code


class Told:
    """To stop, or that a child has ended: `wait` returns early."""

    def __init__(self) -> None:
        self.to_stop = False
        self._wakes, woken = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # handlers end with `exec`, what is ignored stays
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def wait(self, most_s: float) -> None:
        watched = [self._wakes] if self.to_stop else [self._wakes, sys.stdin.fileno()]
        ready, _, _ = select.select(watched, [], [], most_s)
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1024):
            self.to_stop = True
        with suppress(BlockingIOError):
            os.read(self._wakes, 1024)

    def _stop(self, *_: object) -> None:
        self.to_stop = True


def started(pid: int) -> str | None:
    """When process *pid* began, to tell it from others that have its number; None: there is none."""
    try:
        # Behind the name, which may hold anything: proc(5). A zombie has ended.
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if state in "ZX" else f"{_boot()} {fields[18]}"
    except FileNotFoundError:
        return _listed(pid) if not Path("/proc/self/stat").exists() else None
    except (OSError, ValueError, IndexError):  # it ended while it was read
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _listed(pid: int) -> str | None:
    """Where there is no /proc."""
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.strip() or None


def keep_short(log: Path) -> None:
    """What is in a *log* that is too long is moved to the one before it. Who writes there appends, and goes on."""
    with suppress(OSError):
        found = log.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size > MOST_LOG_BYTES:
            with log.open("rb+") as now, open(f"{log}.1", "wb", opener=for_its_owner) as before:
                shutil.copyfileobj(now, before)
                now.truncate(0)


def for_its_owner(path: str, flags: int) -> int:
    """Prompts may be in a log."""
    return os.open(path, flags, 0o600)


def _write(pid_file: Path, server: int) -> None:
    here, router = os.getpid(), os.getppid()
    pids = {"router": router, "guardian": here, "server": server}
    new = pid_file.with_name(f"{pid_file.name}.{here}")
    new.write_text(json.dumps({name: [pid, started(pid)] for name, pid in pids.items()}))
    new.replace(pid_file)


def _say(what: str) -> None:
    print(f"smart-router: {what}", file=sys.stderr, flush=True)  # noqa: T201 - which is the log


def _ends_with(guardian: int) -> Callable[[], None]:
    """What the server does before it becomes one: if its guardian is killed, it is told to stop. Linux only."""

    def prepare() -> None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != guardian:
            os._exit(NOT_STARTED)

    return prepare


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _has_ended(server: int) -> bool:
    """It stays a zombie, so that its number remains its own."""
    return os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _orphans(server: int) -> list[int]:
    """What the server started and left alone, or left behind; Linux hands it to us."""
    with suppress(OSError):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return [pid for pid in map(int, children) if pid != server and not _reaped(pid)]
    return []


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _signal_all(server: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(server, number)
    for pid in _orphans(server):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(guard(sys.argv[4:], Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))
