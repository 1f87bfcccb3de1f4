"""
Waking early, simulated: sessions that are heard, thought about and answered aloud, with PREDICTIVE_WAKE and without.
By the router's own planner and its own counts of what sessions go on to. Writes the table of docs/model-lifecycle.md.

    python -m benchmarks.lifecycle_foresight
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.lifecycle.policies import without_sessions
from benchmarks.lifecycle.report import written
from benchmarks.lifecycle_foresight.runs import CASES, Row, measured

DOCUMENT = Path(__file__).parents[2] / "docs" / "model-lifecycle.md"
BEGIN = "<!-- made by python -m benchmarks.lifecycle_foresight -->"


def table() -> Iterator[str]:
    yield (
        "| sessions | mean wait | p95 | waited | given up | wakes an hour | of them early | in vain "
        "| if any idle model made room: mean wait | given up |"
    )
    yield "|---|" + "--:|" * 9
    for case in CASES:
        off, on = (measured(case, foresees=foresees) for foresees in (False, True))
        bold = measured(case, without_sessions, foresees=True)
        yield (
            f"| {case.title} | {off.mean_s:.2f} → {on.mean_s:.2f} s, {_less(on, off)} "
            f"| {off.p95_s:.1f} → {on.p95_s:.1f} s "
            f"| {off.waited:.0f} → {on.waited:.0f} % | {off.given_up:.1f} → {on.given_up:.1f} % "
            f"| {off.wakes_per_hour:.0f} → {on.wakes_per_hour:.0f} | {on.early_per_hour:.0f} | {on.in_vain:.0f} % "
            f"| {bold.mean_s:.2f} s | {bold.given_up:.1f} % |"
        )


def _less(on: Row, off: Row) -> str:
    pairs = list(zip(on.by_seed, off.by_seed, strict=True))
    return f"less in {sum(mine < theirs for mine, theirs in pairs)} of {len(pairs)}"


def main() -> None:
    DOCUMENT.write_text(written(DOCUMENT.read_text(), list(table()), BEGIN))


if __name__ == "__main__":
    main()
