"""A dashboard drawn by matplotlib, where there is no Grafana: every panel at its place."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grafana.asking import Json, Prometheus, Series, Window, all_chosen, filled, panels
from grafana.drawing import bars, big_number, heat, is_stacked, lines

WIDTH, UNIT, MARGIN = 1280, 40, 12  # pixels: of the picture, of a unit of Grafana's grid, around the whole
HEAD = 70
COLUMNS = 24
LEGEND = 16  # pixels of a line of it
DPI = 100
Results = list[tuple[str, list[Series]]]  # legend, what its query gave
KINDS: dict[str, Callable[[Axes, Json, Results], None]] = {
    "stat": big_number,
    "timeseries": lines,
    "heatmap": heat,
    "state-timeline": bars,
}


def draw(board: Json, prometheus: Prometheus, window: Window, caption: str, out: Path) -> None:
    mpl.use("Agg")
    height = HEAD + MARGIN + UNIT * max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"])
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="#f4f5f7")
    figure.text(MARGIN / WIDTH, 1 - 26 / height, board["title"], fontsize=15, weight="bold")
    figure.text(MARGIN / WIDTH, 1 - 50 / height, caption, fontsize=9.5, color="#444")
    for row in (panel for panel in board["panels"] if panel["type"] == "row"):
        top = HEAD + UNIT * row["gridPos"]["y"]
        figure.text(MARGIN / WIDTH, 1 - (top + 27) / height, row["title"], fontsize=11, weight="bold")
    for panel in panels(board):
        found = [(t["legendFormat"], _asked(prometheus, t, board, window)) for t in panel["targets"]]
        KINDS[panel["type"]](_place(figure, panel, height), panel, found)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=DPI)


def _asked(prometheus: Prometheus, target: Json, board: Json, window: Window) -> list[Series]:
    return prometheus.series(filled(target["expr"], all_chosen(board), window), window)


def _place(figure: Figure, panel: Json, height: int) -> Axes:
    """A white card with the panel's title; axes within, which leave room below for a legend."""
    place, column = panel["gridPos"], (WIDTH - 2 * MARGIN) / COLUMNS
    left, top = MARGIN + column * place["x"], HEAD + UNIT * place["y"]
    wide, high = column * place["w"] - 8, UNIT * place["h"] - 8
    card = figure.add_axes((left / WIDTH, 1 - (top + high) / height, wide / WIDTH, high / height))
    card.set(xticks=[], yticks=[], facecolor="white")
    card.spines[:].set_color("#d8dade")
    card.text(8 / wide, 1 - 8 / high, panel["title"], fontsize=9.5, weight="bold", va="top", transform=card.transAxes)
    legend = LEGEND * (3 if is_stacked(panel) else 1) if panel["type"] == "timeseries" else 0
    inset_left, inset_bottom = (24, 10) if panel["type"] == "stat" else (62, 28 + legend)
    inside = (inset_left / wide, inset_bottom / high, 1 - (inset_left + 14) / wide, 1 - (inset_bottom + 34) / high)
    return card.inset_axes(inside)
