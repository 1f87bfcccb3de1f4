"""How a command ends when something is wrong: one clear message on stderr, and an exit code that means something."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from smart_router.cli.shown import tamed
from smart_router.errors import ArtifactUnusable, ConfigurationError

FAILED = 1  # it was tried and did not work, was refused, or differs
CONFIGURATION = 2  # the command line, the environment or a file is wrong; also what typer itself says so
NO_ROUTER = 3  # nobody at the address, or somebody who is not a smart-router
INTERRUPTED = 130  # by Ctrl+C, as shells say it; typer's own


@contextmanager
def plain_errors() -> Iterator[None]:
    """Configuration errors become their message and exit code 2."""
    try:
        yield
    except (ConfigurationError, ArtifactUnusable) as exc:
        fail(str(exc), CONFIGURATION)


def fail(message: str, code: int = FAILED) -> NoReturn:
    warn(message)
    raise typer.Exit(code)


def warn(message: str) -> None:
    """On stderr, for people; a router may have written of it what it likes."""
    typer.echo(tamed(f"smart-router: {message}"), err=True)
