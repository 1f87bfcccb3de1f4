"""Where and with what a run was made: without that its figures say nothing."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]


def describe(load_before: float) -> dict[str, str]:
    """Headings and texts of a table; *load_before*: the machine's load average when the run began."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "system": f"{platform.freedesktop_os_release().get('PRETTY_NAME', platform.system())}, {platform.release()}",
        "load average": f"{load_before:.1f} at the begin, {os.getloadavg()[0]:.1f} at the end, which includes the run",
        "versions": f"smart-router {version('smart-router')} at {_commit()}, "
        f"Python {platform.python_version()}, locust {version('locust')}",
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", path.read_text()) if path.exists() else None
    return found[1] if found else platform.machine()


def _commit() -> str:
    git = ["git", "-C", str(ROOT)]
    commit = _output([*git, "rev-parse", "--short=12", "HEAD"])
    changed = _output([*git, "status", "--porcelain", "--untracked-files=no", "--", "src", "config"])
    return (commit or "an unknown commit") + (" with changes" if changed else "")


def _output(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""
