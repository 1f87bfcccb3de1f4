"""`/stats` over several routers that share a Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .asking import a_session
from .models import Models
from .redis_process import RedisProcess
from .routers import KEY, Router, a_client, a_registry, eventually, running_router


@pytest.fixture(scope="module")
def store() -> Iterator[RedisProcess]:
    process = RedisProcess()
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def registry(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_registry(tmp_path_factory.mktemp("registry"), servers.endpoints)


@pytest.fixture(scope="module")
def two(registry: Path, store: RedisProcess) -> Iterator[tuple[Router, Router]]:
    with running_router(registry, redis_url=store.url) as one, running_router(registry, redis_url=store.url) as other:
        yield one, other


@pytest.fixture(scope="module")
def keyed_router(registry: Path, store: RedisProcess) -> Iterator[Router]:
    with running_router(registry, redis_url=store.url, api_key=KEY) as router:
        yield router


def test_every_router_tells_the_numbers_of_all(two: tuple[Router, Router], models: Models) -> None:
    before = two[0].get("/stats")
    session = a_session()
    for router in (*two, *two):
        router.answer("Write a Python function to sort a list", session_id=session)
    for router in two:
        eventually(router, "/stats", "total_requests", before["total_requests"] + 4)
        assert router.get("/stats")["scope"] == "cluster"
    after = two[1].get("/stats")
    assert after["session_creations"] == before["session_creations"] + 1
    assert after["bypass_requests"] == before["bypass_requests"] + 3
    assert after["use_cases"]["agent"]["requests"] == before["use_cases"].get("agent", {"requests": 0})["requests"] + 4


def test_the_numbers_survive_a_router(registry: Path, store: RedisProcess, two: tuple[Router, Router]) -> None:
    before = two[0].get("/stats")["total_requests"]
    with running_router(registry, redis_url=store.url) as short_lived:
        short_lived.answer("Write a Python function to sort a list")
    assert two[0].get("/stats")["total_requests"] == before + 1


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk-wrong"}])
def test_without_a_key_that_fits_they_cannot_be_reset(keyed_router: Router, headers: dict[str, str]) -> None:
    with a_client(keyed_router.url, **headers) as http:
        assert http.delete("/stats").status_code == 401


def test_a_router_that_knows_no_key_resets_nothing(two: tuple[Router, Router]) -> None:
    refused = two[0].http.delete("/stats")
    assert refused.status_code == 403
    assert "API_KEY" in refused.json()["error_message"]


def test_whoever_has_the_key_resets_them_for_all(
    two: tuple[Router, Router], keyed_router: Router, models: Models
) -> None:
    two[0].answer("Write a Python function to sort a list")
    two[0].get("/stats")  # what it has counted is added
    with a_client(keyed_router.url, Authorization=f"Bearer {KEY}") as http:
        assert http.delete("/stats").json() == {"success": True, "message": "Statistics begin anew"}
    assert two[0].get("/stats")["total_requests"] == 0


def test_without_redis_a_router_speaks_for_itself(registry: Path, two: tuple[Router, Router], models: Models) -> None:
    own_store = RedisProcess()
    own_store.start()
    with running_router(registry, redis_url=own_store.url, redis_timeout_ms=200) as router:
        router.answer("Write a Python function to sort a list")
        own_store.stop()
        eventually(router, "/stats", "scope", "replica")
        assert router.get("/stats")["total_requests"] == 1
        own_store.start()
        eventually(router, "/stats", "scope", "cluster")
        assert router.get("/stats")["total_requests"] == 1
        own_store.stop()


def test_a_reset_that_redis_does_not_hear_of_is_refused(registry: Path, models: Models) -> None:
    own_store = RedisProcess()
    own_store.start()
    with running_router(registry, redis_url=own_store.url, redis_timeout_ms=200, api_key=KEY) as router:
        own_store.stop()
        with a_client(router.url, Authorization=f"Bearer {KEY}") as http:
            refused = http.delete("/stats")
    assert refused.status_code == 503
    assert refused.json()["error_code"] == "store_unavailable"
    assert refused.headers["Retry-After"] == "1"
