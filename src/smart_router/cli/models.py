"""`smart-router models …`: how models stand, and to load them, put them to sleep and keep them; a client over HTTP."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import quote

import typer

from smart_router.cli import completing, shown
from smart_router.cli.calling import DEFAULT_URL, TIMEOUT_S, call, understanding
from smart_router.cli.failing import fail
from smart_router.cli.moments import ago
from smart_router.cli.options import AdminKey, AsJson, Url
from smart_router.cli.shown import Sheet

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(invoke_without_command=True)

# May stand before a command, or behind it.
UrlOfOrder = Annotated[str | None, typer.Option("--url", help="The router's address; default: SMART_ROUTER_URL.")]
KeyOfOrder = Annotated[str | None, typer.Option("--key", help="A key of it with the scope admin; default: API_KEY.")]
Id = Annotated[
    str,
    typer.Argument(help="The model's id, as `smart-router models` shows it.", autocompletion=completing.models),
]
Wait = Annotated[
    bool, typer.Option(help="Wait until it is done or has failed, which the router's MODEL_LOAD_TIMEOUT bounds.")
]

EVERY_S = 2.0
DONE = {"load": "awake", "unload": "sleeping"}  # how a model stands then
LONGEST_WAIT_S = 3900.0  # a little more than a router may wait


class Router(NamedTuple):
    url: str
    key: str | None

    def models(self) -> dict[str, Any]:
        """How all of them stand."""
        return call(self.url, "GET", "/models", self.key, tells=("models", "groups"))

    def order(self, method: str, path: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """How the model stands that it is about."""
        return call(self.url, method, path, self.key, tells=("id", "state"), timeout_s=timeout_s)


@app.callback()
def models(
    context: typer.Context,
    url: Url = DEFAULT_URL,
    key: AdminKey = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl+C.")] = False,
) -> None:
    """
    Show how every model stands; load, unload and pin models.

    A table on a terminal; elsewhere a line per model, its trouble last, with - where there is nothing to tell.

    Example: smart-router models --watch
    """
    context.obj = router = Router(url, key)
    if context.invoked_subcommand is not None:
        return
    with suppress(KeyboardInterrupt), understanding(router.url):
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
    Wake a model, evicting another if need be.

    Exit code 1: it is not awake.

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
    Put a model to sleep, if it has no requests.

    The next one wakes it again. Exit code 1: it is not asleep.

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
    router = _of(context, url, key)
    _tell(router, router.order("POST", _path(id, "pin")), as_json)


@app.command()
def unpin(
    context: typer.Context, id: Id, url: UrlOfOrder = None, key: KeyOfOrder = None, as_json: AsJson = False
) -> None:
    """
    Have a model evicted like others again.

    Example: smart-router models unpin Qwen/Qwen2.5-7B-Instruct
    """
    router = _of(context, url, key)
    _tell(router, router.order("DELETE", _path(id, "pin")), as_json)


# orders


def _of(context: typer.Context, url: str | None, key: str | None) -> Router:
    """What stands behind the command, else what stood before it."""
    before: Router = context.obj
    return Router(before.url if url is None else url, before.key if key is None else key)


def _path(id: str, order: str) -> str:
    return f"/models/{quote(id)}/{order}"


def _ordered(router: Router, order: str, id: str, wait: bool, as_json: bool) -> None:
    model = router.order("POST", _path(id, order) + ("?wait=true" if wait else ""), LONGEST_WAIT_S)
    _tell(router, model, as_json)
    if wait and model["state"] != DONE[order]:
        fail(
            f"{id}: not done long after the router's MODEL_LOAD_TIMEOUT, and still under way; see `smart-router models`"
        )


def _tell(router: Router, model: dict[str, Any], as_json: bool) -> None:
    if as_json:
        shown.as_json(model)
        return
    with understanding(router.url):
        typer.echo(shown.harmless(f"{model['id']}: {_state(model)}"))


def _state(model: dict[str, Any]) -> shown.Styled:
    """loading, pinned"""
    return shown.state(model["state"], [kept for kept in ("pinned", "preloaded") if model[kept]])


# looking


def _looks(router: Router, again: bool) -> Iterator[dict[str, Any]]:
    yield router.models()
    while again:
        time.sleep(EVERY_S)
        yield router.models()


def _show(looks: Iterator[dict[str, Any]], again: bool, as_json: bool) -> None:
    if as_json:
        for found in looks:
            shown.as_json(found)
    elif shown.on_terminal():
        _draw(looks, again and shown.can_be_drawn_over())
    else:
        for place, found in enumerate(looks):
            typer.echo("\n" * (place > 0) + "\n".join(lines(found)))


def _draw(looks: Iterator[dict[str, Any]], over: bool) -> None:
    """One after the other, or each *over* the last."""
    from rich.live import Live

    drawn = (table(found, datetime.now(UTC)) for found in looks)
    if not over:
        shown.draw(*drawn)
        return
    with Live(console=shown.console(), auto_refresh=False) as live:
        for one in drawn:
            live.update(shown.Tamed(one), refresh=True)


def lines(found: dict[str, Any]) -> list[str]:
    """One per model below the names of the columns; no cell but the last has spaces."""
    head = (
        *("Model", "Group", "Lifecycle", "State", "Kept", "In flight", "Waiting", "Sessions", "Last used"),
        *("Awake since", "Wakes", "Evictions", "Last wake s", "Trouble"),
    )
    return Sheet(head, [_cells(model) for model in found["models"]]).plain()


def _cells(model: dict[str, Any]) -> Sequence[object]:
    kept = ",".join(kept for kept in ("pinned", "preloaded") if model[kept])
    return (
        *(model["id"], model["group"], model["lifecycle"], model["state"], kept, model["in_flight"]),
        *(model["waiting"], model["sessions"], model["last_used"], model["awake_since"], model["wakes"]),
        *(model["evictions"], model["last_wake_seconds"], " ".join(model["trouble"].split())),
    )


def table(found: dict[str, Any], now: datetime) -> "RenderableType":
    """For a terminal."""
    from rich.console import Group
    from rich.text import Text

    numbers = ("In flight", "Waiting", "Sessions", "Last used", "Last wake", "Wakes")
    rows = [
        (
            *(model["id"], model["group"], _state(model), model["in_flight"], model["waiting"], model["sessions"]),
            ago(model["last_used"], now),
            None if model["last_wake_seconds"] is None else f"{model['last_wake_seconds']:.3g} s",
            model["wakes"],
        )
        for model in found["models"]
    ]
    troubles = [
        Text(f"{model['id']}: {model['trouble']}", style="red") for model in found["models"] if model["trouble"]
    ]
    made = Sheet(("Model", "Group", "State", *numbers), rows, numbers).drawn()
    return Group(made, *troubles, *(Text(line, style="dim") for line in _rooms(found)))


def _rooms(found: dict[str, Any]) -> Iterator[str]:
    for group in found["groups"]:
        taken = ", ".join(group["residents"]) or "nobody"
        yield f"{group['id']}: {len(group['residents'])} of {group['max_resident']} places taken, by {taken}"
    if found["groups"]:
        yield f"in all: {found['concurrent_models']} of {found['max_concurrent_models']} that come and go are awake"
