"""
Makes docs/images/overview.png: `python -m tests.dashboards.picture --minutes 4`, from the project's folder.

It starts a router, a Redis, a Prometheus and SIMULATED model servers, keeps the workload of this folder on them, and
has `scripts/render_overview.py` draw what came of it.
"""

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from smart_router.cli.processes import find_redis_server, redis_server

from .live import everything
from .workload import one_round

ROOT = Path(__file__).parents[2]
SCRAPE_S = 2
WINDOW_S = 20
FAULTS_EVERY = 12  # rounds
CAPTION = (
    "Simulated model servers; router, load and all else on two busy cores, so that the times say little. "
    "The dashboard's own queries, answered by Prometheus; drawn by matplotlib."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "overview.png")
    options = parser.parse_args()
    redis, prometheus = find_redis_server(), shutil.which("prometheus")
    if redis is None or prometheus is None:
        sys.exit("this needs a redis-server and a prometheus on the PATH; install both")
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(redis) as redis_url,
        everything(Path(folder), redis_url, prometheus, SCRAPE_S) as live,
    ):
        until = time.monotonic() + options.minutes * 60
        for count in itertools.count():
            one_round(live.router, live.models, faults=count % FAULTS_EVERY == 0)
            if time.monotonic() > until:
                break
        _render(live.prometheus_url, options.minutes, options.out)


def _render(url: str, minutes: float, out: Path) -> None:
    script = str(ROOT / "scripts" / "render_overview.py")
    command = [sys.executable, script, "--prometheus", url, "--out", str(out)]
    looked_at = ["--minutes", f"{minutes:g}", "--rate", str(WINDOW_S), "--caption", CAPTION]
    subprocess.run([*command, *looked_at], check=True, timeout=120)


if __name__ == "__main__":
    main()
