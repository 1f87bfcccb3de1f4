"""
The help in docs/command-line.md. `python -m tests.cli.help_in_docs` writes what the commands say today into it.

Behind each `<!-- help: smart-router … -->` stands a block with that command's help; what is around them is written by
hand. A command that the document does not have yet gets a section at its end.
"""

import re
from pathlib import Path

from .tree import Command, commands, help_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "command-line.md"
MARK = "<!-- help: {} -->"
_BLOCK = re.compile(r"^<!-- help: (.+?) -->\n```text\n.*?^```$", re.MULTILINE | re.DOTALL)


def block(command: Command) -> str:
    return f"{MARK.format(command.name)}\n```text\n{help_of(command).rstrip()}\n```"


def with_help(document: str) -> str:
    """The document as it should be: today's help, of commands that there are."""
    known = {command.name: command for command in commands()}

    def fresh(found: re.Match[str]) -> str:
        return block(known[found[1]]) if found[1] in known else ""

    written = _BLOCK.sub(fresh, document)
    missing = [command for name, command in known.items() if MARK.format(name) not in written]
    sections = (f"\n{'#' * (1 + len(command.path))} {command.name}\n\n{block(command)}\n" for command in missing)
    return written + "".join(sections)


if __name__ == "__main__":
    DOCUMENT.write_text(with_help(DOCUMENT.read_text("utf-8")), "utf-8")
