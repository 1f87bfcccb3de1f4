"""What bash offers behind Tab: commands, options, and ids that a router knows."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from smart_router.cli import app
from smart_router.cli.processes import free_port
from tests.e2e.routers import Router

from .scripted_router import ScriptedRouter, a_scripted_router


@pytest.fixture(scope="module")
def knowing() -> Iterator[ScriptedRouter]:
    with a_scripted_router() as router:
        sessions = [{"session_id": id, "use_case": "agent"} for id in ("mine", "mirror", "other")]
        router.answers(200, {"sessions": sessions, "next_cursor": None}, "GET", "/sessions")
        yield router


def asked_for(line: str, url: str) -> dict[str, str]:
    """As bash asks for it: the last word of *line* is the one that is being typed, it may be empty."""
    at = str(len(line.split(" ")) - 1)
    variables = {"_SMART_ROUTER_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": at}
    return variables | {"SMART_ROUTER_URL": url, "TERM": "dumb"}


def offered(line: str, url: str) -> list[str]:
    done = CliRunner().invoke(app, [], env=asked_for(line, url), prog_name="smart-router")
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout.split()


def test_commands_are_offered() -> None:
    assert offered("smart-router ses", "") == ["sessions"]
    assert offered("smart-router sessions ", "") == ["list", "show", "end", "pin", "unpin"]


def test_options_are_offered() -> None:
    assert offered("smart-router stats --w", "") == ["--watch"]


def test_use_cases_and_models_are_offered_as_the_router_knows_them(real_router: Router) -> None:
    assert offered("smart-router route --use-case a", real_router.url) == ["agent", "avatar"]
    assert offered("smart-router models load Qwen/Qwen2.5-V", real_router.url) == ["Qwen/Qwen2.5-VL-7B-Instruct"]


def test_an_address_before_the_command_counts_too(real_router: Router) -> None:
    assert offered(f"smart-router models --url {real_router.url} load Qwen/Qwen2-", "") == ["Qwen/Qwen2-Audio-7B"]


def test_sessions_are_offered(knowing: ScriptedRouter) -> None:
    assert offered("smart-router sessions show mi", knowing.url) == ["mine", "mirror"]
    assert offered(f"smart-router classify --url {knowing.url} --session o", "http://nowhere.invalid") == ["other"]


def test_where_nobody_answers_nothing_is_offered_and_nothing_said(knowing: ScriptedRouter) -> None:
    assert offered("smart-router route --use-case a", f"http://127.0.0.1:{free_port()}") == []
    knowing.answers(200, {"use_cases": [{"name": "odd"}, 3]}, "GET", "/use-cases")
    assert offered("smart-router route --use-case ", knowing.url) == []


def test_in_a_process_of_its_own_it_works_too() -> None:
    code = "from smart_router.cli import app; app(prog_name='smart-router')"
    environment = os.environ | asked_for("smart-router conf", "")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["config"], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_can_be_had(shell: str) -> None:
    environment = {"_SMART_ROUTER_COMPLETE": f"source_{shell}"}
    done = CliRunner().invoke(app, [], env=environment, prog_name="smart-router")
    assert "_SMART_ROUTER_COMPLETE" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


def test_the_options_for_it_are_there() -> None:
    said = CliRunner().invoke(app, ["--help"]).stdout
    assert "--install-completion" in said
    assert "--show-completion" in said
