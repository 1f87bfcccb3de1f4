"""The page that runs are kept on."""

import argparse
import json
from pathlib import Path

from loadtests.asking import Decided
from loadtests.options import add_run_options, as_arguments
from loadtests.results import figures
from loadtests.tables import summary
from loadtests.tally import Sample, Tally

from loadtests import report

TURN = Sample("realtime", 120, about="agent", follow_up=True, decided=Decided("agent", True, 1.0))


def a_run(folder: Path, name: str, shape: str = "steady") -> None:
    tally = Tally(slice_s=1)
    tally.add(TURN, at_s=0, users=3)
    tally.add(TURN, at_s=2, users=4)
    gates = [{"gate": "errors", "limit": "≤ 1 %", "value": "0 %", "passed": True}]
    about = {"model servers": "simulated", "command": "python -m loadtests"}
    run = figures(tally) | {"gates": gates, "shape": shape, "users": 4, "about": about}
    (folder / f"{name}.json").write_text(json.dumps(run))


def test_the_page_has_a_part_with_a_picture_for_every_run(tmp_path: Path) -> None:
    a_run(tmp_path, "another")
    a_run(tmp_path, "steady")
    report.write(tmp_path, tmp_path / "docs" / "load.md")
    page = (tmp_path / "docs" / "load.md").read_text()
    assert page.index("## Steady") < page.index("## Another")
    assert "| realtime | 2 | 0 | 120 | 120 | 120 |" in page
    assert "| model servers | simulated |" in page
    for name in ("steady", "another"):
        assert f"(images/load-{name}.png)" in page
        assert (tmp_path / "docs" / "images" / f"load-{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_kept_page_is_what_the_kept_runs_say(tmp_path: Path) -> None:
    report.write(report.RUNS, tmp_path / "load.md")
    assert (tmp_path / "load.md").read_text() == report.PAGE.read_text()


def test_stretches_without_a_request_are_gaps() -> None:
    tally = Tally(slice_s=1)
    tally.add(TURN, at_s=2, users=4)
    points = figures(tally)["points"]
    assert [point["p50_ms"] for point in points] == [None, None, 120.0]
    assert [point["users"] for point in points] == [0, 0, 4]


def test_options_survive_the_way_to_locust() -> None:
    parser = argparse.ArgumentParser()
    add_run_options(parser)
    given = parser.parse_args(["--shape", "bursts", "--use-cases", "agent,tts", "--max-wrong", "5", "--idle-s", "3"])
    assert parser.parse_args(list(as_arguments(given))) == given


def test_the_summary_names_the_errors() -> None:
    tally = Tally(slice_s=1)
    tally.add(Sample("batch", error="status 503"), at_s=0, users=1)
    assert "1 x batch: status 503" in summary(tally, [])
