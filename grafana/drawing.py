"""How each kind of panel is drawn."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from grafana.asking import Json, Series

Results = list[tuple[str, list[Series]]]
SMALL = 7.0  # points
LEGEND_BELOW = 18  # pixels, where the times of the axis are
PALETTE = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f"),
    *("#3b4cc0", "#b40426", "#006d5b", "#c49c00", "#5c3c92", "#f49ac2"),
)
COLOURS = {"green": "#2c9c45", "orange": "#e08b00", "red": "#cf2a2a", "blue": "#2f6fd0", "transparent": "#c9ccd3"}
SECONDS = ((1.0, "s", 1.0), (1e-3, "ms", 1e3), (0.0, "µs", 1e6))  # from where on, unit, factor


def shown(value: float, unit: str, decimals: int = 1) -> str:
    """*value* as a reader wants it: 0.0004 s is 400 µs."""
    if unit == "percentunit":
        return f"{value * 100:.{decimals}f} %"
    if unit == "s":
        _, name, factor = next(found for found in SECONDS if abs(value) >= found[0])
        return f"{value * factor:.3g} {name}" if value else "0 s"
    suffix = {"reqps": " req/s", "ops": " /s", "tokens/s": " tokens/s"}.get(unit, "")
    return f"{value:.3g}{suffix}"


def lines(axes: Axes, panel: Json, found: Results) -> None:
    """Lines, or areas on one another; dashed where the thresholds are, if they are in sight."""
    named = _named(found)
    if not named:
        _say_nothing(axes, panel)
        _dress(axes, panel)
        return
    (_stack if is_stacked(panel) else _plot)(axes, named)
    axes.set_ylim(bottom=0)
    _thresholds(axes, panel)
    _dress(axes, panel)
    _legend(axes, len(named))


def is_stacked(panel: Json) -> bool:
    return bool(panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode") == "normal")


def big_number(axes: Axes, panel: Json, found: Results) -> None:
    """The latest value, its course behind it."""
    defaults = panel["fieldConfig"]["defaults"]
    points = [point for _, series in found for one in series for point in one.points if not math.isnan(point[1])]
    axes.axis("off")
    if not points:
        _say_nothing(axes, panel)
        return
    colour = _colour(points[-1][1], defaults["thresholds"]["steps"])
    axes.fill_between([t for t, _ in points], [v for _, v in points], color=colour, alpha=0.15, linewidth=0)
    axes.set_ylim(0, 2.2 * max(v for _, v in points) or 1)
    text = shown(points[-1][1], defaults["unit"], defaults["decimals"])
    axes.text(0.5, 0.62, text, ha="center", va="center", fontsize=26, color=colour, transform=axes.transAxes)


def heat(axes: Axes, panel: Json, found: Results) -> None:
    """Buckets as rows; the brighter, the more values fell there."""
    buckets = sorted((series for _, all in found for series in all), key=lambda one: float(one.labels["le"]))
    counts = [dict(one.points) for one in buckets]
    times = sorted({t for one in counts for t in one})
    alone = [[one.get(t, 0.0) for t in times] for one in counts]
    rows = [
        [max(0.0, a - b) for a, b in zip(row, below, strict=True)]
        for row, below in zip(alone, [[0.0] * len(times), *alone], strict=False)
    ]
    used = [place for place, row in enumerate(rows) if max(row, default=0) > 0]
    low, high = max(0, min(used, default=0) - 1), max(used, default=0) + 2
    if times:
        axes.pcolormesh(times, range(len(rows[low:high])), rows[low:high], cmap="turbo", shading="nearest")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    names = [f"≤ {shown(float(one.labels['le']), unit)}" if one.labels["le"] != "+Inf" else "more" for one in buckets]
    axes.set_yticks(range(len(rows[low:high])), names[low:high])
    _dress_times(axes)


def bars(axes: Axes, panel: Json, found: Results) -> None:
    """A bar per series, coloured and named by the panel's own mapping of values."""
    named = _named(found)
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    for row, (_, series) in enumerate(named):
        for (start, value), (until, _) in zip(series.points, series.points[1:], strict=False):
            axes.barh(row, until - start, left=start, height=0.7, color=_state_colour(mapping, value))
    axes.set_yticks([])
    axes.set_ylim(len(named) - 0.4, -0.6)
    for row, (name, series) in enumerate(named):
        state = mapping["options"][str(int(series.points[-1][1]))]["text"]
        axes.text(
            0.01, row, f"{name}: {state}", color="white", fontsize=8, va="center", transform=axes.get_yaxis_transform()
        )
    _dress_times(axes)


def _named(found: Results) -> list[tuple[str, Series]]:
    """Name and series, those without a number left out."""
    named = ((series.named(legend) or legend, series) for legend, all in found for series in all)
    return sorted((one for one in named if any(not math.isnan(v) for _, v in one[1].points)), key=lambda one: one[0])


def _say_nothing(axes: Axes, panel: Json) -> None:
    text = panel["fieldConfig"]["defaults"]["noValue"]
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=14, color="#777", transform=axes.transAxes)


def _plot(axes: Axes, named: Sequence[tuple[str, Series]]) -> None:
    for (name, series), colour in zip(named, PALETTE * len(named), strict=False):
        axes.plot([t for t, _ in series.points], [v for _, v in series.points], label=name, color=colour, lw=1.2)


def _stack(axes: Axes, named: Sequence[tuple[str, Series]]) -> None:
    times = sorted({t for _, series in named for t, _ in series.points})
    values = [[dict(series.points).get(t, 0.0) for t in times] for _, series in named]
    axes.stackplot(times, values, labels=[name for name, _ in named], colors=PALETTE[: len(named)], alpha=0.85)


def _thresholds(axes: Axes, panel: Json) -> None:
    highest = axes.get_ylim()[1]
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is not None and step["value"] <= highest:
            axes.axhline(step["value"], color=COLOURS[step["color"]], ls="--", lw=0.9)


def _dress(axes: Axes, panel: Json) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, unit)))
    axes.grid(color="#e6e7ea", lw=0.6)
    _dress_times(axes)


def _tick(value: float, unit: str) -> str:
    return f"{value * 100:.3g} %" if unit == "percentunit" else shown(value, unit)


def _dress_times(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(_clock))
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=SMALL + 0.5, colors="#444", length=2)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes, count: int) -> None:
    columns = 4 if count > 6 else 3 if count > 4 else 2 if count == 2 else 3
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.04, -LEGEND_BELOW / axes.bbox.height),
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.0,
    )


def _colour(value: float, steps: Sequence[Json]) -> str:
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return COLOURS[reached[-1]]


def _state_colour(mapping: Json, value: float) -> str:
    colour: str = mapping["options"][str(int(value))]["color"]
    return COLOURS.get(colour, colour)


def _clock(t: float, _: object = None) -> str:
    return f"{datetime.fromtimestamp(t, UTC):%H:%M:%S}"
