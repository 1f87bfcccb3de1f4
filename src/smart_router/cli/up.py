"""`smart-router up`: a router, and the model servers of its registry that belong on this machine."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smart_router.cli.failing import FAILED, INTERRUPTED, fail, plain_errors
from smart_router.cli.serve import ready_app, server_options, tell_where

if TYPE_CHECKING:
    from uvicorn import Server

    from smart_router.lifecycle.roster import Roster
    from smart_router.lifecycle.supervisor import Supervisor
    from smart_router.settings import Settings


def up(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Default: ROUTER_PORT or PORT, then 8001.", min=1, max=65535)] = None,
    registry: Annotated[Path | None, typer.Option(help="Default: MODEL_REGISTRY, then the shipped one.")] = None,
) -> None:
    """
    Start a registry's vLLM servers here, and the router.

    Servers that do not belong here are left alone. Ctrl+C stops all that was started.

    Example: smart-router up --registry config/model_registry.yaml
    """
    import uvicorn

    from smart_router.settings import load_settings

    with plain_errors():
        settings = load_settings()
        if registry is not None:
            settings = settings.model_copy(update={"model_registry": registry})
        app, port = ready_app(settings, host, port)
        roster = _roster(settings)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background jobs ignore
    config = uvicorn.Config(app, **server_options(settings, host, port))
    server, supervisor = uvicorn.Server(config), _supervisor(roster, settings)
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            trouble = runner.run(_run(server, supervisor, roster))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None
    if trouble:
        fail(trouble, FAILED)


def _roster(settings: "Settings") -> "Roster":
    """
    Raises:
        ConfigurationError
    """
    from smart_router.lifecycle.roster import roster_of
    from smart_router.reloading import read_registry

    roster = roster_of(read_registry(settings), settings)
    for line in (*roster.left, *roster.failed.values()):
        _tell(line)
    return roster


def _supervisor(roster: "Roster", settings: "Settings") -> "Supervisor":
    from smart_router.lifecycle import KINDS
    from smart_router.lifecycle.supervisor import Supervisor

    sleep = KINDS["sleep"](settings) if any(entry.crowded for entry in roster.entries) else None
    return Supervisor(roster.entries, settings, _tell, sleep)


async def _run(server: "Server", supervisor: "Supervisor", roster: "Roster") -> str:
    """What is wrong at the end, if anything is."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)  # until the server has its own
    try:
        await supervisor.bring_up()
        if not roster.left and len(supervisor.down) == len({entry.model.id for entry in roster.entries}):
            return "no model server could be started: there is nothing to route to"
        tell_where(server.config.host, server.config.port)
        await server.serve()
        down = (*roster.failed, *supervisor.down)
    finally:
        if supervisor.runs:
            _tell("stopping the model servers")
        await _to_the_end(supervisor.close())
    if not server.started:
        return "the router could not be started"
    return f"model servers that could not be started or kept running: {', '.join(down)}" if down else ""


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Ctrl+C, which has brought us here, may cancel once more."""
    task = asyncio.create_task(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)


def _tell(what: str) -> None:
    typer.echo(f"smart-router: {what}", err=True)
