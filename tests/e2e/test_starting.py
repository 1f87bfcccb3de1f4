"""The process itself: it keeps its sessions in Redis, and refuses to start on a wrong setting."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from smart_router.cli.processes import free_port, running, smart_router

from .asking import FOLLOW_UP, PYTHON, a_session
from .models import Models, texts
from .redis_process import RedisProcess
from .routers import SHIPPED_REGISTRY, Router, a_client, environment

CONFIGURATION = 2  # exit code
ENDS_WITHIN_S = 40


def served(models: Models, **more: str) -> dict[str, str]:
    """An environment in which the shipped registry finds the model servers."""
    return environment(
        VLLM_AGENT_URL=models.agent.url,
        VLLM_MULTIMODAL_URL=models.multimodal.url,
        VLLM_AUDIO_URL=models.audio.url,
        MODEL_REGISTRY=str(SHIPPED_REGISTRY),
        **more,
    )


def test_sessions_survive_a_restart_with_redis(models: Models, redis: RedisProcess) -> None:
    id = a_session()
    where = served(models, REDIS_URL=redis.url)
    first_port, second_port = free_port(), free_port()
    with (
        running(smart_router("serve", "--port", str(first_port)), first_port, where, path="/ready") as url,
        a_client(url) as http,
    ):
        first = Router(url, http).answer(PYTHON, session_id=id)
    with (
        running(smart_router("serve", "--port", str(second_port)), second_port, where, path="/ready") as url,
        a_client(url) as http,
    ):
        router = Router(url, http)
        assert router.session(id)["request_count"] == 1
        answer = router.answer(FOLLOW_UP, session_id=id)
    assert (answer["use_case"], answer["bypass_used"], answer["new_session"]) == ("agent", True, False)
    told = [("user", PYTHON), ("assistant", first["result"]), ("user", FOLLOW_UP)]
    assert texts(models.agent.received()[-1]) == told


ENVIRONMENTS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "an unknown mode": ({"ROUTING_MODE": "quick"}, ("ROUTING_MODE", "realtime", "standard", "quick")),
    "a word for a number": ({"SESSION_TIMEOUT": "soon"}, ("SESSION_TIMEOUT", "soon")),
    "a negative time": ({"SESSION_TIMEOUT": "-5"}, ("SESSION_TIMEOUT", "-5")),
    "a port out of range": ({"ROUTER_PORT": "99999"}, ("ROUTER_PORT", "65535")),
    "an unknown store": ({"REDIS_URL": "http://localhost"}, ("REDIS_URL", "redis://")),
    "an unknown log level": ({"LOG_LEVEL": "loud"}, ("LOG_LEVEL", "info")),
    "an unknown log format": ({"LOG_FORMAT": "xml"}, ("LOG_FORMAT", "console", "xml")),
    "a way to the collector that is not spoken": (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ),
    "no registry": ({"MODEL_REGISTRY": "/nowhere/registry.yaml"}, ("/nowhere/registry.yaml",)),
    "a model address without scheme": ({"VLLM_AGENT_URL": "localhost:8000"}, ("models[0].endpoints[0]", "http")),
}


REGISTRIES: dict[str, tuple[tuple[str | int, ...], object, tuple[str, ...]]] = {
    "an unknown model": (
        ("use_cases", 2, "models", 0),
        "Qwen/Qwen9",
        ("use_cases[2].models[0]", "Qwen/Qwen9", "Qwen/Qwen2.5-VL-7B-Instruct"),
    ),
    "a misspelt key": (("models", 1, "endpoint"), "http://x", ("models[1]", "endpoint", "endpoints")),
    "a wrong type": (("models", 0, "max_in_flight"), "many", ("models[0].max_in_flight", "many")),
    "an unknown default": (("defaults", "use_case"), "cooking", ("defaults.use_case", "cooking", "agent")),
    "no endpoints": (("models", 2, "endpoints"), [], ("models[2].endpoints",)),
    "an unknown modality": (("use_cases", 1, "modalities"), ["smell"], ("use_cases[1].modalities[0]", "image")),
    "a newer version": (("version",), 99, ("version", "1")),
    "an unknown backend": (("models", 0, "backend"), "magic", ("models[0].backend", "vllm")),
    "two of the same name": (("use_cases", 1, "id"), "agent", ("use_cases[1]", "agent")),
}


@dataclass(frozen=True)
class Ended:
    code: int
    output: str


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """How `serve` ended with each wrong setting; one process tries them all, since starting one takes a second."""
    folder = tmp_path_factory.mktemp("wrong")
    wrong = {
        name: {"MODEL_REGISTRY": str(SHIPPED_REGISTRY)} | variables for name, (variables, _) in ENVIRONMENTS.items()
    }
    for name, (place, value, _) in REGISTRIES.items():
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(a_wrong_registry(place, value)))
        wrong[name] = {"MODEL_REGISTRY": str(path)}
    tried = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("starts.py"))],
        input=json.dumps(wrong),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=True,
    )
    return {name: Ended(**told) for name, told in json.loads(tried.stdout.splitlines()[-1]).items()}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_wrong_environment_stops_the_start(ended: dict[str, Ended], name: str) -> None:
    one_clear_message(ended[name], ENVIRONMENTS[name][1])


@pytest.mark.parametrize("name", REGISTRIES)
def test_a_wrong_registry_stops_the_start(ended: dict[str, Ended], name: str) -> None:
    one_clear_message(ended[name], REGISTRIES[name][2])


def test_the_process_itself_ends_with_the_message(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text("version: 1\nmodels: [\n  - {id: x\n")
    process = subprocess.run(
        smart_router("serve", "--port", str(free_port())),
        env=environment(MODEL_REGISTRY=str(path)),
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    one_clear_message(Ended(process.returncode, process.stdout + process.stderr), ("registry.yaml", "line"))


def a_wrong_registry(place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """The shipped registry with one mistake."""
    registry: dict[str, Any] = yaml.safe_load(SHIPPED_REGISTRY.read_text())
    for use_case in registry["use_cases"]:
        use_case["examples"] = str(SHIPPED_REGISTRY.parent / use_case["examples"])
    registry |= {key: str(SHIPPED_REGISTRY.parent / registry[key]) for key in ("conversations", "out_of_scope")}
    part: Any = registry
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    return registry


def one_clear_message(ended: Ended, said: Sequence[str]) -> None:
    """Exit code 2, and a message without a stack trace that names the place and what would be right."""
    assert ended.code == CONFIGURATION, ended.output
    assert all(part in ended.output for part in said), ended.output
    assert "Traceback" not in ended.output
    assert len(ended.output.strip().splitlines()) <= 3, ended.output
