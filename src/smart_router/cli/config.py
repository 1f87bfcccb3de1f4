"""`smart-router config …`: would a router start with what is configured here, and where is that from."""

from typing import Annotated

import typer

from smart_router.cli import shown
from smart_router.cli.failing import CONFIGURATION, plain_errors
from smart_router.cli.shown import Sheet, Styled

app = typer.Typer(
    help="Check the configuration, and see where it comes from.\n\nExample: smart-router config check",
    no_args_is_help=True,
)

COLOURS = {"problem": "red", "warning": "yellow"}


@app.command()
def check(
    host: Annotated[str, typer.Option(help="The address that `serve` is to listen on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="How many processes it is to have.", min=1, max=64)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """
    Check settings, registry, examples and keys; start nothing.

    Read are the environment, .env, and the files that they name, as `serve` would in this folder. Exit code 2: with one
    of the problems, it would not start. Warnings leave it at 0.

    Example: smart-router config check --host 0.0.0.0
    """
    from smart_router.cli.config_checks import checked

    found = checked(host, workers)
    if as_json:
        shown.as_json(
            {
                "ok": not found.problems,
                "registry": str(found.registry),
                "problems": [one._asdict() for one in found.problems],
                "warnings": [one._asdict() for one in found.warnings],
            }
        )
    else:
        lines = [*(("problem", one) for one in found.problems), *(("warning", one) for one in found.warnings)]
        for kind, one in lines:
            typer.echo(f"{_coloured(kind)}  {f'{one.place}: ' if one.place else ''}{one.message}")
        typer.echo(f"{found.registry}: {found.summary}")
    if found.problems:
        raise typer.Exit(CONFIGURATION)


@app.command("show")
def show_config(
    as_json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
) -> None:
    """
    Show every setting, its value, and where it comes from.

    The environment comes before .env, which comes before the defaults. Secrets are not shown. Below the settings: the
    variables that the registry names.

    Example: smart-router config show
    """
    from smart_router.cli.config_sources import settings_shown, variables_shown

    with plain_errors():
        settings, variables = settings_shown(), variables_shown()
    if as_json:
        shown.as_json({"settings": [one._asdict() for one in settings], "registry": [v._asdict() for v in variables]})
        return
    rows = [(one.name, _value(one.value), _source(one.source)) for one in (*settings, *variables)]
    plain = [(name, source, value) for name, value, source in rows]
    shown.show(Sheet(("Setting", "Value", "From"), rows), Sheet(("Setting", "From", "Value"), plain))


def _coloured(kind: str) -> str:
    colour = COLOURS[kind] if shown.coloured() else None
    return typer.style(kind, fg=colour)


def _value(value: object) -> object:
    """As one would write it."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else value


def _source(source: str) -> Styled:
    return Styled(source, "dim" if source == "default" else "cyan")
