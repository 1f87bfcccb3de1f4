"""Which machine, which versions: without them a figure says nothing."""

import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.routers import KINDS, ROOT, output
from smart_router.cli.processes import find_redis_server

BUSY_LOAD = 0.5  # load average above which something else is running


@dataclass(frozen=True)
class Machine:
    """What was measured on, and when."""

    cpu: str
    cores: int
    memory_gib: int
    kernel: str
    system: str
    load_before: float
    date: str
    commit: str
    versions: dict[str, str]


def describe(bench: Path, routers: list[str]) -> Machine:
    return Machine(
        cpu=processor(),
        cores=os.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 2**30),
        kernel=platform.release(),
        system=system(),
        load_before=os.getloadavg()[0],
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit("src", "config", "benchmarks"),
        versions={name: KINDS[name].version(bench) for name in routers} | _tools(),
    )


def processor() -> str:
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", path.read_text()) if path.exists() else None
    return found[1] if found else platform.machine()


def system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())


def commit(*folders: str) -> str:
    """The one checked out, and whether *folders* differ from it."""
    git = ["git", "-C", str(ROOT)]
    if not (ROOT / ".git").exists():
        return "unknown"
    changed = output([*git, "status", "--porcelain", "--untracked-files=no", "--", *folders])
    return output([*git, "rev-parse", "--short=12", "HEAD"]) + (" with changes" if changed else "")


def _tools() -> dict[str, str]:
    redis = find_redis_server()
    return {
        "python": platform.python_version(),
        "uvicorn": version("uvicorn"),
        "uvloop": version("uvloop"),
        "wrk": output(["wrk", "-v"]).partition("\n")[0].removeprefix("wrk ").partition(" [")[0],
        "redis-server": _redis_version(output([redis, "--version"])) if redis else "none",
    }


def _redis_version(printed: str) -> str:
    found = re.search(r"v=(\S+)", printed)
    return found[1] if found else printed
