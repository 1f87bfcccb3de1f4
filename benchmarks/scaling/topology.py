"""Routers behind a TCP balancer, and the model servers that they share: real processes, simulated models."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.process import Command, DidNotStart, clean_environment, running
from benchmarks.routers import ROOT
from smart_router.cli.processes import free_port, smart_router

AGENT = "Qwen/Qwen2.5-7B-Instruct"
OTHERS = {"multimodal": "Qwen/Qwen2.5-VL-7B-Instruct", "audio": "Qwen/Qwen2-Audio-7B"}
AGENT_REPLICAS = 2


@dataclass(frozen=True)
class Router:
    url: str
    pid: int


@contextmanager
def model_servers(scratch: Path) -> Iterator[Path]:
    """SIMULATED model servers, two of them replicas of one model; the registry that names them."""
    with ExitStack() as stack:
        agents = [stack.enter_context(_simulated(AGENT, scratch)) for _ in range(AGENT_REPLICAS)]
        others = {model: stack.enter_context(_simulated(model, scratch)) for model in OTHERS.values()}
        yield registry_naming(scratch, {AGENT: agents, **{model: [url] for model, url in others.items()}})


@contextmanager
def _simulated(model: str, scratch: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(Command(simulating(model, port), url + "/health"), scratch):
        yield url


def simulating(model: str, port: int, tokens_per_second: float = 0) -> list[str]:
    """The command of a SIMULATED model server; by default as fast as the wire."""
    pace = ("--ttft-ms", "5", "--tokens-per-second", str(tokens_per_second))
    return smart_router("simulate", "--model", model, "--port", str(port), *pace)


def registry_naming(scratch: Path, endpoints: Mapping[str, Sequence[str]]) -> Path:
    """The shipped registry, with other *endpoints* (model id -> addresses), in a folder of *scratch*."""
    config = scratch / "config"
    shutil.copytree(ROOT / "config", config)
    path = config / "model_registry.yaml"
    registry = yaml.safe_load(path.read_text())
    for model in registry["models"]:
        model["endpoints"] = list(endpoints[model["id"]])
    path.write_text(yaml.safe_dump(registry, allow_unicode=True))
    return path


@contextmanager
def routers(number: int, registry: Path, redis_url: str, scratch: Path) -> Iterator[list[Router]]:
    """
    Raises:
        DidNotStart: one of them did not answer /ready.
    """
    environment = clean_environment(MODEL_REGISTRY=str(registry), REDIS_URL=redis_url)
    with ExitStack() as stack:
        found = []
        for _ in range(number):
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            command = Command(smart_router("serve", "--port", str(port)), f"{url}/ready", environment)
            found.append(Router(url, stack.enter_context(running(command, scratch)).pid))
        yield found


@contextmanager
def balancer(routers: Sequence[Router], scratch: Path) -> Iterator[str]:
    """
    haproxy on TCP, in turn, as a Kubernetes Service would; it asks /livez four times a second.

    Raises:
        DidNotStart: there is no haproxy.
    """
    program = shutil.which("haproxy")
    if program is None:
        raise DidNotStart("there is no haproxy: install it, such as by `apt-get install haproxy`")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    configuration = scratch / f"haproxy-{port}.cfg"
    configuration.write_text(_haproxy(port, [router.url.removeprefix("http://") for router in routers]))
    with running(Command([program, "-f", str(configuration), "-db"], f"{url}/livez"), scratch):
        yield url


def _haproxy(port: int, addresses: Sequence[str]) -> str:
    servers = "\n".join(f"  server r{i} {address} check inter 250 fall 1 rise 2" for i, address in enumerate(addresses))
    return f"""
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  retries 3
  option redispatch 1
listen routers
  bind 127.0.0.1:{port}
  balance roundrobin
  option httpchk GET /livez
{servers}
"""
