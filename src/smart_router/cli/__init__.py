"""The command line. Heavy imports wait inside the commands, so that `--help` is quick."""

from typing import Annotated

import typer

from smart_router import __version__
from smart_router.cli import (
    asking,
    bench,
    chat,
    classifier,
    config,
    dashboards,
    demo,
    doctor,
    evaluate,
    keys,
    models,
    serve,
    sessions,
    simulate,
    stats,
    up,
)
from smart_router.cli.layout import lay_out

app = typer.Typer(
    name="smart-router",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("serve")(serve.serve)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.command("route")(asking.route)
app.command("classify")(asking.classify)
app.command("chat")(chat.chat)
app.command("stats")(stats.stats)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.command("eval")(evaluate.evaluate)
app.add_typer(sessions.app, name="sessions")
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")
app.add_typer(classifier.app, name="classifier")
app.add_typer(dashboards.app, name="dashboards")


def _told(version: bool) -> None:
    if version:
        typer.echo(f"smart-router {__version__}")
        raise typer.Exit


@app.callback()
def smart_router(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_told)
    ] = False,
) -> None:
    """
    Session-aware smart routing for LLM serving.

    Exit codes: 0 well; 1 it failed, was refused, or differs; 2 the command line or the configuration is wrong; 3 no
    router at the address; 130 interrupted.

    Example: smart-router demo
    """


lay_out(app)
