"""
Load a router: `python -m loadtests`, from the project's folder.

Starts a router with simulated model servers and a Redis of its own, unless --host names a router (its key: API_KEY).
The exit code is 0 if all gates passed, 1 if one failed, 2 if the run could not begin.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NoReturn

from loadtests import report
from loadtests.options import KINDS, add_run_options, as_arguments, kinds, name, whole
from loadtests.servers import Site, Unusable, named, own
from loadtests.shapes import SHAPES, Plan, most_users
from smart_router.cli.processes import DidNotStart

ROOT = Path(__file__).parents[1]
CLASSES = dict(zip(KINDS, ("RealTime", "Streaming", "Switching", "Batch", "Idle", "Hostile"), strict=True))
USERS = 26  # two of each of the rare kinds
UNABLE = 2
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNABLE, f"loadtests: {message}\n")


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that nothing stays behind
    try:
        with _site(options) as site:
            return _run(options, site)
    except (Unusable, DidNotStart) as exc:
        sys.stderr.write(f"loadtests: {exc}\n")
        return UNABLE
    except KeyboardInterrupt:
        return INTERRUPTED


def _options() -> argparse.Namespace:
    parser = Parser(prog="loadtests", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", help="a router that runs already, such as http://localhost:8001")
    parser.add_argument("--users", type=whole, default=USERS, help=f"how many (default: {USERS})")
    parser.add_argument("--kinds", type=kinds, default=KINDS, help=f"by comma, of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--ui", action="store_true", help="locust's web interface instead of a run; Ctrl+C ends it")
    parser.add_argument("--ui-port", type=whole, default=8089, help="its port (default: 8089)")
    parser.add_argument("--report", action="store_true", help="keep the run and write docs/load.md anew")
    parser.add_argument("--name", type=name, help="what the report calls the run (default: its shape)")
    parser.add_argument("--note", help="what the model servers are, for the report")
    add_run_options(parser)
    options = parser.parse_args()
    if options.shape == "none" and not options.ui:
        options.shape = "steady"
    return options


def _site(options: argparse.Namespace) -> AbstractContextManager[Site]:
    if options.host:
        return nullcontext(named(options.host, os.environ.get("API_KEY")))
    sys.stderr.write("starting a router and what it needs\n")
    return own()


def _run(options: argparse.Namespace, site: Site) -> int:
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="loadtests-") as scratch:
        options.results = options.results or str(Path(scratch) / "results.json")
        sys.stderr.write(f"{_described(options)}; model servers: {site.models}; sessions: {site.sessions}\n")
        code = _locust(options, site)
        if options.report and Path(options.results).exists():
            report.keep(options, site, load_before)
        return 0 if options.ui else code  # there, whoever looks is the judge


def _described(options: argparse.Namespace) -> str:
    if options.shape == "none":
        return f"locust's web interface at http://localhost:{options.ui_port}, to load the router"
    shape = SHAPES[options.shape]
    plan = Plan(options.shape, options.users, options.seconds or shape.usual_s)
    return f"{plan.shape} ({shape.says}), {plan.seconds:g} s, up to {most_users(plan)} users"


def _locust(options: argparse.Namespace, site: Site) -> int:
    """Its exit code. In a process of its own, as it replaces parts of Python."""
    watched = ["--web-host", "127.0.0.1", "--web-port", str(options.ui_port)]
    mode = watched if options.ui else ["--headless", "--only-summary"]
    command = [
        *(sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--host", site.url, *mode),
        *("--users", str(options.users), "--loglevel", "WARNING", "--json-file", os.devnull),
        *as_arguments(options),
        *(CLASSES[kind] for kind in options.kinds),
    ]  # fmt: skip
    environment = {**os.environ, "API_KEY": site.key or ""}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)  # noqa: S603
    try:
        return process.wait()
    except KeyboardInterrupt:  # locust has had it too, and has a last word
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
