"""
How commands show what they found, all alike: tables and colours on a terminal, plain columns where the output goes
elsewhere, one JSON document for programs. Bars of progress go to stderr, and only if that is a terminal.

Rich is imported once something is drawn: `--help` does without it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

NOTHING_TO_TELL = "-"
BLOCKS = " ▁▂▃▄▅▆▇█"
BAR_WIDTH = 40

STATE_COLOURS = {
    "healthy": "green",
    "awake": "green",
    "connected": "green",
    "embedded": "green",
    "hybrid": "green",
    "asleep": "dim",
    "sleeping": "dim",
    "waking": "cyan",
    "loading": "cyan",
    "draining": "yellow",
    "degraded": "yellow",
    "lexical": "yellow",
    "unknown": "yellow",
    "unhealthy": "bold red",
    "failed": "bold red",
}

Progress = Callable[[int, int], None]  # how many of how many are done


class Styled(NamedTuple):
    """A cell with a colour, where there are any."""

    text: str
    style: str

    def __str__(self) -> str:
        return self.text


def state(name: str, more: Sequence[str] = ()) -> Styled:
    """How something stands, in its colour: `awake, pinned`."""
    return Styled(", ".join((name, *more)), STATE_COLOURS.get(name, ""))


@dataclass(frozen=True)
class Sheet:
    """Rows below *columns*. Those of *numbers* stand to the right. In plain, only the last may have spaces."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    numbers: Sequence[str] = ()

    def plain(self) -> list[str]:
        """A line per row, below the names of the columns."""
        head = ["_".join(name.upper().split()) for name in self.columns]
        lines = [head, *([word(cell) for cell in row] for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
        return ["  ".join([*(c.ljust(w) for c, w in zip(line[:-1], widths, strict=True)), line[-1]]) for line in lines]

    def drawn(self) -> "Table":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        made = Table(box=SIMPLE_HEAD, pad_edge=False)
        for place, name in enumerate(self.columns):
            made.add_column(
                name, justify="right" if name in self.numbers else "left", overflow="fold", no_wrap=place > 0
            )
        for row in self.rows:
            made.add_row(*map(_text, row))
        return made


def word(cell: object) -> str:
    """A cell in plain."""
    if cell is None or str(cell) == "":
        return NOTHING_TO_TELL
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _text(cell: object) -> "Text":
    from rich.text import Text

    return Text(harmless(word(cell)), style=cell.style if isinstance(cell, Styled) else "")


def on_terminal() -> bool:
    """Whether a person sees what goes to stdout."""
    return sys.stdout.isatty()


def coloured() -> bool:
    """Whether what is written with typer may have colours; rich knows by itself."""
    return on_terminal() and not os.environ.get("NO_COLOR")


def can_be_drawn_over() -> bool:
    """Whether the terminal can show one picture in place of another."""
    return on_terminal() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def show(sheet: Sheet, plain: Sheet | None = None) -> None:
    """On a terminal *sheet*; elsewhere *plain*, which may say more, or the same."""
    if on_terminal():
        draw(sheet.drawn())
    else:
        typer.echo("\n".join((plain or sheet).plain()))


def draw(*what: "RenderableType") -> None:
    for one in what:
        console().print(one)


def console(*, err: bool = False) -> "Console":
    """Without colours if NO_COLOR is set; marks in texts are not interpreted."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, markup=False, emoji=False)


def as_json(document: object) -> None:
    """One document on one line; times in it are as the router gives them."""
    typer.echo(json.dumps(document, ensure_ascii=False))


def harmless(text: str) -> str:
    """For a terminal: without characters that would move its cursor or change its colours."""
    if not on_terminal():
        return text
    return "".join(one for one in text if one in "\n\t" or not (one < " " or "\x7f" <= one <= "\x9f"))


def bar(share: float) -> str:
    """*share* of a whole, 0 to 1."""
    return "█" * round(min(1.0, max(0.0, share)) * BAR_WIDTH)


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last *width* values between zero and the largest; blank where there is none."""
    last = values[-width:] if width > 0 else []
    most = max((value for value in last if value is not None), default=0.0)
    steps = len(BLOCKS) - 2
    return "".join(
        BLOCKS[0] if value is None else BLOCKS[1 + (round(value / most * steps) if most > 0 else 0)] for value in last
    ).rjust(width)


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """A bar that says *what* is done, while the block runs; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Bars(*columns, console=console(err=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, of: bars.update(task, completed=done, total=of)
