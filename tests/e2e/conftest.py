"""The routers, model servers and stores that the tests share; each starts once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Literal

import pytest

from smart_router.cli.processes import free_port

from .models import KINDS, SERVED_AS, Models, Recorder, a_recorder, three_models
from .redis_process import RedisProcess
from .routers import KEY, Router, a_registry, eventually, running_router, wait_until_rested

Store = Literal["embedded", "redis"]


@pytest.fixture(scope="session")
def servers() -> Iterator[Models]:
    with three_models() as found:
        yield found


@pytest.fixture
def models(servers: Models) -> Models:
    """The three model servers, well and without memory of earlier tests."""
    servers.reset()
    return servers


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisProcess]:
    process = RedisProcess()
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def router_on(
    servers: Models, redis: RedisProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Store], Router]]:
    """The router on a store: started when first asked for, then shared."""
    registry = a_registry(tmp_path_factory.mktemp("registry"), servers.endpoints)
    started: dict[Store, Router] = {}
    with ExitStack() as stack:

        def on(store: Store) -> Router:
            if store not in started:
                url = redis.url if store == "redis" else None
                started[store] = stack.enter_context(running_router(registry, redis_url=url))
            wait_until_rested(started[store])
            return started[store]

        yield on


@pytest.fixture(params=["embedded", "redis"])
def router(request: pytest.FixtureRequest, router_on: Callable[[Store], Router], models: Models) -> Router:
    """A router on each kind of store in turn."""
    return router_on(request.param)


@pytest.fixture
def embedded_router(router_on: Callable[[Store], Router], models: Models) -> Router:
    return router_on("embedded")


@pytest.fixture
def redis_router(router_on: Callable[[Store], Router], models: Models) -> Router:
    return router_on("redis")


@pytest.fixture(scope="session")
def recording() -> Iterator[Recorder]:
    with a_recorder() as found:
        yield found


@pytest.fixture(scope="session")
def recorded(recording: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router whose models, under other names, are all one recorder."""
    endpoints = {model: [recording.url] for model in SERVED_AS}
    changed = {model: {"served_as": name} for model, name in SERVED_AS.items()}
    registry = a_registry(tmp_path_factory.mktemp("recorded"), endpoints, changed)
    with running_router(registry, health_interval=0.2) as found:
        yield found


@pytest.fixture
def recorder(recording: Recorder) -> Recorder:
    """Without memory of earlier tests."""
    recording.reset()
    return recording


@pytest.fixture
def recorded_router(recorded: Router, recorder: Recorder) -> Router:
    """The router, once it has noticed that the recorder is well, whatever an earlier test made of it."""
    eventually(recorded, "/health", "status", "healthy")
    return recorded


@pytest.fixture(scope="session")
def keyed(recording: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router that asks for the key; its client has none."""
    registry = a_registry(tmp_path_factory.mktemp("keyed"), {model: [recording.url] for model in KINDS})
    with running_router(registry, api_key=KEY) as found:
        yield found


@pytest.fixture
def door(keyed: Router, recorder: Recorder) -> Router:
    return keyed


@pytest.fixture(scope="session")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router without any model server."""
    endpoints = {model: [f"http://127.0.0.1:{free_port()}"] for model in KINDS}
    with running_router(a_registry(tmp_path_factory.mktemp("lonely"), endpoints), health_interval=0.2) as found:
        yield found
