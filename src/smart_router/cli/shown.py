"""
How commands show what they found, all alike: tables and colours on a terminal, plain columns where the output goes
elsewhere, one JSON document for programs. Bars of progress go to stderr, and only if that is a terminal.

Rich is imported once something is drawn: `--help` does without it.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.progress import Progress, TaskID
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
            narrow = 0 < place < len(self.columns) - 1 or name in self.numbers
            justify: Literal["right", "left"] = "right" if name in self.numbers else "left"
            made.add_column(name, justify=justify, overflow="fold", no_wrap=narrow)
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

    return Text(harmless("" if cell == "" else word(cell)), style=cell.style if isinstance(cell, Styled) else "")


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
        console().print(Tamed(one))


class Tamed:
    """A picture, of which no text steers the terminal, whoever wrote it."""

    def __init__(self, picture: "RenderableType") -> None:
        self._picture = picture

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        for segment in console.render(self._picture, options):
            yield segment if segment.control else segment._replace(text=tamed(segment.text))


def console(*, err: bool = False) -> "Console":
    """Without colours if NO_COLOR is set; marks in texts are not interpreted."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, markup=False, emoji=False)


def as_json(document: object) -> None:
    """One document on one line; times in it are as the router gives them."""
    text = json.dumps(document, ensure_ascii=False)
    typer.echo(_BEYOND_ASCII.sub(lambda one: f"\\u{ord(one[0]):04x}", text))


def harmless(text: str) -> str:
    """What goes to stdout: tamed if that is a terminal, else as it is."""
    return tamed(text) if on_terminal() else text


def tamed(text: str) -> str:
    """Without characters that would move a terminal's cursor, change its colours, or have it do anything else."""
    return _STEERING.sub("", text)


_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # C0 but tab and newline, DEL, C1
_BEYOND_ASCII = re.compile(r"[\x7f-\x9f]")  # of these, what JSON lets stand


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


class Bar:
    """
    Call it with how many of how many are done. The bar is there from the first call until all are done, and only if
    stderr is a terminal; what is printed meanwhile stands above it. For a `with`.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._bars: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    @property
    def visible(self) -> bool:
        return sys.stderr.isatty()

    def __call__(self, done: int, of: int) -> None:
        if not self.visible:
            return
        if self._bars is None or self._task is None:
            self._bars = _bars()
            self._task = self._bars.add_task(self._what, total=of)
            self._bars.start()
        self._bars.update(self._task, completed=done, total=of)
        if done >= of:
            self._bars.stop()
            self._bars = None


def _bars() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console(err=True), transient=True, redirect_stdout=on_terminal())
