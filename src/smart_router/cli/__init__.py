"""The command line. Heavy imports wait inside the commands, so that `--help` is quick."""

import typer

from smart_router.cli import classifier, client, dashboards, demo, evaluate, keys, models, serve, simulate, up

app = typer.Typer(
    name="smart-router",
    help="Session-aware smart routing for LLM serving.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("serve")(serve.serve)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.command("route")(client.route)
app.command("classify")(client.classify)
app.command("eval")(evaluate.evaluate)
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")
app.add_typer(classifier.app, name="classifier")
app.add_typer(dashboards.app, name="dashboards")
