"""`smart-router bench`, against a router on simulated model servers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from smart_router.bench import plot, report
from smart_router.bench.plan import Plan
from smart_router.bench.report import Measured
from smart_router.bench.turn import Turn
from smart_router.cli import app
from smart_router.cli.processes import free_port, smart_router
from tests.doctor.proxies import a_proxy
from tests.e2e.models import Models, three_models
from tests.e2e.redis_process import RedisProcess
from tests.e2e.routers import KEY, Router, a_registry, environment, running_router, until

SMALL = ("--runs", "3", "--warmup", "1", "--max-tokens", "8", "--same", "3")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def servers() -> Iterator[Models]:
    with three_models() as found:
        yield found


@pytest.fixture
def models(servers: Models) -> Iterator[Models]:
    servers.reset()
    yield servers
    servers.reset()


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    process = RedisProcess()
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def router(servers: Models, redis: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    registry = a_registry(tmp_path_factory.mktemp("bench"), servers.endpoints)
    with running_router(registry, redis_url=redis.url) as found:
        yield found


def run(url: str, *arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["bench", "--url", url, *SMALL, *arguments], env=environ)


def measured(url: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    result = run(url, "--json", *arguments)
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_first_turns_and_bypassed_follow_ups_are_measured_apart(router: Router, models: Models) -> None:
    found = measured(router.url, "--concurrency", "2")
    assert {group: told["end_to_end"]["count"] for group, told in found["groups"].items()} == {
        "first": 3,
        "bypassed": 3,
    }
    first = found["groups"]["first"]
    assert 0 < first["routing"]["mean"] < first["time_to_first_token"]["mean"] <= first["end_to_end"]["mean"]
    assert found["same"] == {"alike": True, "counts": [3]}
    assert (found["errors"], found["interrupted"]) == ({}, False)
    assert "nearest rank" in found["percentile"]


def test_the_warm_up_is_asked_and_not_counted_and_no_session_stays(
    router: Router, models: Models, redis: RedisProcess
) -> None:
    found = measured(router.url, "--query", "Hello you", "--use-case", "tts")
    asked = [body["messages"][-1]["content"] for body in models.audio.received()]
    assert asked.count("Hello you") == 1 + 3 + 3  # warm-up, runs, compared answers
    assert len(found["turns"]) == 2 * 3
    assert redis.keys("bench-") == set()


def test_queries_come_from_a_file(router: Router, models: Models, tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_text("Write a haiku\nWrite a limerick\n")
    measured(router.url, "--file", str(tmp_path / "queries.txt"), "--same", "0")
    firsts = {body["messages"][0]["content"] for body in models.agent.received()}
    assert firsts == {"Write a haiku", "Write a limerick"}


def test_the_seed_is_passed_on(router: Router, models: Models) -> None:
    measured(router.url, "--seed", "7")
    assert [body["seed"] for body in models.agent.received() if "seed" in body] == [7, 7, 7]


def test_answers_that_differ_are_counted(router: Router, models: Models) -> None:
    numbers = count()

    def another(body: dict[str, Any]) -> dict[str, Any]:
        if "choices" in body:
            body["choices"][0]["message"]["content"] = f"answer {next(numbers) % 2}"
        return body

    with a_proxy(router.url) as proxy:
        proxy.changed = another
        found = measured(proxy.url)
    assert found["same"] == {"alike": False, "counts": [2, 1]}


def test_errors_are_told_by_kind_and_the_exit_code_says_so(router: Router, models: Models) -> None:
    models.agent.fail("error-500")
    found = measured(router.url, code=1)
    assert found["errors"]["502 upstream_broke"]["count"] == 3
    assert "502 upstream_broke" in found["same_trouble"]
    assert found["groups"] == {}


def test_a_stream_that_breaks_off_and_one_that_hangs_are_errors(router: Router, models: Models) -> None:
    models.agent.fail("reset-mid-stream")
    broken = measured(router.url, "--same", "0", code=1)
    models.reset()
    models.agent.fail("stall-mid-stream")
    hanging = measured(router.url, "--same", "0", "--timeout", "0.5", "--runs", "1", "--warmup", "0", code=1)
    assert set(broken["errors"]) == {"upstream_broke"}
    assert set(hanging["errors"]) == {"timeout"}


def test_a_wrong_key_is_an_error_of_every_turn(models: Models, tmp_path: Path) -> None:
    with running_router(a_registry(tmp_path, models.endpoints), api_key=KEY) as keyed:
        refused = measured(keyed.url, "--key", "sk-wrong", code=1)
        well = measured(keyed.url, "--key", KEY)
    assert set(refused["errors"]) == {"401 unauthorized"}
    assert well["errors"] == {}


def test_away_from_a_terminal_it_prints_columns(router: Router, models: Models) -> None:
    done = subprocess.run(
        smart_router("bench", *SMALL), env=environment(SMART_ROUTER_URL=router.url), capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].split() == ["turns", "measure", "count", "mean", "median", "p95", "least", "most"]
    assert lines[1].startswith("first turns          time to first token      3 ")
    assert "same answer with the same seed (0): of 3, alike" in lines
    assert any(line.startswith("GPU") for line in lines)


def test_interrupted_it_prints_what_there_is(router: Router, models: Models) -> None:
    command = smart_router("bench", "--runs", "100000", "--warmup", "0", "--json", "--concurrency", "2")
    told = environment(SMART_ROUTER_URL=router.url)
    with subprocess.Popen(command, env=told, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: len(models.agent.received()) > 10)
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    found = json.loads(said)
    assert (process.returncode, found["interrupted"]) == (130, True)
    assert len(found["turns"]) > 0
    assert found["groups"]["first"]["end_to_end"]["count"] > 0


def test_nobody_at_the_address_and_another_service_are_exit_code_3(router: Router) -> None:
    nobody = run(f"http://127.0.0.1:{free_port()}")
    with a_proxy(router.url) as proxy:
        proxy.answers["/health"] = (200, b"<html>hello</html>")
        other = run(proxy.url)
    assert (nobody.exit_code, other.exit_code) == (3, 3)
    assert "start one with `smart-router serve`" in nobody.stderr
    assert "is no smart-router" in other.stderr


WRONG = {
    "no address": (("--url", "nowhere"), "--url: 'nowhere'"),
    "another form of picture": (("--plot", "bench.gif"), "must end with .png or .svg"),
    "no folder for it": (("--plot", "/no/such/folder/bench.png"), "there is no folder /no/such/folder"),
    "both queries and a file": (("--query", "a", "--file", "b"), "either --query or --file"),
    "an empty query": (("--query", " "), "--query: is empty"),
    "no file": (("--file", "/no/such/file"), "--file: /no/such/file: cannot be read"),
    "too many runs": (("--runs", "1000000"), "--runs"),
}


@pytest.mark.parametrize(("arguments", "says"), WRONG.values(), ids=WRONG)
def test_wrong_usage_is_told_before_anything_is_asked(arguments: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(app, ["bench", *arguments], env={"SMART_ROUTER_URL": "http://127.0.0.1:1"})
    assert result.exit_code == 2
    assert says in result.stderr


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("http://127.0.0.1:1", "--plot", "bench.png")
    assert result.exit_code == 2
    assert "pip install 'smart-router[eval]'" in result.stderr


@pytest.mark.parametrize("name", ["bench.png", "bench.svg"])
def test_it_is_drawn(name: str, router: Router, models: Models, tmp_path: Path) -> None:
    result = run(router.url, "--plot", str(tmp_path / name))
    assert result.exit_code == 0, result.output
    drawn = (tmp_path / name).read_bytes()
    assert drawn.startswith(PNG) or b"<svg" in drawn


def test_failures_alone_can_be_drawn(tmp_path: Path) -> None:
    turns = [Turn("first", 0.0, 1.0, error="timeout", message="late")]
    plot.plot(Measured("http://router", Plan(), "2026-01-01T00:00:00+00:00", turns), tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(PNG)


def test_gpu_memory_is_shown_where_there_are_any(router: Router, models: Models, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "0, NVIDIA L4, 20480, 23034"\n')
    program.chmod(0o755)
    result = run(router.url, environ={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert "GPU 0 of this machine (NVIDIA L4): 20480 MiB before, at most 20480 of 23034" in result.stdout


def test_on_a_terminal_it_is_a_table() -> None:
    turns = [
        Turn("first", 0.0, 2.5, 0.05, 11, 0.004, "agent", "org/model"),
        Turn("bypassed", 2.5, 1.0, 0.04, 11, 0.0004),
    ]
    console = Console(width=100, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(report.drawn(Measured("http://router", Plan(), "", turns)))
    said = captured.get()
    assert "bypassed follow-ups" in said
    assert "2.50 s" in said
    assert "0.4 ms" in said
