"""Where and with what a run was made: without that its figures say nothing."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.machine import commit, processor, system


def describe(load_before: float) -> dict[str, str]:
    """Headings and texts of a table; *load_before*: the machine's load average when the run began."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "system": f"{system()}, {platform.release()}",
        "load average": f"{load_before:.1f} at the begin, {os.getloadavg()[0]:.1f} at the end, which includes the run",
        "versions": f"smart-router {version('smart-router')} at {commit('src', 'config')}, "
        f"Python {platform.python_version()}, locust {version('locust')}",
    }
