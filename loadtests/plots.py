"""One picture of a run: users and requests, latencies, routing, and bypasses over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Point = Mapping[str, float | None]

PANELS = (
    ("users, requests/s", {"users": "users", "per_second": "requests/s", "errors_per_second": "errors/s"}),
    ("ms", {"p50_ms": "latency p50", "p95_ms": "latency p95", "first_token_p50_ms": "first token p50"}),
    ("ms", {"routing_p95_ms": "routing p95"}),
    ("%", {"bypassed_percent": "follow-ups bypassed", "right_percent": "right use case"}),
)
INCHES = (8.0, 9.0)
DOTS_PER_INCH = 90


def draw(points: Sequence[Point], title: str, path: Path) -> None:
    """Write a PNG; gaps are where nothing was measured."""
    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize="medium")
    panels = figure.subplots(len(PANELS), sharex=True)
    for axes, (unit, lines) in zip(panels, PANELS, strict=True):
        _panel(axes, points, lines, unit)
    panels[-1].set_xlabel("seconds since the start")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})


def _panel(axes: Axes, points: Sequence[Point], lines: Mapping[str, str], unit: str) -> None:
    at_s = [point["at_s"] or 0.0 for point in points]
    for name, label in lines.items():
        values = [point[name] for point in points]
        axes.plot(at_s, [float("nan") if value is None else value for value in values], label=label, marker=".")
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0, top=105 if unit == "%" else None)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize="small")
