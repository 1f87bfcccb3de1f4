"""The commands that begin with a slash: what they are called, what they take, and how a line is read and completed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    name: str
    takes: str  # what may follow, for people
    does: str


COMMANDS = (
    Command("help", "", "what can be typed and pressed"),
    Command("new", "[NAME]", "begin another session"),
    Command("session", "[NAME|ID]", "go to a session, or begin it; alone: go to the list"),
    Command("rename", "NAME", "name this session"),
    Command("end", "", "end this session: the router forgets it"),
    Command("use-case", "[ID|auto]", "send what follows to one use case, or let the router decide again"),
    Command("attach", "[PATH|URL|none]", "attach an image, audio or video file to the next message"),
    Command("why", "", "what the last decision rested on"),
    Command("theme", "[NAME]", "change the colours"),
    Command("clear", "", "clear what is shown of this session; the router keeps it"),
    Command("quit", "", "leave"),
)
BY_NAME = {command.name: command for command in COMMANDS}

Arguments = Callable[[str], Sequence[str]]  # what may stand for an argument that begins so


@dataclass(frozen=True)
class Order:
    """A command as it was typed."""

    name: str
    argument: str


@dataclass(frozen=True)
class Unknown:
    """It begins with a slash and is no command; *meant* may be."""

    name: str
    meant: str | None


def read(line: str) -> Order | Unknown | None:
    """What was typed; None for a message. A second slash (`//etc`) makes a message of what begins with one."""
    if not line.startswith("/") or line.startswith("//"):
        return None
    name, _, argument = line[1:].partition(" ")
    if "\n" in name or "/" in name:  # a path, or text that begins with one
        return None
    if name in BY_NAME:
        return Order(name, argument.strip())
    begins = [command.name for command in COMMANDS if name and command.name.startswith(name)]
    if len(begins) == 1:
        return Order(begins[0], argument.strip())
    return Unknown(name, begins[0] if begins else None)


def message(line: str) -> str:
    """*line* as it is sent."""
    return line[1:] if line.startswith("//") else line


def completions(line: str, arguments: Mapping[str, Arguments]) -> list[str]:
    """Whole lines that *line* may become, in the order of the commands; none for what is no command."""
    if not line.startswith("/") or line.startswith("//") or "\n" in line:
        return []
    name, space, begun = line[1:].partition(" ")
    if not space:
        return [_with_room(command) for command in COMMANDS if command.name.startswith(name)]
    found = arguments[name](begun.lstrip()) if name in arguments else ()
    return [f"/{name} {argument}" for argument in found]


def matching(line: str) -> list[Command]:
    """The commands that *line* may be the beginning of."""
    if not line.startswith("/") or line.startswith("//") or "\n" in line:
        return []
    name, space, _ = line[1:].partition(" ")
    return [command for command in COMMANDS if command.name == name or (not space and command.name.startswith(name))]


def _with_room(command: Command) -> str:
    return f"/{command.name} " if command.takes else f"/{command.name}"
