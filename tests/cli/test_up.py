"""`smart-router up`, as a process of its own: model servers come up with a router, and nothing of them stays behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from smart_router.app import create_app
from smart_router.cli.processes import free_port, smart_router
from smart_router.errors import ConfigurationError
from smart_router.process import Signals
from tests.e2e.routers import SHIPPED_REGISTRY, environment
from tests.fakes import settings
from tests.lifecycle.programs import Ground

PATIENCE_S = 50.0
SIMULATED = ("smart-router", "simulate", "--model", "{model}", "--port", "{port}")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """To start servers from; nothing may stay behind on it."""
    ground = Ground(tmp_path)
    yield ground
    until(lambda: not ground.guardians() and not ground.living())


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def a_model(name: str, *command: str, **changed: Any) -> dict[str, Any]:
    words = [word.replace("{model}", name) for word in command or SIMULATED]
    endpoints = [f"http://127.0.0.1:{free_port()}"]
    return {"id": name, "endpoints": endpoints, "process": {"command": words}} | changed


def a_registry(folder: Path, *models: Mapping[str, Any]) -> Path:
    """The shipped use cases, served by *models*."""
    registry = yaml.safe_load(SHIPPED_REGISTRY.read_text())
    beside = SHIPPED_REGISTRY.parent
    registry |= {"models": list(models), "groups": {}}
    registry |= {key: str(beside / registry[key]) for key in ("conversations", "out_of_scope")}
    for use_case in registry["use_cases"]:
        use_case |= {"models": [models[0]["id"]], "modalities": ["text"]}
        use_case["examples"] = str(beside / use_case["examples"])
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump(registry, allow_unicode=True))
    return path


class Up:
    """The command while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._output = output

    @property
    def said(self) -> str:
        return self._output.read_text()

    def says(self, *parts: str) -> None:
        """Wait until it has."""
        until(lambda: all(part in self.said for part in parts) or self.process.poll() is not None)
        assert all(part in self.said for part in parts), self.said

    def answers(self) -> None:
        until(lambda: _is_served(self.url))

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)


def _is_served(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/livez", timeout=5, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


@contextmanager
def up(ground: Ground, registry: Path, *arguments: str, **variables: str) -> Iterator[Up]:
    port, output = free_port(), ground.folder / "said"
    told = environment(PROCESS_DIR=str(ground.folder / "processes"), PROCESS_STOP_TIMEOUT="2", **variables)
    command = smart_router("up", "--port", str(port), "--registry", str(registry), *arguments)
    with output.open("wb") as file:
        process = subprocess.Popen(command, env={**told, "DRAIN_DELAY": "0"}, stdout=file, stderr=file)
    try:
        yield Up(process, output, port)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_a_registry_comes_up_is_served_kept_up_and_ends_with_ctrl_c(ground: Ground) -> None:
    away = a_model("away", endpoints=["http://192.0.2.1:8000"])
    on_demand = a_model("on-demand", lifecycle="process")
    registry = a_registry(ground.folder, a_model("org/one"), a_model("two"), away, on_demand)
    with up(ground, registry, ROUTING_MODE="standard") as router:
        router.says("org/one: healthy after", "two: healthy after", "its API at /docs")
        assert "away: left alone: http://192.0.2.1:8000 is not on this machine" in router.said
        assert "on-demand: is started when it is needed" in router.said
        assert f"its log: {ground.folder}/processes/org%2Fone-" in router.said
        router.answers()
        ask = {"model": "two", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
        answer = httpx2.post(f"{router.url}/v1/chat/completions", json=ask, timeout=30, trust_env=False)
        assert (answer.status_code, answer.json()["model"]) == (200, "two")

        assert len(ground.guardians()) == 2
        os.kill(ground.guardians()[0], signal.SIGTERM)  # which ends its server
        router.says("its server ended", "next try in 1 s")
        until(lambda: router.said.count("healthy after") == 3)

        router.process.send_signal(signal.SIGINT)
        assert router.ended() == 0, router.said
    assert ground.guardians() == []
    assert "Traceback" not in router.said


def test_where_one_cannot_be_started_the_others_are_served_and_the_exit_code_says_so(ground: Ground) -> None:
    ends = a_model("ends", "sh", "-c", "echo no such weights; exit 3")
    missing = a_model("missing", "no-such-program")
    with up(ground, a_registry(ground.folder, a_model("one"), ends, missing)) as router:
        router.says("one: healthy after", "its API at /docs")
        assert "missing: no-such-program: not found; install it, or write its path in process.command" in router.said
        assert "ends: its server ended with exit code 3; the end of its log" in router.said
        assert "no such weights" in router.said
        router.answers()
        router.process.terminate()
        assert router.ended() == 1
    assert ground.guardians() == []
    assert "could not be started or kept running: missing, ends" in router.said
    assert "Traceback" not in router.said


def test_where_none_can_be_started_there_is_no_router(ground: Ground) -> None:
    with up(ground, a_registry(ground.folder, a_model("missing", "no-such-program"))) as router:
        assert router.ended() == 1
    assert "no model server could be started: there is nothing to route to" in router.said
    assert "Traceback" not in router.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_while_servers_load_it_stops_them(ground: Ground, number: signal.Signals) -> None:
    slow = ground.model("slow", free_port(), "unhealthy", "deaf").model_dump(
        mode="json", include={"endpoints", "process"}
    )
    with up(ground, a_registry(ground.folder, {"id": "slow", **slow})) as router:
        until(ground.started)
        router.process.send_signal(number)
        assert router.ended() == 130
    assert ground.living() == ground.guardians() == []
    assert "Traceback" not in router.said


def test_killed_it_leaves_nothing(ground: Ground) -> None:
    """What is left to see to that, its guardians do."""
    port = free_port()
    model = ground.model("m", port, "parent", "leaves", "deaf").model_dump(
        mode="json", include={"endpoints", "process"}
    )
    with up(ground, a_registry(ground.folder, {"id": "m", **model})) as router:
        router.says("m: healthy after")
        assert len(ground.living()) == 3
        router.process.kill()
        until(lambda: not ground.living() and not ground.guardians())


def test_several_workers_do_not_start_servers(ground: Ground) -> None:
    registry = a_registry(ground.folder, a_model("one", lifecycle="process"), a_model("two"))
    done = subprocess.run(
        smart_router("serve", "--workers", "2", "--port", str(free_port())),
        env=environment(MODEL_REGISTRY=str(registry), REDIS_URL="redis://127.0.0.1:1"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert "each of several workers would start a server of its own for one (lifecycle: process); serve" in done.stderr


@pytest.fixture
def a_worker() -> Iterator[Signals]:
    before = signal.getsignal(signal.SIGHUP)
    yield Signals(0, worker=True)
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("bare_environment")
def test_a_worker_takes_no_registry_with_servers_to_start_when_it_is_read_again_either(
    tmp_path: Path, a_worker: Signals
) -> None:
    create_app(settings(model_registry=a_registry(tmp_path, a_model("one"))), a_worker)
    registry = a_registry(tmp_path, a_model("one", lifecycle="process"))
    with pytest.raises(ConfigurationError, match="each of several workers would start a server of its own for one"):
        create_app(settings(model_registry=registry), a_worker)
