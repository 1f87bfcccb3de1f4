"""`smart-router models`: what a router says of its models, for people and programs, and what it is told to do."""

import json
import os
import pty
import signal
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from smart_router.cli import app
from smart_router.cli.models import table
from smart_router.cli.processes import free_port

from .scripted_router import ScriptedRouter

pytestmark = pytest.mark.usefixtures("bare_environment")

KEY = "sk-admin"
NOW = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)


def a_model(id: str, **changed: Any) -> dict[str, Any]:
    return {
        "id": id, "group": "gpu0", "lifecycle": "sleep", "state": "awake", "pinned": False, "preloaded": False,
        "endpoints": ["http://a:8000"], "in_flight": 0, "waiting": 0, "sessions": 0, "last_used": None,
        "awake_since": None, "wakes": 0, "evictions": 0, "last_wake_seconds": None, "trouble": "",
    } | changed  # fmt: skip


MODELS = {
    "models": [
        a_model(
            "org/big", pinned=True, preloaded=True, in_flight=2, sessions=5, wakes=3, evictions=2,
            last_used="2026-01-01T00:00:00.000+00:00", last_wake_seconds=1.2345,
        ),
        a_model("org/small", state="failed", waiting=4, trouble="start it with\n--enable-sleep-mode"),
        a_model("up", group="up", lifecycle="always", sessions=None),
    ],
    "groups": [{"id": "gpu0", "max_resident": 2, "residents": ["org/big"], "room": 1}],
    "concurrent_models": 1,
    "max_concurrent_models": 3,
}  # fmt: skip


@pytest.fixture
def router(router: ScriptedRouter) -> ScriptedRouter:
    router.answers(200, MODELS)
    return router


def run(router: ScriptedRouter, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", "--url", router.url, "--key", KEY, *arguments])


# looked at


def test_away_from_a_terminal_there_is_a_line_per_model_and_a_word_per_cell(router: ScriptedRouter) -> None:
    found = run(router)
    head, *rows = found.stdout.splitlines()
    assert found.exit_code == 0
    cells = [dict(zip(head.split(), row.split(maxsplit=len(head.split()) - 1), strict=True)) for row in rows]
    assert cells[0] == {
        "MODEL": "org/big", "GROUP": "gpu0", "LIFECYCLE": "sleep", "STATE": "awake", "KEPT": "pinned,preloaded",
        "IN_FLIGHT": "2", "WAITING": "0", "SESSIONS": "5", "LAST_USED": "2026-01-01T00:00:00.000+00:00",
        "AWAKE_SINCE": "-", "WAKES": "3", "EVICTIONS": "2", "LAST_WAKE_S": "1.23", "TROUBLE": "-",
    }  # fmt: skip
    assert (cells[1]["STATE"], cells[1]["TROUBLE"]) == ("failed", "start it with --enable-sleep-mode")
    assert (cells[2]["LIFECYCLE"], cells[2]["SESSIONS"]) == ("always", "-")
    assert router.asked == [("GET", "/models")]
    assert router.keys == {f"Bearer {KEY}"}


def test_as_json_it_is_the_whole_answer(router: ScriptedRouter) -> None:
    assert json.loads(run(router, "--json").stdout) == MODELS


def test_on_a_terminal_it_is_a_table_with_what_is_wrong_and_how_much_room_there_is() -> None:
    drawn = Console(file=StringIO(), width=140, force_terminal=True, color_system=None)
    drawn.print(table(MODELS, NOW))
    assert isinstance(drawn.file, StringIO)
    said = drawn.file.getvalue()
    for told in (
        *("awake, pinned, preloaded", "30 s ago", "1.23 s", "org/small: start it with"),
        *("gpu0: 1 of 2 places taken, by org/big", "in all: 1 of 3 that come and go are awake"),
    ):
        assert told in said


def test_the_command_knows_a_terminal(router: ScriptedRouter) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "smart_router", "models", "--url", router.url]
    done = subprocess.run(command, stdout=follower, stderr=subprocess.PIPE, timeout=60, check=True)
    os.close(follower)
    said = os.read(leader, 100_000).decode()
    os.close(leader)
    assert "places taken" in said
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-01-01T00:00:29.500+00:00", "just now"),
        ("2025-12-31T23:57:30.000+00:00", "3 min ago"),
        ("2025-12-31T19:00:00.000+00:00", "5 h ago"),
        ("2025-12-01T00:00:30.000+00:00", "31 d ago"),
        ("2026-01-01T01:00:00.000+00:00", "just now"),
    ],
)
def test_on_a_terminal_a_moment_is_told_as_a_distance(moment: str, told: str) -> None:
    drawn = Console(file=StringIO(), width=140)
    drawn.print(table(MODELS | {"models": [a_model("m", last_used=moment)]}, NOW))
    assert isinstance(drawn.file, StringIO)
    assert told in drawn.file.getvalue()


