"""`smart-router dashboards …`: for a Grafana that already runs; one that is provisioned with our files needs none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from smart_router.cli import shown
from smart_router.cli.failing import CONFIGURATION, FAILED, fail
from smart_router.dashboards import exchange
from smart_router.dashboards.files import HERE, default_folder
from smart_router.dashboards.grafana import DEFAULT_URL, Grafana
from smart_router.dashboards.trouble import Trouble

app = typer.Typer(
    help="Bring the dashboards to a running Grafana, and back.\n\nExample: smart-router dashboards diff",
    no_args_is_help=True,
)

Url = Annotated[str, typer.Option("--grafana", help="Grafana's address.", envvar="GRAFANA_URL")]
Token = Annotated[str | None, typer.Option(help="Of a service account, role Editor.", envvar="GRAFANA_TOKEN")]
Folder = Annotated[
    Path | None, typer.Option(help="Of the JSON files; default: ./grafana/dashboards, else the copy in the package.")
]


@app.command()
def push(
    grafana: Url = DEFAULT_URL,
    token: Token = None,
    folder: Folder = None,
    force: Annotated[bool, typer.Option(help="Overwrite what was changed in Grafana by hand.")] = False,
) -> None:
    """
    Store the dashboards in Grafana's folder `smart-router`.

    The message of each version that is stored says that a push made it, with a hash. A dashboard whose latest version
    says something else was changed by hand: then nothing is pushed, unless --force.

    Example: smart-router dashboards push --grafana http://localhost:3000
    """
    with _opened(grafana, token) as there:
        for line in exchange.push(there, folder or default_folder(), force=force):
            typer.echo(line)


@app.command()
def diff(
    grafana: Url = DEFAULT_URL,
    token: Token = None,
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON, by file.")] = False,
) -> None:
    """
    Show what a push would change.

    Exit code 0: nothing, 1: something, 2: it could not be found out.

    Example: smart-router dashboards diff
    """
    with _opened(grafana, token) as there:
        found = exchange.differences(there, folder or default_folder())
    if as_json:
        shown.as_json({str(path): text for path, text in found.items()})
    else:
        typer.echo("\n".join(found.values()), nl=bool(found))
    if found:
        raise typer.Exit(FAILED)


@app.command()
def pull(grafana: Url = DEFAULT_URL, token: Token = None, folder: Folder = None) -> None:
    """
    Write Grafana's versions over the files.

    Example: smart-router dashboards pull --folder grafana/dashboards
    """
    target = folder or default_folder()
    if folder is None and target != HERE:
        fail(f"there is no {HERE} here; say with --folder where to write", CONFIGURATION)
    with _opened(grafana, token) as there:
        for line in exchange.pull(there, target):
            typer.echo(line)


@contextmanager
def _opened(url: str, token: str | None) -> Iterator[Grafana]:
    """A Grafana; what is wrong with it, or with our files, becomes its message."""
    try:
        with Grafana(url, token) as grafana:
            yield grafana
    except Trouble as exc:
        fail(str(exc), CONFIGURATION)
