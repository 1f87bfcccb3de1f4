"""The measurement as a picture."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smart_router.bench.report import Measured
from smart_router.bench.statistics import MEASURES, PERCENTILE, nearest_rank
from smart_router.bench.turn import GROUPS, Group, Turn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg")
# Okabe and Ito's colours, which people tell apart however they see colours.
COLOURS: dict[Group, str] = {"first": "#0072B2", "bypassed": "#E69F00", "classified": "#009E73"}
MOST_BEYOND = 2.0  # of the axis, as a multiple of the highest p95
FAILED = "#D55E00"
# Where a curve's numbers stand, so that those of two curves do not cover each other.
BESIDE: dict[Group, dict[str, Any]] = {
    "first": {"xytext": (6, -11), "ha": "left", "fontsize": 8},
    "bypassed": {"xytext": (-6, 5), "ha": "right", "fontsize": 8},
    "classified": {"xytext": (-6, -11), "ha": "right", "fontsize": 8},
}


class CannotPlot(Exception):
    """The message says what is missing or wrong."""


def check(path: Path) -> None:
    """
    Raises:
        CannotPlot: before anything is measured.
    """
    if path.suffix.lower() not in FORMATS:
        raise CannotPlot(f"--plot: {path} must end with {' or '.join(FORMATS)}")
    if not path.resolve().parent.is_dir():
        raise CannotPlot(f"--plot: there is no folder {path.resolve().parent}; make it first")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise CannotPlot("--plot: needs matplotlib: pip install 'smart-router[eval]'") from None


def plot(measured: Measured, path: Path) -> None:
    """
    Three distributions, and every turn in time, as PNG or SVG.

    Raises:
        CannotPlot: *path* cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), dpi=120, layout="constrained")
    (first, total), (rate, time) = figure.subplots(2, 2)
    answered = [turn for turn in measured.turns if not turn.error]
    _distribution(first, answered, "time_to_first_token", "time to first token, ms", 1e3)
    _distribution(total, answered, "end_to_end", "end to end, s", 1)
    _distribution(rate, answered, "tokens_per_second", "tokens per second of one answer", 1)
    _in_time(time, measured.turns)
    figure.suptitle(_title(measured), fontsize=11)
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(GROUPS), frameon=False)
    try:
        figure.savefig(path)
    except OSError as exc:
        raise CannotPlot(f"--plot: {path} cannot be written: {exc.strerror}") from exc


def _title(measured: Measured) -> str:
    plan = measured.plan
    conversations = sum(turn.group == "first" for turn in measured.turns)
    return (
        f"{measured.url}: {conversations} conversations, {plan.concurrency} at once, at most {plan.max_tokens} tokens\n"
        f"{', '.join(measured.models) or 'no answers'}   {measured.began[:16].replace('T', ' ')}"
    )


def _distribution(axes: "Axes", turns: Sequence[Turn], measure: str, label: str, scale: float) -> None:
    """The share of turns that needed at most so much, with median and p95 marked."""
    highest = 0.0
    for group, name in GROUPS.items():
        found = (MEASURES[measure](turn) for turn in turns if turn.group == group)
        values = sorted(value * scale for value in found if value is not None)
        if not values:
            continue
        shares = [(place + 1) / len(values) for place in range(len(values))]
        axes.step([values[0], *values], [0.0, *shares], where="post", color=COLOURS[group], label=name)
        for share, at in ((0.5, statistics.median(values)), (PERCENTILE, nearest_rank(values, PERCENTILE))):
            axes.plot(at, share, "o", color=COLOURS[group], markersize=5)
            axes.annotate(f"{at:.3g}", (at, share), textcoords="offset points", **BESIDE[group])
            highest = max(highest, at)
    axes.set(xlabel=label, ylabel="share of turns", ylim=(0, 1.03))
    _leave_room(axes, highest)
    for share, name in ((0.5, "median"), (PERCENTILE, "p95")):
        axes.axhline(share, color="0.85", linewidth=0.8, zorder=0)
        axes.text(1, share + 0.01, name, transform=axes.get_yaxis_transform(), ha="right", fontsize=8, color="0.4")
    _plainly(axes)


def _leave_room(axes: "Axes", highest: float) -> None:
    """For the figures; single values far beyond the *highest* p95 are named at the edge, not shown."""
    most = axes.get_xlim()[1]
    right = min(most * 1.12, highest * MOST_BEYOND) if highest else most
    axes.set_xlim(0, right)
    if most > right:
        axes.text(1, 1.04, f"up to {most:.4g} →", transform=axes.transAxes, ha="right", fontsize=8, color="0.4")


def _in_time(axes: "Axes", turns: Sequence[Turn]) -> None:
    for group in GROUPS:
        of_group = [turn for turn in turns if turn.group == group and not turn.error]
        axes.scatter([t.at_s for t in of_group], [t.total_s for t in of_group], s=14, color=COLOURS[group], alpha=0.8)
    failed = [turn for turn in turns if turn.error]
    if failed:
        axes.scatter([t.at_s for t in failed], [t.total_s for t in failed], s=36, color=FAILED, marker="x")
        axes.annotate(f"x: {len(failed)} failed", (0.98, 0.95), xycoords="axes fraction", ha="right", color=FAILED)
    axes.set(xlabel="asked at, s after the beginning", ylabel="end to end, s")
    axes.set_ylim(bottom=0)
    _plainly(axes)


def _plainly(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
