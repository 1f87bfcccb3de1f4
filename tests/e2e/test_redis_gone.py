"""Redis down at the start, back, gone in mid-life, emptied, full of rubbish: requests are answered all the same."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from smart_router.cli.processes import free_port

from .asking import FOLLOW_UP, PYTHON, a_session
from .models import Models
from .redis_process import RedisProcess
from .routers import Router, a_registry, eventually, running_router


@pytest.fixture(scope="module")
def mortal_redis() -> Iterator[RedisProcess]:
    """Not running until a test starts it."""
    process = RedisProcess()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def started_without(
    servers: Models, mortal_redis: RedisProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Router]:
    registry = a_registry(tmp_path_factory.mktemp("mortal"), servers.endpoints)
    with running_router(registry, redis_url=mortal_redis.url, redis_timeout_ms=200) as router:
        yield router


@pytest.fixture
def router(started_without: Router, models: Models) -> Router:
    return started_without


@pytest.fixture
def up(router: Router, mortal_redis: RedisProcess) -> RedisProcess:
    mortal_redis.start()
    eventually(router, "/health", "bypass_router", "connected")
    return mortal_redis


@pytest.fixture
def down(mortal_redis: RedisProcess) -> RedisProcess:
    mortal_redis.stop()
    return mortal_redis


def converses(router: Router) -> str:
    """A whole conversation works."""
    id = a_session()
    assert router.answer(PYTHON, session_id=id)["use_case"] == "agent"
    assert router.answer(FOLLOW_UP, session_id=id)["bypass_used"] is True
    assert router.session(id)["request_count"] == 2
    return id


def test_without_redis_requests_are_answered_and_health_says_so(router: Router, down: RedisProcess) -> None:
    id = a_session()
    answers = [router.answer(PYTHON, session_id=id) for _ in range(3)]
    assert {answer["use_case"] for answer in answers} == {"agent"}
    health = router.http.get("/health").json()
    assert (health["bypass_router"], health["status"]) == ("degraded", "degraded")
    assert router.http.get("/ready").status_code == 200
    assert router.http.get("/stats").status_code == 200


def test_redis_is_found_once_it_is_there(router: Router, up: RedisProcess) -> None:
    assert up.keys(converses(router))


def test_a_conversation_goes_on_when_redis_goes(router: Router, up: RedisProcess) -> None:
    id = a_session()
    router.answer(PYTHON, session_id=id)
    up.stop()
    answers = [router.answer(FOLLOW_UP, session_id=id) for _ in range(5)]
    assert {answer["use_case"] for answer in answers} == {"agent"}
    assert all(answer["bypass_used"] for answer in answers[1:])


def test_a_new_conversation_starts_when_redis_has_gone(router: Router, up: RedisProcess) -> None:
    up.stop()
    id = converses(router)
    assert router.http.delete(f"/sessions/{id}").status_code == 200
    assert not router.knows(id)


def test_a_conversation_begun_without_redis_goes_on_with_it(
    router: Router, down: RedisProcess, mortal_redis: RedisProcess
) -> None:
    id = converses(router)
    mortal_redis.start()
    eventually(router, "/health", "bypass_router", "connected")
    answer = router.answer(FOLLOW_UP, session_id=id)
    assert (answer["use_case"], answer["bypass_used"], answer["new_session"]) == ("agent", True, False)
    deadline = time.monotonic() + 20
    while not mortal_redis.keys(id):
        assert time.monotonic() < deadline, "it is not written back"
        time.sleep(0.02)


def test_an_emptied_redis_is_a_new_session_not_an_error(router: Router, up: RedisProcess) -> None:
    id = converses(router)
    with Redis(port=up.port) as client:
        client.flushall()
        client.script_flush()
    assert router.answer(PYTHON, session_id=id)["use_case"] == "agent"
    converses(router)


@pytest.mark.parametrize("rubbish", ["a string", "a list", "a hash"])
def test_a_record_that_cannot_be_read_counts_as_absent(router: Router, up: RedisProcess, rubbish: str) -> None:
    id = converses(router)
    with Redis(port=up.port) as client:
        for key in up.keys(id):
            client.delete(key)
            if rubbish == "a string":
                client.set(key, b"\xff\x00", ex=100)
            elif rubbish == "a list":
                client.rpush(key, b"\xff\x00", b"{")
            else:
                client.hset(key, mapping={"version": "999", "v": "999", "turn": "many", "lanes": "{"})
    answer = router.answer(PYTHON, session_id=id)
    assert (answer["use_case"], answer["new_session"]) == ("agent", True)
    assert router.answer(FOLLOW_UP, session_id=id)["bypass_used"] is True


def test_a_router_that_starts_without_redis_says_so_before_anybody_asks(servers: Models, tmp_path: Path) -> None:
    registry = a_registry(tmp_path, servers.endpoints)
    with running_router(registry, redis_url=f"redis://127.0.0.1:{free_port()}") as router:
        assert "smart_router_redis_degraded 1.0" in router.http.get("/metrics").text
