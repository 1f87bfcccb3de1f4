"""How help is laid out: examples stand on lines of their own, unbroken, so that they can be copied."""

import inspect

import typer

EXAMPLE = "Example: "
_UNBROKEN = "\b"  # in front of a paragraph, for the formatter


def lay_out(app: typer.Typer) -> None:
    """The help of all commands of *app*, and of its groups. Call it once all of them are there."""
    own = app.registered_callback or app.info
    own.help = laid_out(own.help if isinstance(own.help, str) else inspect.getdoc(own.callback) or "")
    for command in app.registered_commands:
        command.help = laid_out(command.help or inspect.getdoc(command.callback) or "")
    for group in app.registered_groups:
        assert group.typer_instance is not None
        lay_out(group.typer_instance)


def laid_out(help: str) -> str:
    """Lines that begin with `Example: ` become a paragraph at the end."""
    lines = inspect.cleandoc(help).splitlines()
    told = "\n".join(line for line in lines if not line.startswith(EXAMPLE)).strip()
    examples = [line for line in lines if line.startswith(EXAMPLE)]
    return "\n\n".join([told, *(["\n".join([_UNBROKEN, *examples])] if examples else [])])
