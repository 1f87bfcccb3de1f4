"""Every query of every dashboard, put to a real Prometheus that scrapes a router under load."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from grafana.asking import Json, Prometheus, Series, Window, all_chosen, each_chosen, filled, panels

from .live import Live, everything
from .workload import early, habit, one_round, swaps

WITHIN_S = 60.0
RATE_S = 10
# What the workload does not cause, or this version does not do yet: zero is right.
CALM = {
    *("Limits", "Failed swaps", "Shadow disagreement", "Replicas down", "Ejected"),
    *("Degraded", "Fallbacks to the default use case: degraded"),
}


@dataclass(frozen=True)
class Asked:
    board: str
    panel: str
    legend: str
    expr: str

    def __str__(self) -> str:
        return f"{self.board}, {self.panel}: {self.expr}"

    @property
    def calm(self) -> bool:
        return self.panel in CALM or f"{self.panel}: {self.legend}" in CALM


def queries(boards: dict[str, Json]) -> Iterator[Asked]:
    for name, board in boards.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Asked(name, panel["title"], target["legendFormat"], target["expr"])


@pytest.mark.timeout(120)
def test_every_query_is_answered_with_data(
    boards: dict[str, Json], tmp_path: Path, redis_url: str, prometheus_program: str
) -> None:
    with everything(tmp_path, redis_url, prometheus_program) as live:
        habit(live.swapping)
        started = time.time()
        while True:
            one_round(live.router, live.models)
            swaps(live.swapping)
            early(live.swapping)
            missing = unanswered(boards, live, started)
            if not missing or time.time() > started + WITHIN_S:
                break
        assert missing == []
        check_all_chosen(boards, live.prometheus, window(started))


def unanswered(boards: dict[str, Json], live: Live, started: float) -> list[str]:
    """The queries without data, when every value of every variable is ticked."""
    now = window(started)
    chosen = {name: each_chosen(board, live.prometheus, now) for name, board in boards.items()}
    return [
        str(asked)
        for asked in queries(boards)
        if not tells(live.prometheus.series(filled(asked.expr, chosen[asked.board], now), now), asked.calm)
    ]


def check_all_chosen(boards: dict[str, Json], prometheus: Prometheus, now: Window) -> None:
    """All, which stands for more than all that is known, finds data too."""
    for asked in queries(boards):
        expr = filled(asked.expr, all_chosen(boards[asked.board]), now)
        assert tells(prometheus.series(expr, now), asked.calm), expr


def tells(found: list[Series], calm: bool) -> bool:
    """There is a number; and, unless all is *calm*, one above zero."""
    numbers = [value for series in found for _, value in series.points if not math.isnan(value)]
    return bool(numbers) and (calm or max(numbers) > 0)


def window(started: float) -> Window:
    return Window(started, time.time(), step=1, rate_s=RATE_S)
