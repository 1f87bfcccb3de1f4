"""What the commands say of themselves: an example each, that can be typed; and `--help` comes without heavy imports."""

import shlex
import subprocess
import sys

import pytest

from smart_router import __version__
from smart_router.cli.layout import EXAMPLE, laid_out

from .help_in_docs import DOCUMENT, MARK, with_help
from .tree import Command, commands, help_of, parsed

COMMANDS = commands()
SLOW = ("rich", "httpx2", "pydantic", "numpy", "yaml", "fastapi", "uvicorn", "textual", "smart_router.client")


def examples(command: Command) -> list[str]:
    lines = (line.strip() for line in help_of(command).splitlines())
    return [line.removeprefix(EXAMPLE) for line in lines if line.startswith(EXAMPLE)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_an_example_that_can_be_typed_and_calls_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SMART_ROUTER_URL", "API_KEY", "API_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)
    found = examples(command)
    assert found, f"{command.name} needs a line that begins with {EXAMPLE!r}"
    for example in found:
        called = parsed(shlex.split(example))
        assert called.path[: len(command.path)] == command.path
        assert called.path == command.path or command.subcommands


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_option_says_what_it_is_for(command: Command) -> None:
    assert [param.name for param in command.command.params if not param.help] == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.subcommands], ids=lambda command: command.name)
def test_no_summary_of_a_command_is_cut_off(command: Command) -> None:
    _, _, summaries = help_of(command).partition("Commands:")
    assert [line for line in summaries.splitlines() if line.endswith("...")] == []


def test_an_example_stays_on_its_line_however_long_it_is() -> None:
    long = EXAMPLE + "smart-router route " + "word " * 40 + "end"
    assert laid_out(f"Do it.\n{long}\nThis way.") == f"Do it.\nThis way.\n\n\b\n{long}"


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom smart_router.cli import app\n"
        "assert 'Commands:' in CliRunner().invoke(app, ['--help']).stdout\n"
        f"print([name for name in {SLOW!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_can_be_asked_for() -> None:
    command = [sys.executable, "-m", "smart_router", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"smart-router {__version__}\n"


def test_the_document_has_the_help_of_today() -> None:
    """Else: `python -m tests.cli.help_in_docs`."""
    assert DOCUMENT.read_text("utf-8") == with_help(DOCUMENT.read_text("utf-8"))


def test_the_document_says_nothing_of_commands_that_are_gone_and_gets_those_that_are_new() -> None:
    written = with_help("# Commands\n\n<!-- help: smart-router gone -->\n```text\nUsage: gone\n```\n")
    assert "gone" not in written
    assert all(MARK.format(command.name) in written for command in COMMANDS)
    assert with_help(written) == written
