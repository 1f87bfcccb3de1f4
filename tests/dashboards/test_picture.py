"""A dashboard as a picture."""

import subprocess
import sys
from pathlib import Path

import pytest
from grafana.asking import Json, Prometheus, Series, Window
from grafana.drawing import shown
from grafana.picture import WIDTH, draw
from matplotlib.image import imread

from smart_router.cli.processes import free_port

WINDOW = Window(start=0, end=60, step=10, rate_s=20)
SCRIPT = Path(__file__).parents[2] / "scripts" / "render_overview.py"


class Scripted(Prometheus):
    """Answers every query with these *values* of two series."""

    def __init__(self, *values: float) -> None:
        self.asked: list[str] = []
        self.values_told = values

    def series(self, expr: str, window: Window) -> list[Series]:
        self.asked.append(expr)
        points = [(window.start + place * window.step, value) for place, value in enumerate(self.values_told)]
        return [Series({"le": le, "model": f"m{le}"}, points) for le in ("0.1", "+Inf")] if points else []


@pytest.mark.parametrize("name", ["models", "overview", "quality", "reliability"])
def test_every_dashboard_can_be_drawn(name: str, boards: dict[str, Json], tmp_path: Path) -> None:
    prometheus = Scripted(0.0, 1.0, 1.0)
    draw(boards[name], prometheus, WINDOW, "simulated", tmp_path / "made" / "it.png")
    assert imread(tmp_path / "made" / "it.png").shape[1] == WIDTH
    assert "$" not in " ".join(prometheus.asked)


@pytest.mark.parametrize("values", [(float("nan"),), (0.0,), ()])
def test_one_with_nothing_to_show_can_be_drawn(
    values: tuple[float, ...], boards: dict[str, Json], tmp_path: Path
) -> None:
    draw(boards["overview"], Scripted(*values), WINDOW, "simulated", tmp_path / "it.png")
    assert (tmp_path / "it.png").exists()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0004, "s", "400 µs"),
        (0.02, "s", "20 ms"),
        (3, "s", "3 s"),
        (0.5, "percentunit", "50.0 %"),
        (2, "ops", "2 /s"),
    ],
)
def test_numbers_are_shown_in_their_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_without_a_prometheus_the_script_says_what_to_do(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, str(SCRIPT), "--prometheus", url, "--out", str(tmp_path / "it.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert done.stderr.startswith("no Prometheus answers at")
    assert not (tmp_path / "it.png").exists()
