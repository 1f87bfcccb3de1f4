"""Servers that a router left behind, as it was killed: found by their pid files, and ended."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from smart_router.errors import LifecycleFailed
from smart_router.lifecycle.guardian import started

log = structlog.get_logger("launcher")

MARK = "SMART_ROUTER_PID_FILE"  # in the environment of a server, and so of all that it starts
POLL_S = 0.05
GUARDIAN_NEEDS_S = 5.0  # beyond what its server may take


@dataclass(frozen=True)
class Running:
    """A process that was there: *since* tells it from another that got its number."""

    pid: int
    since: str | None

    @property
    def lives(self) -> bool:
        return self.since is not None and started(self.pid) == self.since


async def end_what_is_left(pid_file: Path, model: str, stop_s: float) -> None:
    """
    End what *pid_file* names, if it still is what it was: politely, then by force. Returns when it is gone.

    Raises:
        LifecycleFailed: another router, which lives, has started it; or nobody can tell.
    """
    try:
        left = _read(pid_file)
        if left is not None:
            await _end_all(left, pid_file, model, stop_s)
    except OSError as exc:
        raise LifecycleFailed(
            f"{model}: {exc.filename or pid_file} cannot be read or removed ({exc.strerror}); change PROCESS_DIR"
        ) from exc


async def _end_all(left: tuple[Running, Running, Running], pid_file: Path, model: str, stop_s: float) -> None:
    router, guardian, server = left
    if router.lives and router.pid != os.getpid():
        raise LifecycleFailed(
            f"{model}: its server was started by another router on this machine, process {router.pid}; "
            "stop that one, or give each router a PROCESS_DIR and ports of its own"
        )
    if guardian.lives or server.lives:
        log.warning("ending a server that was left behind", model=model, pid=server.pid)
    await _end(guardian, os.kill, stop_s + GUARDIAN_NEEDS_S)
    await _end(server, os.killpg, stop_s)
    strays = await asyncio.to_thread(_strays, pid_file)
    if strays:
        log.warning("ending what a server left behind", model=model, pids=[stray.pid for stray in strays])
    await asyncio.gather(*(_end(stray, os.kill, stop_s) for stray in strays))
    _forget(pid_file)


def _strays(pid_file: Path) -> list[Running]:
    """What a server started that is gone, known by its mark: a number says nothing of who was given it. Linux only."""
    mark, found = os.fsencode(f"{MARK}={pid_file}"), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is somebody else's
            if mark in (process / "environ").read_bytes().split(b"\0"):
                pid = int(process.name)
                found.append(Running(pid, started(pid)))
    return found


def _read(pid_file: Path) -> tuple[Running, Running, Running] | None:
    try:
        found = json.loads(pid_file.read_text())
        router, guardian, server = (Running(*found[name]) for name in ("router", "guardian", "server"))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as exc:
        log.warning("a pid file says nothing, and is removed", file=str(pid_file), trouble=str(exc))
        _forget(pid_file)
        return None
    return router, guardian, server


async def _end(process: Running, send: Callable[[int, int], None], within_s: float) -> None:
    """With *send* to a group, its members go with the leader: the number is theirs while there are any."""
    if not process.lives:
        return
    for number, wait_s in ((signal.SIGTERM, within_s), (signal.SIGKILL, GUARDIAN_NEEDS_S)):
        with suppress(ProcessLookupError, PermissionError):
            send(process.pid, number)
        await _gone(process, wait_s)


async def _gone(process: Running, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while process.lives:  # noqa: ASYNC110 - no child of ours: nothing tells
                await asyncio.sleep(POLL_S)


def _forget(pid_file: Path) -> None:
    pid_file.unlink(missing_ok=True)
