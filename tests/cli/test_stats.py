"""`smart-router stats`: what a router has counted, once and live, also while it goes away and comes back."""

import json
import re
import signal
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from smart_router.cli import app
from smart_router.cli.gauges import picture
from smart_router.cli.watching import Watched
from tests.e2e.routers import Router

from .scripted_router import ScriptedRouter, a_scripted_router
from .terminal import a_terminal

pytestmark = [pytest.mark.usefixtures("bare_environment"), pytest.mark.timeout(120)]

KEY = "sk-any"
HEALTH = {
    "status": "healthy", "bypass_router": "connected", "classifier": {"kind": "hybrid", "trouble": ""},
    "model_endpoints": {
        "gpu0": {"status": "degraded", "replicas": [
            {"model": "org/a", "status": "healthy"}, {"model": "org/a", "status": "unhealthy"},
        ]},
        "b": {"status": "unhealthy", "replicas": [{"model": "b", "status": "unhealthy"}]},
    },
}  # fmt: skip


def counted(requests: int) -> dict[str, Any]:
    return {
        "scope": "cluster", "since": "2026-01-01T00:00:00+00:00", "total_requests": requests,
        "bypass_requests": requests // 2, "full_routing_requests": requests - requests // 2, "failed_requests": 0,
        "session_creations": 1, "context_changes": 0, "bypass_rate_percent": 50.0, "average_routing_time": 0.01,
        "average_bypass_time": 0.001, "average_inference_time": 0.5, "average_total_time": 0.6,
        "use_cases": {"agent": {"requests": requests, "errors": 0, "average_inference_time": 0.5}},
        "models": {"org/a": {"requests": requests, "errors": 0, "average_inference_time": 0.5}},
    }  # fmt: skip


@pytest.fixture
def router(router: ScriptedRouter) -> ScriptedRouter:
    serve_stats(router, counted(10))
    return router


def serve_stats(router: ScriptedRouter, *stats: dict[str, Any]) -> None:
    router.answers_in_turn("GET", "/stats", *stats)
    router.answers(200, HEALTH, "GET", "/health")


def run(router: ScriptedRouter, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["stats", "--url", router.url, "--key", KEY, *arguments])


# once


def test_when_piped_every_number_has_its_line(router: ScriptedRouter) -> None:
    found = run(router)
    assert (found.exit_code, found.stderr) == (0, "")
    lines = dict(line.split(" ", 1) for line in found.stdout.splitlines())
    assert (lines["total_requests"], lines["use_cases.agent.requests"], lines["models.org/a.errors"]) == (
        "10",
        "10",
        "0",
    )
    assert router.keys == {f"Bearer {KEY}"}


def test_as_json_it_is_the_whole_answer(router: ScriptedRouter) -> None:
    assert json.loads(run(router, "--json").stdout) == counted(10)


def test_a_real_router_is_understood(real_router: Router) -> None:
    real_router.answer("Write a haiku about rain", max_tokens=3)
    found = CliRunner().invoke(app, ["stats", "--url", real_router.url])
    lines = dict(line.split(" ", 1) for line in found.stdout.splitlines())
    assert int(lines["use_cases.agent.requests"]) >= 1


def test_at_a_terminal_it_is_tables_with_how_models_stand(real_router: Router) -> None:
    with a_terminal("stats", "--url", real_router.url) as terminal:
        for text in ("Requests", "Bypassed", "Use case", "State", "Qwen/Qwen2.5-VL-7B-Instruct"):
            terminal.shows(text)
        assert terminal.ended() == 0


def test_an_answer_without_numbers_is_no_router(router: ScriptedRouter) -> None:
    router.answers(200, {"status": "fine"}, "GET", "/stats")
    found = run(router)
    assert (found.exit_code, found.stdout) == (3, "")
    assert "is that a smart-router?" in found.stderr


# again and again


def test_when_piped_each_look_is_a_line_and_a_router_that_goes_away_is_waited_for(router: ScriptedRouter) -> None:
    serve_stats(router, counted(10), counted(30), counted(30))
    command = [sys.executable, "-m", "smart_router", "stats", "--watch", "--every", "0.2", "--url", router.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        assert re.match(r"\d{4}-\d\d-\d\dT\S+ requests=30 per_s=", first)
        assert "bypassed_percent=50.0" in first
        assert "health=healthy" in first
        assert "per_s=0.00" in second
        router.answers(200, b"<html>", "GET", "/stats")
        assert "away: " in process.stderr.readline()
        serve_stats(router, counted(50))
        assert "it is back" in process.stderr.readline()
        while "requests=50" not in process.stdout.readline():
            pass  # lines from before
        serve_stats(router, counted(2))
        assert "counting began anew" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said) == (0, "")


def test_each_look_may_be_a_document(router: ScriptedRouter) -> None:
    command = [
        sys.executable,
        "-m",
        "smart_router",
        "stats",
        "--watch",
        "--json",
        "--every",
        "0.2",
        "--url",
        router.url,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline()) for _ in range(2)] == [counted(10)] * 2
        process.terminate()
        assert process.wait(30) == 143


def test_where_there_is_no_router_to_begin_with_it_ends(router: ScriptedRouter) -> None:
    router.answers(200, b"<html>", "GET", "/stats")
    assert run(router, "--watch").exit_code == 3


def test_at_a_terminal_there_is_a_live_picture_which_q_ends(router: ScriptedRouter) -> None:
    serve_stats(router, counted(10), counted(30), counted(90))
    with a_terminal("stats", "--watch", "--every", "0.3", "--url", router.url) as terminal:
        for text in (router.url, "healthy", "a second", "Use case", "org/a", "1/2 up"):
            terminal.shows(text)
        router.leave()
        terminal.shows("away since")
        with a_scripted_router(router.server_port) as again:
            serve_stats(again, counted(90))
            terminal.shows("it is back")
        terminal.press("q")
        assert terminal.ended() == 0
        assert "Traceback" not in terminal.said


def test_ctrl_c_ends_the_picture_too_and_the_terminal_is_as_before(router: ScriptedRouter) -> None:
    with a_terminal("stats", "--watch", "--url", router.url) as terminal:
        terminal.shows("Use case")
        terminal.interrupt()
        assert terminal.ended() == 0
        assert "\x1b[?1049l" in terminal.said  # the screen from before
        assert "\x1b[?25h" in terminal.said  # the cursor


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (40, 24)])
def test_the_picture_fits(router: ScriptedRouter, width: int, height: int) -> None:
    serve_stats(router, counted(10), counted(30), counted(90))
    watched = Watched(router.url, None)
    for _ in range(3):
        watched.look()
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(picture(watched, width, 2.0))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= height
