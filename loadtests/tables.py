"""The figures of a run as tables, for a terminal and for Markdown."""

from collections.abc import Iterator, Mapping, Sequence

from loadtests.gates import Verdict, all_passed
from loadtests.tally import Counts, Tally, percent

HEADINGS = (
    "kind", "requests", "errors", "p50 ms", "p95 ms", "p99 ms", "first token p50", "p95", "routing p50", "p95",
    "follow-ups", "bypassed", "right use case",
)  # fmt: skip
GATE_HEADINGS = ("gate", "limit", "measured", "")
MOST_ERRORS = 10

Row = Sequence[str]


def kinds_rows(tally: Tally) -> list[Row]:
    """One of each kind of user, and of all."""
    return [_row(kind, counts) for kind, counts in sorted(tally.kinds.items())] + [_row("all", tally.all())]


def gates_rows(verdicts: Sequence[Verdict]) -> list[Row]:
    return [(each.gate, each.limit, each.value, "PASS" if each.passed else "FAIL") for each in verdicts]


def summary(tally: Tally, verdicts: list[Verdict]) -> str:
    """What a terminal shows at the end of a run."""
    lines = [*_aligned([HEADINGS, *kinds_rows(tally)]), "", *_aligned([GATE_HEADINGS, *gates_rows(verdicts)])]
    lines += _errors(tally.errors)
    return "\n".join([*lines, "", "PASS" if all_passed(verdicts) else "FAIL"])


def markdown(headings: Row, rows: Sequence[Row]) -> str:
    """Figures to the right."""
    marks = ("---", *("--:" for _ in headings[1:]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, marks, *rows))


def _row(kind: str, counts: Counts) -> Row:
    return (
        kind,
        f"{counts.requests}",
        f"{counts.errors}",
        *(_number(counts.latency_ms.percentile(p)) for p in (50, 95, 99)),
        *(_number(counts.first_token_ms.percentile(p)) for p in (50, 95)),
        *(_number(counts.routing_ms.percentile(p)) for p in (50, 95)),
        f"{counts.follow_ups}" if counts.judged else "-",
        _percent(counts.bypassed, counts.follow_ups),
        _percent(counts.judged - counts.wrong, counts.judged),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _percent(part: int, whole: int) -> str:
    share = percent(part, whole)
    return "-" if share is None else f"{share:.1f} %"


def _errors(errors: Mapping[str, int]) -> Iterator[str]:
    ranked = sorted(errors.items(), key=lambda item: -item[1])
    if ranked:
        yield "\nerrors:"
    yield from (f"  {times} x {what}" for what, times in ranked[:MOST_ERRORS])


def _aligned(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip()
