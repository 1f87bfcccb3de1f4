"""
Real vLLM servers that come and go: three models where there is room for two, put to sleep behind the router's back, and
killed. See `make test-vllm`.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.real_vllm.test_main_job import AGENT, AUDIO, MULTIMODAL, ask

from smart_router.cli.processes import free_port, running, smart_router

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.timeout(500),
    pytest.mark.skipif("REAL_VLLM_AGENT_URL" not in os.environ, reason="needs real vLLM servers: make test-vllm"),
]

SHIPPED = Path(__file__).parents[2] / "config" / "model_registry.yaml"
SERVERS = {AGENT: "REAL_VLLM_AGENT_URL", MULTIMODAL: "REAL_VLLM_MULTIMODAL_URL", AUDIO: "REAL_VLLM_AUDIO_URL"}
WITHIN_S = 240.0  # that a server may take to start on busy cores


def a_registry(folder: Path, room: int, changed: Mapping[str, Mapping[str, Any]]) -> Path:
    """The shipped one, its models in one group that has *room* for so many, with *changed* fields."""
    registry = yaml.safe_load(SHIPPED.read_text())
    registry["groups"] = {"gpu0": {"max_resident": room}}
    for model in registry["models"]:
        model |= {"group": "gpu0", "lifecycle": "sleep", **changed.get(model["id"], {})}
    for use_case in registry["use_cases"]:
        use_case["examples"] = str(SHIPPED.parent / use_case["examples"])
    registry |= {key: str(SHIPPED.parent / registry[key]) for key in ("conversations", "out_of_scope")}
    path = folder / "model_registry.yaml"
    path.write_text(yaml.safe_dump(registry, allow_unicode=True))
    return path


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Its models start awake, all three of them, which is one too many."""
    registry, port = a_registry(tmp_path_factory.mktemp("sleepers"), 2, {}), free_port()
    environment = {
        **os.environ,
        "MODEL_REGISTRY": str(registry),
        "MODEL_SWITCH_TIMEOUT": str(WITHIN_S),
        "ROUTING_MODE": "standard",
    }
    with (
        running(smart_router("serve", "--port", str(port)), port, environment, path="/ready") as url,
        httpx2.Client(base_url=url, timeout=120) as client,
    ):
        yield client
    for model in SERVERS:
        httpx2.post(f"{server(model)}/wake_up", timeout=60)


def server(model: str) -> str:
    return os.environ[SERVERS[model]]


def asleep(model: str) -> bool:
    return bool(httpx2.get(f"{server(model)}/is_sleeping", timeout=30).json()["is_sleeping"])


def awake() -> list[str]:
    return [model for model in SERVERS if not asleep(model)]


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not happens():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.1)


def metric(client: httpx2.Client, pattern: str) -> float:
    """The sum of all samples that it fits."""
    return sum(
        float(value) for value in re.findall(rf"^smart_router_{pattern} (\S+)$", client.get("/metrics").text, re.M)
    )


def test_where_one_too_many_is_awake_one_is_put_to_sleep(router: httpx2.Client) -> None:
    until(lambda: len(awake()) == 2)


def test_a_conversation_that_visits_all_three_gets_every_answer(router: httpx2.Client) -> None:
    swaps = metric(router, r"model_swap_seconds_count{[^}]*}")
    for visit in range(3):
        turns = [
            ask(router, "Write a Python function to sort a list", f"visits-{visit}"),
            ask(router, "What is wrong in this screenshot?", f"visits-{visit}", attach="image", stream=visit == 1),
            ask(router, "What does she say here?", f"visits-{visit}", attach="audio"),
        ]
        assert [turn["selected_model"] for turn in turns] == [AGENT, MULTIMODAL, AUDIO]
        assert all(turn["result"] for turn in turns)
        assert len(awake()) <= 2
    assert metric(router, r"model_swap_seconds_count{[^}]*}") >= swaps + 3


def test_one_that_was_put_to_sleep_behind_the_routers_back_is_woken(router: httpx2.Client) -> None:
    ask(router, "Write a Python function to sort a list", "behind")
    httpx2.post(f"{server(AGENT)}/sleep", params={"level": 1}, timeout=60).raise_for_status()
    assert asleep(AGENT)
    assert ask(router, "Add error handling to that function", "behind")["selected_model"] == AGENT
    assert not asleep(AGENT)


def test_a_server_that_was_killed_comes_back(tmp_path: Path) -> None:
    """A fourth server, which the router starts itself."""
    port, own = free_port(), free_port()
    settings: dict[str, str] = json.loads(os.environ["REAL_VLLM_SETTINGS"])
    command: list[str] = json.loads(os.environ["REAL_VLLM_COMMAND"])
    process = {"command": command, "environment": settings}
    agent = {"lifecycle": "process", "process": process, "endpoints": [f"http://127.0.0.1:{own}"], "served_as": AGENT}
    others = {"lifecycle": "always", "group": "others"}
    registry = a_registry(tmp_path, 1, {AGENT: agent, MULTIMODAL: others, AUDIO: others})
    written = yaml.safe_load(registry.read_text())
    written["groups"]["others"] = {"max_resident": 2}
    registry.write_text(yaml.safe_dump(written, allow_unicode=True))
    environment = {
        **os.environ,
        "MODEL_REGISTRY": str(registry),
        "MODEL_SWITCH_TIMEOUT": "300",
        "PROCESS_DIR": str(tmp_path),
    }
    with (
        running(smart_router("serve", "--port", str(port)), port, environment, path="/ready") as url,
        httpx2.Client(base_url=url, timeout=400) as client,
    ):
        assert ask(client, "Write a Python function to sort a list", "killed")["selected_model"] == AGENT
        pid = listener(own)
        os.kill(pid, signal.SIGKILL)
        until(lambda: listener(own) not in (0, pid))
        assert ask(client, "Add error handling to that function", "killed")["selected_model"] == AGENT
    assert listener(own) == 0, "what the router started ends with it"


def listener(port: int) -> int:
    """The process that listens there, 0 if none does."""
    found = subprocess.run(["ss", "-ltnpH", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    pids = re.findall(r"pid=(\d+)", found)
    return int(pids[0]) if pids else 0
