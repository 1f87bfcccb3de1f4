"""The routers, model servers and stores that the tests share; each starts once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Literal

import pytest

from .models import Models, three_models
from .redis_process import RedisProcess
from .routers import Router, a_registry, running_router

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
