"""The options that several commands have, so that they are the same everywhere."""

from typing import Annotated

import typer

from smart_router.cli import completing

Url = Annotated[str, typer.Option(help="The router's address.", envvar="SMART_ROUTER_URL")]
Key = Annotated[str | None, typer.Option(help="Its key.", envvar="API_KEY")]
AdminKey = Annotated[str | None, typer.Option("--key", help="A key of it with the scope admin.", envvar="API_KEY")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")]
SessionId = Annotated[
    str, typer.Argument(help="The session's id, as `sessions list` shows it.", autocompletion=completing.sessions)
]
