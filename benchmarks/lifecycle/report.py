"""The tables and the plot of `docs/model-lifecycle.md`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.lifecycle.policies import POLICIES
from benchmarks.lifecycle.runs import LAYOUTS, LOADS, PATIENCES_S, TURNS_S, Layout, Row, adversary, by_load, measured

BEGIN, END = "<!-- made by python -m benchmarks.lifecycle -->", "<!-- end of what is made -->"
AGAINST = "plain LRU"
DRAWN = ("ours", AGAINST, "first in, first out", "clairvoyant")


def tables() -> Iterator[str]:
    for layout in LAYOUTS:
        yield from _layout(layout)
    yield from _adversary()


def _layout(layout: Layout) -> Iterator[str]:
    short_s, long_s = PATIENCES_S
    short = {name: measured(policy, layout.habits, short_s) for name, policy in POLICIES.items()}
    long = {name: measured(policy, layout.habits, long_s) for name, policy in POLICIES.items()}
    yield f"**{layout.title[0].upper()}{layout.title[1:]}**, {layout.habits.sessions_per_minute:g} sessions a minute."
    yield ""
    yield (
        f"| who makes room | wakes an hour | waited | mean | p50 | p95 | p99 | given up after {short_s:g} s "
        f"| mean wait beside LRU's | with {long_s:g} s: mean | p99 | given up |"
    )
    yield "|---|" + "--:|" * 11
    for name in POLICIES:
        yield _line(name, short, long[name])
    yield ""


def _line(name: str, rows: Mapping[str, Row], patient: Row) -> str:
    row = rows[name]
    return (
        f"| {name} | {row.swaps_per_hour:.0f} | {row.waited:.1f} % | {row.mean_s:.2f} s | {row.p50_s:.1f} s "
        f"| {row.p95_s:.1f} s | {row.p99_s:.1f} s | {row.given_up:.1f} % | {_beside(row, rows[AGAINST])} "
        f"| {patient.mean_s:.2f} s | {patient.p99_s:.1f} s | {patient.given_up:.2f} % |"
    )


def _beside(row: Row, other: Row) -> str:
    if row is other:
        return "1"
    pairs = list(zip(row.by_seed, other.by_seed, strict=True))
    less = sum(mine < theirs for mine, theirs in pairs)
    return f"{mean(mine / theirs for mine, theirs in pairs):.2f}, less in {less} of {len(pairs)}"


def _adversary() -> Iterator[str]:
    yield "**A/B/A/B**: one place, 2 s to wake either, a request a second for the one that was not asked last."
    yield ""
    yield "| answers take | who makes room | wakes a minute | mean | p99 | given up after 10 s |"
    yield "|--:|---|--:|--:|--:|--:|"
    for answer_s in TURNS_S:
        for name, row in adversary(answer_s):
            wakes = row.swaps_per_hour / 60
            yield (
                f"| {answer_s:g} s | {name} | {wakes:.1f} | {row.mean_s:.2f} s | {row.p99_s:.1f} s "
                f"| {row.given_up:.1f} % |"
            )
    yield ""


def written(document: str, lines: Sequence[str], begin: str = BEGIN) -> str:
    """*document* with *lines* between its markers."""
    before, _, rest = document.partition(begin)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"the markers are missing: {begin} … {END}")
    return before + begin + "\n" + "\n".join(lines).rstrip() + "\n" + END + after


def draw(path: Path) -> None:
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("simulated: waiting for models, by load", fontsize="medium")
    panels = figure.subplots(2, len(LAYOUTS), sharex=True, sharey="row", squeeze=False)
    for column, layout in enumerate(LAYOUTS):
        for name, rows in by_load(DRAWN, layout.habits).items():
            panels[0][column].plot(LOADS, [row.mean_s for row in rows], marker=".", label=name)
            panels[1][column].plot(LOADS, [row.given_up for row in rows], marker=".", label=name)
        panels[0][column].set_title(layout.title, fontsize="small")
        panels[1][column].set_xlabel("sessions a minute")
    for axes in panels.flat:
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
    panels[0][0].set_ylabel("mean wait, s")
    panels[1][0].set_ylabel("given up after 10 s, %")
    panels[0][0].legend(loc="best", fontsize="small")
    figure.savefig(path, dpi=90, metadata={"Software": None})
