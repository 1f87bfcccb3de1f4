"""docs/load.md with its pictures, of the runs kept in loadtests/runs; `python -m loadtests.report` writes it anew."""

import argparse
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtests import machine, plots
from loadtests.options import KINDS, add_run_options, as_arguments
from loadtests.servers import Site
from loadtests.shapes import SHAPES
from loadtests.tables import GATE_HEADINGS, HEADINGS, markdown

ROOT = Path(__file__).parents[1]
RUNS = Path(__file__).parent / "runs"
PAGE = ROOT / "docs" / "load.md"
INTRODUCTION = """# Under load

What users of six kinds measured while they talked to a router, in conversations of three to eight turns in English,
Hindi, Hinglish, Tamil and Bengali: [loadtests/README.md](../loadtests/README.md) says who they are and how to read the
tables. Made by `python -m loadtests --report`. All durations are the users' own but "routing", which the router tells.

- Load generator, router, Redis and model servers share one small machine: each table says its load average at the
  beginning. Where that is above the number of cores, everybody waited for a processor, the router's decisions too.
- In bursts some hundred conversations begin at once, and each first turn needs the encoder, one after the other: its
  queue is what fails the gate there, and what more routers, or a processor with VNNI, are for.
- Where model servers are called simulated, no model ran: an answer begins after 50 ms and goes on at 100 tokens a
  second, so the default of 24 tokens takes 290 ms. What is beyond that is queueing, the router and the load generator.
- No GPU was there to measure with.
"""


def keep(options: argparse.Namespace, site: Site, load_before: float) -> None:
    """Store the run just made, and write the page anew."""
    name = options.name or options.shape
    run = json.loads(Path(options.results).read_text())
    servers = {"model servers": options.note or site.models, "sessions": site.sessions, "command": _again(options)}
    run |= {"shape": options.shape, "users": options.users, "about": {**servers, **machine.describe(load_before)}}
    RUNS.mkdir(exist_ok=True)
    (RUNS / f"{name}.json").write_text(json.dumps(run, ensure_ascii=False, indent=1) + "\n")
    write(RUNS, PAGE)


def write(runs: Path, page: Path) -> None:
    """One part per run, its picture beside the *page* in images/."""
    parts = [_part(path.stem, json.loads(path.read_text()), page) for path in sorted(runs.glob("*.json"), key=_place)]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join([INTRODUCTION, *parts]))


def _place(path: Path) -> tuple[int, str]:
    """The shapes first, in their order."""
    names = list(SHAPES)
    return (names.index(path.stem) if path.stem in names else len(names)), path.stem


def _part(name: str, run: dict[str, Any], page: Path) -> str:
    picture = page.parent / "images" / f"load-{name}.png"
    plots.draw(run["points"], f"{name}: {run['about']['model servers']} model servers", picture)
    return "\n".join(_lines(name, run))


def _lines(name: str, run: dict[str, Any]) -> Iterator[str]:
    gates = [
        (each["gate"], each["limit"], each["value"], "PASS" if each["passed"] else "FAIL") for each in run["gates"]
    ]
    yield f"## {name.capitalize()}\n"
    yield f"{run['shape'].capitalize()} ({SHAPES[run['shape']].says}), {run['users']} users.\n"
    yield markdown(
        ("", " "), [(what, f"`{text}`" if what == "command" else text) for what, text in run["about"].items()]
    )
    yield ""
    yield markdown(HEADINGS, run["kinds"])
    yield ""
    yield markdown(GATE_HEADINGS, gates)
    yield f"\n![Users, latencies, routing and bypasses over time](images/load-{name}.png)\n"


def _again(options: argparse.Namespace) -> str:
    """The command that repeats the run; without addresses and files, which are a matter of the machine."""
    defaults = argparse.ArgumentParser()
    add_run_options(defaults)
    usual = list(_pairs(defaults.parse_args([])))
    kinds = ["--kinds", ",".join(options.kinds)] if options.kinds != KINDS else []
    said = [word for pair in _pairs(options) if pair not in usual and pair[0] != "--results" for word in pair]
    return shlex.join(["python", "-m", "loadtests", "--users", str(options.users), *kinds, *said])


def _pairs(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    words = as_arguments(options)
    yield from zip(words, words, strict=True)


if __name__ == "__main__":
    write(RUNS, PAGE)
