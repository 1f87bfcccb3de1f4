"""Deployments that are well, each started once: tests break them, or what stands around them."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from smart_router.access.keyfile import change_keys, new_entry
from smart_router.cli.processes import free_port, running, smart_router
from smart_router.simulate import SimulatedModel
from smart_router.simulate import running as simulated
from tests.e2e.models import AGENT, AUDIO, KINDS, MULTIMODAL, Models, ModelServer
from tests.e2e.redis_process import RedisProcess
from tests.e2e.routers import KEY, Router, a_client, a_registry, environment, running_router, until

TOKENS_PER_SECOND = 40.0  # slow enough to see words come one by one


@pytest.fixture(scope="session")
def servers() -> Iterator[Models]:
    with ExitStack() as stack:
        http = stack.enter_context(httpx2.Client(timeout=5, trust_env=False))
        urls = {
            id: stack.enter_context(simulated(SimulatedModel(id, kind, 10, TOKENS_PER_SECOND)))
            for id, kind in KINDS.items()
        }
        yield Models(*(ModelServer(id, url, http) for id, url in urls.items()))


@pytest.fixture
def models(servers: Models) -> Iterator[Models]:
    """The three model servers, well and without memory of earlier tests."""
    servers.reset()
    yield servers
    servers.reset()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisProcess]:
    process = RedisProcess()
    process.start()
    yield process
    process.stop()


@pytest.fixture
def stored(redis: RedisProcess) -> RedisProcess:
    """The redis-server, started again if a test has stopped it."""
    redis.start()
    return redis


@pytest.fixture(scope="session")
def deployment(servers: Models, redis: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router as its own process, with Redis: what `smart-router demo` starts, but for anybody."""
    port = free_port()
    registry = a_registry(tmp_path_factory.mktemp("deployment"), servers.endpoints)
    told = environment(
        MODEL_REGISTRY=str(registry),
        REDIS_URL=redis.url,
        REDIS_TIMEOUT_MS="2000",
        LOG_LEVEL="error",
        ALLOW_OPEN="true",
    )
    command = smart_router("serve", "--host", "0.0.0.0", "--port", str(port))
    with running(command, port, told, path="/ready") as url, a_client(url) as http:
        yield Router(url, http)


@pytest.fixture(scope="session")
def alone(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router without Redis and without a key."""
    with running_router(a_registry(tmp_path_factory.mktemp("alone"), servers.endpoints)) as found:
        yield found


@pytest.fixture(scope="session")
def crippled(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One model has a single place, one is known by another name at its server, one's server is not there."""
    endpoints = servers.endpoints | {AUDIO: [f"http://127.0.0.1:{free_port()}"]}
    changed: dict[str, dict[str, Any]] = {
        AGENT: {"max_in_flight": 1, "max_queue": 0},
        MULTIMODAL: {"served_as": "other/name"},
    }
    registry = a_registry(tmp_path_factory.mktemp("crippled"), endpoints, changed)
    with running_router(registry, health_interval=0.2) as found:
        until(lambda: {found.get("/health")["model_endpoints"][g]["status"] for g in ("gpu1", "gpu2")} == {"unhealthy"})
        yield found


@dataclass(frozen=True)
class Standard:
    """
    A router in standard mode, with a key, which its client has, and with a model that can be put to sleep: that one has
    a server of its own, as to other routers it would seem broken.
    """

    router: Router
    sleeper: ModelServer


@pytest.fixture(scope="session")
def standard(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standard]:
    folder = tmp_path_factory.mktemp("standard")
    with simulated(SimulatedModel(AGENT, "text", 10, TOKENS_PER_SECOND)) as url:
        registry = a_registry(folder, servers.endpoints | {AGENT: [url]}, {AGENT: {"lifecycle": "sleep"}})
        with (
            running_router(registry, routing_mode="standard", api_key=KEY) as found,
            a_client(found.url, Authorization=f"Bearer {KEY}") as http,
        ):
            yield Standard(Router(found.url, http), ModelServer(AGENT, url, servers.agent.http))


@dataclass(frozen=True)
class Keyed:
    """A router with a file of keys."""

    url: str
    metrics: str  # keys
    route: str
    slow: str  # may ask once a minute


@pytest.fixture(scope="session")
def keyed(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keyed")
    made = [
        new_entry("metrics", ["metrics"]),
        new_entry("route", ["route"]),
        new_entry("slow", ["route"], requests_per_minute=1),
    ]
    change_keys(folder / "keys.json", lambda _: [entry for _, entry in made])
    with running_router(a_registry(folder, servers.endpoints), api_keys_file=folder / "keys.json") as router:
        yield Keyed(router.url, *(key for key, _ in made))
