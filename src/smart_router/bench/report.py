"""What was measured: one document, lines, or tables for a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from smart_router import __version__
from smart_router.bench import gpu
from smart_router.bench.gpu import Gpu
from smart_router.bench.plan import Plan
from smart_router.bench.statistics import FEW, HOW, Summary, errors, sameness, summaries, throughput
from smart_router.bench.turn import GROUPS, Turn

if TYPE_CHECKING:
    from rich.console import RenderableType

NAMES = {
    "time_to_first_token": "time to first token",
    "end_to_end": "end to end",
    "tokens_per_second": "tokens per second",
    "routing": "deciding",
}
HEAD = ("turns", "measure", "count", "mean", "median", "p95", "least", "most")


@dataclass
class Measured:
    """All of it, or as much as there was when it was interrupted."""

    url: str
    plan: Plan
    began: str = ""  # ISO 8601
    turns: list[Turn] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)  # to one query, with one seed
    trouble: str = ""  # why there are not as many as planned
    gpus: Sequence[Gpu] = ()
    interrupted: bool = False

    @property
    def models(self) -> list[str]:
        return sorted({turn.model for turn in self.turns if turn.model})


def document(measured: Measured) -> dict[str, Any]:
    """`--json`. Seconds, and tokens a second."""
    turns, same = measured.turns, sameness(measured.answers)
    rate = throughput(turns)
    return {
        "url": measured.url,
        "version": __version__,
        "began": measured.began,
        "interrupted": measured.interrupted,
        "plan": asdict(measured.plan) | {"queries": len(measured.plan.queries)},
        "percentile": HOW,
        "models": measured.models,
        "groups": {
            group: {name: asdict(one) for name, one in told.items()} for group, told in summaries(turns).items()
        },
        "errors": {kind: {"count": count, "example": said} for kind, (count, said) in errors(turns).items()},
        "throughput": asdict(rate) if rate else None,
        "same": None if same is None else {"alike": same.alike, "counts": list(same.counts)},
        "same_trouble": measured.trouble,
        "gpus": [asdict(one) for one in measured.gpus],
        "turns": [asdict(turn) for turn in turns],
    }


def rows(measured: Measured) -> Iterator[tuple[str, ...]]:
    """The cells of a table below HEAD."""
    for group, told in summaries(measured.turns).items():
        for place, (name, one) in enumerate(told.items()):
            yield (GROUPS[group] if not place else "", NAMES[name], str(one.count), *_cells(name, one))


def _cells(name: str, one: Summary) -> list[str]:
    return [_shown(name, value) for value in (one.mean, one.median, one.p95, one.least, one.most)]


def _shown(name: str, value: float) -> str:
    if name == "tokens_per_second":
        return f"{value:.1f}"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms" if value < 0.1 else f"{value * 1e3:.0f} ms"


def remarks(measured: Measured) -> Iterator[str]:
    """What stands below the table."""
    if rate := throughput(measured.turns):
        yield f"together {rate.turns_per_second:.2f} turns and {rate.tokens_per_second:.1f} tokens a second"
    if measured.models:
        yield f"answered by {', '.join(measured.models)}"
    for kind, (count, said) in errors(measured.turns).items():
        yield f"failed: {count} x {kind} ({said})"
    yield from _about_sameness(measured)
    yield from _about_gpus(measured)
    yield _about_p95(measured)


def _about_sameness(measured: Measured) -> Iterator[str]:
    same, plan = sameness(measured.answers), measured.plan
    if measured.trouble:
        yield f"same answer with the same seed: not found out, {measured.trouble}"
    elif same is not None:
        how = "alike" if same.alike else f"{len(same.counts)} different ones, {', '.join(map(str, same.counts))} times"
        yield f"same answer with the same seed ({plan.seed}): of {len(measured.answers)}, {how}"


def _about_gpus(measured: Measured) -> Iterator[str]:
    if not measured.gpus:
        yield f"GPU memory: {gpu.NOT_HERE}"
    for one in measured.gpus:
        held = f"{one.before} MiB before, at most {one.most} of {one.total}"
        yield f"GPU {one.index} of this machine ({one.name}): {held}"


def _about_p95(measured: Measured) -> str:
    fewest = min((told["end_to_end"].count for told in summaries(measured.turns).values()), default=0)
    return f"{HOW}; with fewer than {FEW} values, that is the largest" if fewest < FEW else HOW


def plain(measured: Measured) -> str:
    """Columns of text."""
    cells = [HEAD, *rows(measured)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    aligned = (
        "  ".join(
            cell.ljust(w) if at < 2 else cell.rjust(w) for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    table = "\n".join(line.rstrip() for line in aligned)
    return "\n".join([*([table, ""] if len(cells) > 1 else ["nothing was measured", ""]), *remarks(measured)])


def drawn(measured: Measured) -> "RenderableType":
    """For a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(HEAD):
        table.add_column(name, justify="left" if at < 2 else "right", style="bold" if name == "median" else "")
    for row in rows(measured):
        if row[0] and table.row_count:
            table.add_section()
        table.add_row(*(Text(cell) for cell in row))
    told = [Text(line, style="red" if line.startswith("failed") else "dim") for line in remarks(measured)]
    return Group(*([table] if table.row_count else [Text("nothing was measured", style="red")]), *told)
