"""Evaluations as text: for a terminal, and in Markdown for the documentation."""

from collections.abc import Iterator, Sequence

from smart_router.evaluate.run import Evaluation
from smart_router.evaluate.sessions import SessionRow

MISTAKES = 8  # kinds of mistakes that are listed

_SESSION_COLUMNS = (
    "policy", "of", "later turns", "right", "follow-ups dropped", "switches found by words", "with a hint",
    "hint noticed", "flip-flops", "bypassed", "encoder on staying turns", "bypass, µs",
)  # fmt: skip


def plain(evaluations: Sequence[Evaluation]) -> str:
    return "\n".join(line for one in evaluations for line in [f"\n{one.path}", *_plain(one)])


def markdown(evaluations: Sequence[Evaluation]) -> str:
    return "\n".join(line for one in evaluations for line in [f"\n### {one.path.stem}\n", *_markdown(one)])


def _plain(one: Evaluation) -> Iterator[str]:
    part = ""
    for row in one.rows:
        if row.part != part:
            part = row.part
            yield f"  {part}"
        yield f"    {row.value:<28} {row.accuracy:7.1%}   {row.right}/{row.total}"
    if one.judged:
        yield f"  expected calibration error (text only)  {one.calibration_error:.3f}"
        yield "  most frequent mistakes (text only)"
        yield from (f"    {label} taken for {chosen:<12} {count}" for label, chosen, count in _mistakes(one))
    for row in one.peers:
        yield f"  {row.value} ({row.part})  {row.accuracy:.1%}   {row.right}/{row.total}"
    for session in one.session_rows:
        yield f"  {session.policy}, {session.part}"
        cells = zip(_SESSION_COLUMNS[2:], _session(session)[2:], strict=True)
        yield from (f"    {name:<28} {cell}" for name, cell in cells)


def _markdown(one: Evaluation) -> Iterator[str]:
    if one.judged:
        yield from _table(("part", "", "queries", "right"), [
            (row.part, row.value, str(row.total), f"{row.accuracy:.1%}") for row in one.rows
        ])  # fmt: skip
        yield f"\nExpected calibration error, text only: {one.calibration_error:.3f}.\n"
        yield from _confusion_table(one)
    if one.peers:
        yield ""
        yield from _table(("router, same encoder and examples", "text-only queries", "right"), [
            *((row.value, str(row.total), f"{row.accuracy:.1%}") for row in one.peers),
            ("smart-router", str(len(one.text_only)), f"{_share_right(one):.1%}"),
        ])  # fmt: skip
    if one.session_rows:
        yield from _table(_SESSION_COLUMNS, [_session(row) for row in one.session_rows])


def _share_right(one: Evaluation) -> float:
    return sum(judged.right for judged in one.text_only) / max(1, len(one.text_only))


def _confusion_table(one: Evaluation) -> Iterator[str]:
    counts = one.confusions
    labels = sorted({label for label, _ in counts})
    chosen = sorted({choice for _, choice in counts})
    rows = [(label or "nowhere", *(str(counts.get((label, choice), "")) for choice in chosen)) for label in labels]
    yield from _table(("text only: is, taken for", *chosen), rows)


def _mistakes(one: Evaluation) -> list[tuple[str, str, int]]:
    wrong = sorted(((n, pair) for pair, n in one.confusions.items() if pair[0] and pair[0] != pair[1]), reverse=True)
    return [(label, chosen, count) for count, (label, chosen) in wrong[:MISTAKES]]


def _session(row: SessionRow) -> tuple[str, ...]:
    shares = (
        row.right, row.dropped, row.found_by_words, row.found_by_hint, row.noticed_by_hint, row.flip_flops,
        row.bypassed, row.encoded_staying,
    )  # fmt: skip
    cells = ("" if share is None else f"{share:.1%}" for share in shares)
    return row.policy, row.part, str(row.turns), *cells, "" if row.bypass_us is None else f"{row.bypass_us:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
