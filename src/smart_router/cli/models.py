"""`smart-router models …`: how models stand, and to load them, put them to sleep and keep them; a client over HTTP."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import quote

import typer

from smart_router.cli.calling import DEFAULT_URL, TIMEOUT_S, Answer, call
from smart_router.cli.failing import fail

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(invoke_without_command=True)

Url = Annotated[str, typer.Option(help="The router's address.", envvar="SMART_ROUTER_URL")]
Key = Annotated[str | None, typer.Option(help="A key of it with the scope admin.", envvar="API_KEY")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")]
# May stand before a command, or behind it.
UrlOfOrder = Annotated[str | None, typer.Option("--url", help="The router's address; default: SMART_ROUTER_URL.")]
KeyOfOrder = Annotated[str | None, typer.Option("--key", help="A key of it with the scope admin; default: API_KEY.")]
Id = Annotated[str, typer.Argument(help="The model's id, as `smart-router models` shows it.")]
Wait = Annotated[
    bool, typer.Option(help="Wait until it is done or has failed, which the router's MODEL_LOAD_TIMEOUT bounds.")
]

EVERY_S = 2.0
LONGEST_WAIT_S = 3900.0  # a little more than a router may wait
COLOURS = {
    "awake": "green",
    "sleeping": "dim",
    "waking": "cyan",
    "loading": "cyan",
    "draining": "yellow",
    "failed": "bold red",
    "unknown": "yellow",
}

UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


class Router(NamedTuple):
    url: str
    key: str | None

    def models(self) -> dict[str, Any]:
        """How all of them stand."""
        return self._ask("GET", "/models", ("models", "groups")).body

    def order(self, method: str, path: str, timeout_s: float = TIMEOUT_S) -> Answer:
        """How the model stands that it is about."""
        return self._ask(method, path, ("id", "state"), timeout_s)

    def _ask(self, method: str, path: str, tells: Sequence[str], timeout_s: float = TIMEOUT_S) -> Answer:
        answer = call(self.url, method, path, self.key, timeout_s=timeout_s)
        if not all(name in answer.body for name in tells):
            fail(f"{self.url} did not answer {path} with {' and '.join(tells)}: is that a smart-router?")
        return answer


@app.callback()
def models(
    context: typer.Context,
    url: Url = DEFAULT_URL,
    key: Key = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl+C.")] = False,
) -> None:
    """
    Show how every model stands; load models, put them to sleep, pin them.

    A table on a terminal; elsewhere a line per model, its trouble last, with - where there is nothing to tell.
    Example: smart-router models --watch
    """
    context.obj = router = Router(url, key)
    if context.invoked_subcommand is not None:
        return
    with suppress(KeyboardInterrupt):
        _show(_looks(router, watch), watch, as_json)


@app.command()
def load(
    context: typer.Context,
    id: Id,
    url: UrlOfOrder = None,
    key: KeyOfOrder = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """
    Wake a model, evicting another if need be. Exit code 1: it is not awake.

    Example: smart-router models load Qwen/Qwen2.5-7B-Instruct
    """
    _ordered(_of(context, url, key), "load", id, wait, as_json)


@app.command()
def unload(
    context: typer.Context,
    id: Id,
    url: UrlOfOrder = None,
    key: KeyOfOrder = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """
    Put a model to sleep, if it has no requests; the next one wakes it again. Exit code 1: it is not asleep.

    Example: smart-router models unload Qwen/Qwen2.5-7B-Instruct
    """
    _ordered(_of(context, url, key), "unload", id, wait, as_json)


@app.command()
def pin(
    context: typer.Context, id: Id, url: UrlOfOrder = None, key: KeyOfOrder = None, as_json: AsJson = False
) -> None:
    """
    Wake a model, and have it never evicted.

    Example: smart-router models pin Qwen/Qwen2.5-7B-Instruct
    """
    _tell(_of(context, url, key).order("POST", _path(id, "pin")).body, as_json)


@app.command()
def unpin(
    context: typer.Context, id: Id, url: UrlOfOrder = None, key: KeyOfOrder = None, as_json: AsJson = False
) -> None:
    """
    Have a model evicted like others again.

    Example: smart-router models unpin Qwen/Qwen2.5-7B-Instruct
    """
    _tell(_of(context, url, key).order("DELETE", _path(id, "pin")).body, as_json)


# orders


def _of(context: typer.Context, url: str | None, key: str | None) -> Router:
    """What stands behind the command, else what stood before it."""
    before: Router = context.obj
    return Router(before.url if url is None else url, before.key if key is None else key)


def _path(id: str, order: str) -> str:
    return f"/models/{quote(id)}/{order}"


def _ordered(router: Router, order: str, id: str, wait: bool, as_json: bool) -> None:
    answer = router.order("POST", _path(id, order) + ("?wait=true" if wait else ""), LONGEST_WAIT_S)
    _tell(answer.body, as_json)
    if wait and answer.status != 200:
        fail(
            f"{id}: not done long after the router's MODEL_LOAD_TIMEOUT, and still under way; see `smart-router models`"
        )


def _tell(model: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(model, ensure_ascii=False) if as_json else f"{model['id']}: {_state(model)}")


def _state(model: dict[str, Any]) -> str:
    """loading, pinned"""
    return ", ".join([model["state"], *(kept for kept in ("pinned", "preloaded") if model[kept])])


# looking


def _looks(router: Router, again: bool) -> Iterator[dict[str, Any]]:
    yield router.models()
    while again:
        time.sleep(EVERY_S)
        yield router.models()


def _show(looks: Iterator[dict[str, Any]], again: bool, as_json: bool) -> None:
    if as_json:
        for found in looks:
            typer.echo(json.dumps(found, ensure_ascii=False))
    elif sys.stdout.isatty():
        _draw(looks, again)
    else:
        for place, found in enumerate(looks):
            typer.echo("\n" * (place > 0) + "\n".join(lines(found)))


def _draw(looks: Iterator[dict[str, Any]], again: bool) -> None:
    """Where it is done *again*, in place of the last."""
    from rich import print as printed
    from rich.live import Live

    drawn = (table(found, datetime.now(UTC)) for found in looks)
    if not again:
        printed(next(drawn))
        return
    with Live(auto_refresh=False) as live:
        for one in drawn:
            live.update(one, refresh=True)


def lines(found: dict[str, Any]) -> list[str]:
    """One per model below the names of the columns; no cell but the last has spaces."""
    head = [
        *("MODEL", "GROUP", "LIFECYCLE", "STATE", "KEPT", "IN_FLIGHT", "WAITING", "SESSIONS", "LAST_USED"),
        *("AWAKE_SINCE", "WAKES", "EVICTIONS", "LAST_WAKE_S", "TROUBLE"),
    ]
    rows = [head, *([_word(cell) for cell in _cells(model)] for model in found["models"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    return ["  ".join([*(c.ljust(w) for c, w in zip(row[:-1], widths, strict=True)), row[-1]]) for row in rows]


def _cells(model: dict[str, Any]) -> Sequence[object]:
    kept = ",".join(kept for kept in ("pinned", "preloaded") if model[kept])
    return (
        *(model["id"], model["group"], model["lifecycle"], model["state"], kept, model["in_flight"]),
        *(model["waiting"], model["sessions"], model["last_used"], model["awake_since"], model["wakes"]),
        *(model["evictions"], model["last_wake_seconds"], " ".join(model["trouble"].split())),
    )


def _word(cell: object) -> str:
    return "-" if cell is None or cell == "" else f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def table(found: dict[str, Any], now: datetime) -> "RenderableType":
    """For a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("Model", overflow="fold")
    for name in ("Group", "State"):
        made.add_column(name)
    for name in ("In flight", "Waiting", "Sessions", "Last used", "Last wake", "Wakes"):
        made.add_column(name, justify="right")
    for model in found["models"]:
        numbers = (model["in_flight"], model["waiting"], model["sessions"])
        made.add_row(
            Text(model["id"]),
            Text(model["group"]),
            Text(_state(model), style=COLOURS.get(model["state"], "")),
            *(_word(number) for number in numbers),
            _ago(model["last_used"], now),
            "-" if model["last_wake_seconds"] is None else f"{model['last_wake_seconds']:.3g} s",
            str(model["wakes"]),
        )
    troubles = [
        Text(f"{model['id']}: {model['trouble']}", style="red") for model in found["models"] if model["trouble"]
    ]
    return Group(made, *troubles, *(Text(line, style="dim") for line in _rooms(found)))


def _rooms(found: dict[str, Any]) -> Iterator[str]:
    for group in found["groups"]:
        taken = ", ".join(group["residents"]) or "nobody"
        yield f"{group['id']}: {len(group['residents'])} of {group['max_resident']} places taken, by {taken}"
    if found["groups"]:
        yield f"in all: {found['concurrent_models']} of {found['max_concurrent_models']} that come and go are awake"


def _ago(moment: str | None, now: datetime) -> str:
    if moment is None:
        return "-"
    seconds = max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())
    return next((f"{seconds / length:.0f} {unit} ago" for unit, length in UNITS if seconds >= 2 * length), "just now")
