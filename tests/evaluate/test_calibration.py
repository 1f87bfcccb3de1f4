"""Calibration, by hand on few queries, and its picture."""

import sys
from pathlib import Path

import pytest

from smart_router.errors import ConfigurationError
from smart_router.evaluate.calibration import BINS, Bin, calibration_error, plot, reliability

from .scripted import a_judged

RIGHT, WRONG = "agent", "stt"
PNG = b"\x89PNG\r\n\x1a\n"


def test_bins_hold_what_is_of_similar_confidence_the_least_confident_first() -> None:
    judged = [a_judged(chosen=chosen, confidence=sure) for chosen, sure in ((RIGHT, 0.75), (RIGHT, 0.5), (WRONG, 0.5))]
    assert reliability(judged) == [Bin(2, 0.5, 0.5), Bin(1, 0.75, 1.0)]


def test_a_bin_begins_with_its_lower_bound_and_the_last_one_holds_certainty() -> None:
    confidences = (0.0, 0.5, 0.59, 1.0, 1.0 + 1e-9)
    assert [one.count for one in reliability([a_judged(confidence=one) for one in confidences])] == [1, 2, 2]


def test_who_is_as_right_as_confident_has_no_error() -> None:
    judged = [a_judged(chosen=chosen, confidence=0.75) for chosen in (RIGHT, RIGHT, RIGHT, WRONG)]
    assert calibration_error(judged) == pytest.approx(0.0)


def test_the_error_is_the_distance_in_each_bin_weighted_by_its_queries() -> None:
    judged = [
        *(a_judged(chosen=chosen, confidence=0.9) for chosen in (RIGHT, WRONG)),  # 0.9 sure, 0.5 right: 0.4 off
        *(a_judged(chosen=chosen, confidence=0.25) for chosen in (RIGHT, RIGHT)),  # 0.25 sure, 1.0 right: 0.75 off
        a_judged(chosen=WRONG, confidence=0.55),  # 0.55 off
    ]
    assert calibration_error(judged) == pytest.approx((2 * 0.4 + 2 * 0.75 + 0.55) / 5)


def test_who_is_always_sure_and_always_wrong_is_as_wrong_as_can_be() -> None:
    assert calibration_error([a_judged(chosen=WRONG, confidence=1.0)] * BINS) == 1.0


def test_nothing_has_no_error_and_no_bins() -> None:
    assert (calibration_error([]), reliability([])) == (0.0, [])


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_picture_is_a_png(tmp_path: Path, count: int) -> None:
    plot([a_judged(confidence=i / 7) for i in range(count)], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(PNG)


def test_the_picture_is_a_png_whatever_it_is_called(tmp_path: Path) -> None:
    plot([a_judged()], tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_bytes().startswith(PNG)


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no/plot\.png: cannot be written"):
        plot([a_judged()], tmp_path / "no" / "plot.png")


def test_without_matplotlib_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigurationError, match=r"the plot needs matplotlib: pip install 'smart-router\[eval\]'"):
        plot([a_judged()], tmp_path / "plot.png")
    assert not (tmp_path / "plot.png").exists()
