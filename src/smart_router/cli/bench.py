"""`smart-router bench`: how fast a deployment is, as a client sees it; a client over HTTP."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smart_router.cli import shown
from smart_router.cli.calling import DEFAULT_URL
from smart_router.cli.doctor import checked_address
from smart_router.cli.failing import CONFIGURATION, FAILED, INTERRUPTED, NO_ROUTER, fail

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from smart_router.bench.report import Measured
    from smart_router.bench.turn import Turn


def bench(
    url: Annotated[str, typer.Option(help="The router's address.", envvar="SMART_ROUTER_URL")] = DEFAULT_URL,
    key: Annotated[str | None, typer.Option(help="Its key.", envvar="API_KEY")] = None,
    use_case: Annotated[str | None, typer.Option(help="Of the first turns; default: as they are classified.")] = None,
    query: Annotated[list[str] | None, typer.Option(help="What to ask; may be given several times.")] = None,
    file: Annotated[Path | None, typer.Option(help="Of queries: a line each, text or JSON with `query`.")] = None,
    warmup: Annotated[int, typer.Option(help="Conversations before, which do not count.", min=0, max=1000)] = 2,
    runs: Annotated[int, typer.Option(help="Conversations that count, of two turns each.", min=1, max=100_000)] = 20,
    concurrency: Annotated[int, typer.Option(help="How many at once.", min=1, max=256)] = 1,
    max_tokens: Annotated[int, typer.Option(help="Of an answer.", min=1, max=8192)] = 64,
    seed: Annotated[int, typer.Option(help="Of the answers that are compared.")] = 0,
    same: Annotated[int, typer.Option(help="How many are compared; 0: none.", min=0, max=100)] = 10,
    timeout: Annotated[float, typer.Option(help="Seconds that a turn may take.", min=0.1, max=3600)] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw it: a .png or .svg file; needs the extra `eval`.")] = None,
) -> None:
    """
    Measure how fast a deployment answers.

    Time to first token, end to end, tokens per second; first turns and follow-ups apart; and whether one query with one
    seed is always answered alike. Ctrl+C prints what was measured so far.

    Exit code 0: every turn was answered; 1: some failed; 2: wrong usage; 3: no router at the address; 130: interrupted.

    Example: smart-router bench --runs 50 --concurrency 4 --plot bench.png
    """
    url, key = checked_address(url, key)
    measured = _planned(
        url,
        _queries(query, file),
        plot,
        use_case=use_case,
        warmup=warmup,
        runs=runs,
        concurrency=concurrency,
        max_tokens=max_tokens,
        seed=seed,
        same=same,
        timeout_s=timeout,
    )
    _measure(measured, key)
    _show(measured, as_json, plot)
    if measured.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not measured.turns or any(turn.error for turn in measured.turns):
        raise typer.Exit(FAILED)


def _queries(given: list[str] | None, file: Path | None) -> dict[str, Any]:
    from smart_router.bench.plan import BadFile, read_queries

    if given and file is not None:
        fail("give either --query or --file", CONFIGURATION)
    if any(not query.strip() for query in given or ()):
        fail("--query: is empty; say what to ask", CONFIGURATION)
    try:
        found = read_queries(file) if file is not None else given
    except BadFile as exc:
        fail(f"--file: {exc}", CONFIGURATION)
    return {"queries": tuple(found)} if found else {}


def _planned(url: str, queries: dict[str, Any], plot: Path | None, **numbers: Any) -> "Measured":
    from smart_router.bench.plan import Plan
    from smart_router.bench.plot import CannotPlot, check
    from smart_router.bench.report import Measured

    try:
        if plot is not None:
            check(plot)
    except CannotPlot as exc:
        fail(str(exc), CONFIGURATION)
    return Measured(url, Plan(**queries, **numbers), datetime.now(UTC).isoformat(timespec="seconds"))


def _measure(measured: "Measured", key: str | None) -> None:
    """Fills it, as far as it gets."""
    from smart_router.bench.asking import NoRouter
    from smart_router.bench.gpu import Watch

    watch = Watch()
    try:
        with _Progress() as progress:
            asyncio.run(_run(measured, key, progress))
    except NoRouter as exc:
        fail(str(exc), NO_ROUTER)
    except KeyboardInterrupt:
        measured.interrupted = True
    finally:
        watch.close()
        measured.gpus = tuple(watch.gpus.values())


async def _run(measured: "Measured", key: str | None, progress: "_Progress") -> None:
    from smart_router.bench.asking import Asker, Refused
    from smart_router.bench.running import converse, repeat

    plan = measured.plan
    asker = Asker(measured.url, key, plan)

    def keep(turn: "Turn") -> None:
        measured.turns.append(turn)
        progress.heard(turn)

    def compare(answer: str) -> None:
        measured.answers.append(answer)
        progress.advance()

    try:
        await asker.check()
        progress.begin("warming up", plan.warmup)
        await converse(asker, plan, plan.warmup, progress.heard)
        progress.begin("measuring", plan.runs)
        asker.begin()
        await converse(asker, plan, plan.runs, keep)
        progress.begin("comparing answers", plan.same)
        try:
            await repeat(asker, plan, compare)
        except Refused as exc:
            measured.trouble = str(exc)
    finally:
        await asker.close()


class _Progress:
    """Silent, but on a terminal."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "_Progress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description:<17}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str, total: int) -> None:
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=total)

    def heard(self, turn: "Turn") -> None:
        """A conversation is over with its second turn, or with a first one that failed."""
        if turn.group != "first" or turn.error:
            self.advance()

    def advance(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)


def _show(measured: "Measured", as_json: bool, plot: Path | None) -> None:
    from smart_router.bench import report

    if as_json:
        shown.as_json(report.document(measured))
    elif shown.on_terminal():
        shown.draw(report.drawn(measured))
    else:
        typer.echo(report.plain(measured))
    if plot is not None and measured.turns:
        _draw(measured, plot)


def _draw(measured: "Measured", path: Path) -> None:
    from smart_router.bench.plot import CannotPlot, plot

    try:
        plot(measured, path)
    except CannotPlot as exc:
        fail(str(exc), CONFIGURATION)
    typer.echo(f"smart-router: drawn in {path}", err=True)