def test_watching_goes_on_until_it_is_interrupted_which_is_no_failure(router: ScriptedRouter) -> None:
    command = [sys.executable, "-m", "smart_router", "models", "--watch", "--url", router.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        heads = 0
        for line in watching.stdout:
            heads += line.startswith("MODEL")
            if heads == 2:
                watching.send_signal(signal.SIGINT)
                break
        _, said = watching.communicate(timeout=30)
    assert (watching.returncode, said) == (0, "")


def test_address_and_key_may_come_from_the_environment(router: ScriptedRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMART_ROUTER_URL", router.url)
    monkeypatch.setenv("API_KEY", "sk-other")
    for arguments in (["models"], ["models", "pin", "m"]):
        CliRunner().invoke(app, arguments)
    assert router.asked == [("GET", "/models"), ("POST", "/models/m/pin")]
    assert router.keys == {"Bearer sk-other"}


# told what to do


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (["load", "org/small"], ("POST", "/models/org/small/load?wait=true")),
        (["load", "--no-wait", "org/small"], ("POST", "/models/org/small/load")),
        (["unload", "org/small"], ("POST", "/models/org/small/unload?wait=true")),
        (["unload", "--no-wait", "org/small"], ("POST", "/models/org/small/unload")),
        (["pin", "org/small"], ("POST", "/models/org/small/pin")),
        (["unpin", "org/small"], ("DELETE", "/models/org/small/pin")),
    ],
    ids=" ".join,
)
def test_an_order_is_passed_on_and_what_became_of_it_is_told(
    router: ScriptedRouter, command: list[str], asked: tuple[str, str]
) -> None:
    state = "sleeping" if "unload" in command else "awake"
    router.answers(200, a_model("org/small", state=state, pinned=True))
    found = run(router, *command)
    assert (found.exit_code, found.stdout) == (0, f"org/small: {state}, pinned\n")
    assert router.asked == [asked]
    assert json.loads(run(router, *command, "--json").stdout)["id"] == "org/small"


def test_address_and_key_may_stand_behind_an_order_too(router: ScriptedRouter) -> None:
    router.answers(200, a_model("m"))
    behind = ["models", "--url", "http://127.0.0.1:1", "pin", "m", "--url", router.url, "--key", "sk-behind"]
    assert CliRunner().invoke(app, behind).exit_code == 0
    assert router.keys == {"Bearer sk-behind"}


def test_an_id_is_one_however_it_is_written(router: ScriptedRouter) -> None:
    router.answers(200, a_model("m"))
    run(router, "pin", "a b?wait=#é")
    assert router.asked == [("POST", "/models/a%20b%3Fwait%3D%23%C3%A9/pin")]


def test_who_waited_in_vain_is_told_and_it_is_a_failure(router: ScriptedRouter) -> None:
    router.answers(202, a_model("m", state="loading"))
    found = run(router, "load", "m")
    assert (found.exit_code, found.stdout) == (1, "m: loading\n")
    assert "still under way" in found.stderr


def test_who_does_not_wait_has_not_failed(router: ScriptedRouter) -> None:
    router.answers(202, a_model("m", state="loading"))
    found = run(router, "load", "m", "--no-wait")
    assert (found.exit_code, found.stdout, found.stderr) == (0, "m: loading\n", "")


# what goes wrong


@pytest.mark.parametrize(
    ("status", "body", "said", "code"),
    [
        (409, {"success": False, "error_message": "m is pinned", "error_code": "model_kept"}, "409: m is pinned", 1),
        (403, {"success": False, "error_message": "routes only", "error_code": "forbidden"}, "403: routes only", 1),
        (500, ["odd"], "is that a smart-router's address?", 3),
        (200, b"<html>", "answered without JSON", 3),
        (200, {"object": "list", "data": []}, "is that a smart-router?", 3),
    ],
)
@pytest.mark.parametrize("command", [[], ["load", "m"], ["unload", "m"], ["pin", "m"], ["unpin", "m"]])
def test_a_refusal_is_one_line(
    router: ScriptedRouter, command: list[str], status: int, body: Any, said: str, code: int
) -> None:
    router.answers(status, body)
    found = run(router, *command)
    assert (found.exit_code, found.stdout) == (code, "")
    assert found.stderr.startswith("smart-router: ")
    assert said in found.stderr


@pytest.mark.parametrize("command", [[], ["load", "m"]])
def test_where_there_is_no_router_it_says_how_to_start_one(command: list[str]) -> None:
    found = CliRunner().invoke(app, ["models", "--url", f"http://127.0.0.1:{free_port()}", *command])
    assert found.exit_code == 3
    assert "start one with `smart-router serve`" in found.stderr


@pytest.mark.parametrize("command", [["load"], ["frobnicate"], ["--frequently"], ["load", "m", "n"]])
def test_a_wrong_command_line_is_another_exit_code(router: ScriptedRouter, command: list[str]) -> None:
    assert run(router, *command).exit_code == 2
    assert router.asked == []
