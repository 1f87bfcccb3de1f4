"""
Is a confidence of 0.8 right four times out of five? Expected calibration error with bins of equal width (Guo et al.
2017, "On Calibration of Modern Neural Networks"), and the reliability diagram as a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smart_router.errors import ConfigurationError
from smart_router.evaluate.queries import Judged

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Queries of similar confidence: how many, how sure, how often right (0..1)."""

    count: int
    confidence: float
    accuracy: float


def reliability(judged: Sequence[Judged]) -> list[Bin]:
    """The bins that hold anything, the least confident first."""
    bins: list[list[Judged]] = [[] for _ in range(BINS)]
    for one in judged:
        bins[min(BINS - 1, int(one.confidence * BINS))].append(one)
    return [
        Bin(len(some), sum(one.confidence for one in some) / len(some), sum(one.right for one in some) / len(some))
        for some in bins
        if some
    ]


def calibration_error(judged: Sequence[Judged]) -> float:
    """Expected calibration error, 0 (confidence is probability) to 1; 0 of nothing."""
    return sum(one.count * abs(one.confidence - one.accuracy) for one in reliability(judged)) / max(1, len(judged))


def plot(judged: Sequence[Judged], path: Path) -> None:
    """
    Write the reliability diagram as PNG.

    Raises:
        ConfigurationError: matplotlib is not installed, or *path* cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError("the plot needs matplotlib: pip install 'smart-router[eval]'") from None
    bins = reliability(judged)
    figure = Figure(figsize=(5, 5), dpi=120, layout="tight")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="confidence is probability")
    axes.plot([one.confidence for one in bins], [one.accuracy for one in bins], marker="o", label="observed")
    for one in bins:
        axes.annotate(str(one.count), (one.confidence, one.accuracy), textcoords="offset points", xytext=(4, -12))
    axes.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"expected calibration error {calibration_error(judged):.3f}, {len(judged)} queries")
    axes.legend(loc="upper left")
    try:
        figure.savefig(path, format="png")
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be written: {exc}") from None
