"""A router, simulated model servers and a real Prometheus that watches them."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import yaml
from grafana.asking import Prometheus

from smart_router.cli.processes import free_port, stop
from smart_router.simulate import SimulatedModel, running
from tests.e2e.models import AGENT, AUDIO, KINDS, MULTIMODAL, Models, ModelServer
from tests.e2e.routers import Router, a_registry, running_router

NAPS = ("naps/one", "naps/two")  # models that push each other out
READY_WITHIN_S = 50.0
POLL_S = 0.05
SURE = 0.7  # what is less likely falls back; high, so that words which do are easily found
# Slow and narrow enough that requests are seen in flight, and waiting, whenever somebody looks.
PACE = {"ttft_ms": 30.0, "tokens_per_second": 40.0, "max_running": 2}


@dataclass(frozen=True)
class Live:
    """*swapping*: another router, whose models take turns on what they share."""

    router: Router
    swapping: Router
    models: Models
    prometheus: Prometheus
    prometheus_url: str


@contextmanager
def everything(folder: Path, redis_url: str, program: str, scrape_s: float = 1) -> Iterator[Live]:
    with ExitStack() as stack:
        models = stack.enter_context(paced_models())
        # The agent's answers may come from another model: that is what a fallback needs to be seen.
        # Pictures have to wait for one another in the router, all else in vLLM.
        changed: dict[str, dict[str, object]] = {AGENT: {"fallbacks": [MULTIMODAL]}, MULTIMODAL: {"max_in_flight": 1}}
        registry = a_registry(folder, models.endpoints, changed)
        router = stack.enter_context(
            running_router(registry, redis_url=redis_url, health_interval=0.2, confidence_threshold=SURE)
        )
        naps = {id: stack.enter_context(running(SimulatedModel(id, sleep_seconds=0.05))) for id in NAPS}
        swapping = stack.enter_context(
            running_router(
                _with_naps(registry, naps),
                routing_mode="standard",
                min_residency=0,
                lifecycle_interval=0.2,
                predictive_wake=True,
                session_timeout=1,
            )
        )
        jobs = {"smart-router": [router.url, swapping.url], "vllm": [server.url for server in models.all]}
        url = stack.enter_context(scraping(folder, program, jobs, scrape_s))
        prometheus = Prometheus(url)
        stack.callback(prometheus.close)
        _wait_until_ready(prometheus)
        yield Live(router, swapping, models, prometheus, url)


def _with_naps(registry: Path, naps: Mapping[str, str]) -> Path:
    """*registry* with models that no use case leads to, of which one at a time may be awake; id -> address."""
    written = yaml.safe_load(registry.read_text())
    written["models"] += [
        {"id": id, "endpoints": [url], "group": "naps", "lifecycle": "sleep"} for id, url in naps.items()
    ]
    written["groups"] = {**written.get("groups", {}), "naps": {"max_resident": 1}}
    path = registry.with_name("swapping.yaml")
    path.write_text(yaml.safe_dump(written, allow_unicode=True))
    return path


@contextmanager
def paced_models() -> Iterator[Models]:
    with ExitStack() as stack:
        http = stack.enter_context(httpx2.Client(timeout=5, trust_env=False))
        served = {
            id: stack.enter_context(running(SimulatedModel(id, KINDS[id], **PACE)))  # type: ignore[arg-type]
            for id in (AGENT, MULTIMODAL, AUDIO)
        }
        yield Models(*(ModelServer(id, url, http) for id, url in served.items()))


@contextmanager
def scraping(folder: Path, program: str, jobs: Mapping[str, Sequence[str]], scrape_s: float) -> Iterator[str]:
    """A Prometheus on a free port, with its data in *folder*; its address."""
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(_configuration(jobs, scrape_s)))
    port = free_port()
    command = [
        *(program, f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"),
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def _configuration(jobs: Mapping[str, Sequence[str]], scrape_s: float) -> object:
    interval = f"{round(scrape_s * 1000)}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://") for url in urls]}]}
            for job, urls in jobs.items()
        ],
    }


def _wait_until_ready(prometheus: Prometheus) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not prometheus.ready():
        assert time.monotonic() < deadline, "Prometheus did not become ready"
        time.sleep(POLL_S)
