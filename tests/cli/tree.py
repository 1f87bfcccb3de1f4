"""All commands there are, and what they say of themselves."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import typer

from smart_router.cli import app

PROGRAM = "smart-router"
WIDTH = 80


class Command(NamedTuple):
    path: tuple[str, ...]  # without the program's name
    command: Any  # a click Command, of typer's own copy of click

    @property
    def name(self) -> str:
        return " ".join((PROGRAM, *self.path))

    @property
    def subcommands(self) -> dict[str, Any]:
        return dict(getattr(self.command, "commands", {}))


def commands() -> list[Command]:
    """Groups before what is in them."""
    return list(_below((), _root()))


@cache
def _root() -> Any:
    return typer.main.get_command(app)


def _below(path: tuple[str, ...], command: Any) -> Iterator[Command]:
    found = Command(path, command)
    yield found
    for name, inner in found.subcommands.items():
        yield from _below((*path, name), inner)


def parsed(words: Sequence[str]) -> Command:
    """
    The command that *words*, from the program's name on, call; nothing is run.

    Raises:
        Exception: they call none, or not so.
    """
    assert words[0] == PROGRAM, words
    found, rest = commands()[0], list(words[1:])
    while rest and rest[0] in found.subcommands:
        found = Command((*found.path, rest[0]), found.subcommands[rest.pop(0)])
    found.command.make_context(found.name, rest)
    return found


def help_of(command: Command) -> str:
    """As it is printed at a terminal of 80 columns."""
    parent = _root().make_context(PROGRAM, [], resilient_parsing=True)
    parent.terminal_width, parent.info_name = WIDTH - 2, PROGRAM
    context = parent
    for place in range(len(command.path)):
        inner = Command((), context.command).subcommands[command.path[place]]
        context = inner.make_context(command.path[place], [], parent=context, resilient_parsing=True)
    text: str = context.get_help()
    return text
