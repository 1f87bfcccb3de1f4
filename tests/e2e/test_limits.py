"""How much a caller may ask: requests a minute, over all routers, and requests under way."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from smart_router.access.keyfile import change_keys, new_entry

from .asking import CHAT, PYTHON, a_session, saying
from .models import Models
from .redis_process import RedisProcess
from .routers import Router, a_client, a_registry, running_router, until
from .test_leaving import a_caller

MODEL = "Qwen/Qwen2.5-7B-Instruct"
ASKING = [
    ("/route", {"query": PYTHON}),
    ("/route", {"query": PYTHON, "remember": False}),
    ("/classify", {"query": PYTHON}),
    (CHAT, saying(PYTHON)),
    (CHAT, saying(PYTHON, model=MODEL)),  # a model with one server: elsewhere nobody waits for the session then
    ("/v1/completions", {"model": MODEL, "prompt": PYTHON}),
    ("/v1/embeddings", {"model": MODEL, "input": "x"}),
    ("/tokenize", {"model": MODEL, "prompt": "x"}),
]


@contextmanager
def limited(folder: Path, servers: Models, **options: Any) -> Iterator[Router]:
    """A router, and a client of it with a key of its own; *options* in capitals are the key's."""
    path = folder / "keys.json"
    key, entry = new_entry("test", ["route"], **{k.lower(): v for k, v in options.items() if k.isupper()})
    change_keys(path, lambda _: [entry])
    others = {name: value for name, value in options.items() if not name.isupper()}
    with ExitStack() as stack:
        registry = a_registry(folder, servers.endpoints)
        router = stack.enter_context(running_router(registry, api_keys_file=path, **others))
        yield Router(router.url, stack.enter_context(a_client(router.url, Authorization=f"Bearer {key}")))


def refused(response: httpx2.Response, code: str = "rate_limited") -> int:
    """Seconds to wait."""
    assert response.status_code == 429, response.text
    assert code in response.text
    return int(response.headers["retry-after"])


@pytest.mark.parametrize(("path", "body"), ASKING)
def test_every_way_to_ask_counts_and_is_refused_before_a_model_is_asked(
    tmp_path: Path, servers: Models, models: Models, path: str, body: Any
) -> None:
    with limited(tmp_path, servers, REQUESTS_PER_MINUTE=1) as router:
        first = router.post(path, body)
        assert first.status_code != 429, first.text
        assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("1", "0")
        before = models.requests()
        for other, asked in ASKING:
            response = router.post(other, asked)
            assert 1 <= refused(response) <= 60
            assert response.headers["x-ratelimit-remaining"] == "0"
            assert 1 <= int(response.headers["x-ratelimit-reset"]) <= 60
        assert models.requests() == before


def test_a_refused_turn_is_none_of_the_sessions(tmp_path: Path, servers: Models, models: Models) -> None:
    with limited(tmp_path, servers, REQUESTS_PER_MINUTE=2) as router:
        id = a_session()
        router.answer(PYTHON, session_id=id)
        assert router.answer("and a test for it", session_id=id)["bypass_used"]
        refused(router.route("and another", session_id=id))
        assert router.session(id)["request_count"] == 2


def test_a_burst_and_then_one_by_one(tmp_path: Path, servers: Models, models: Models) -> None:
    with limited(tmp_path, servers, REQUESTS_PER_MINUTE=6000, BURST=3) as router:
        statuses = [router.classify(PYTHON).status_code for _ in range(200)]
    assert statuses[:3] == [200, 200, 200]
    assert statuses.count(200) >= 4  # a hundred a second come back


def test_without_keys_the_general_limit_is_of_all_together(tmp_path: Path, servers: Models, models: Models) -> None:
    registry = a_registry(tmp_path, servers.endpoints)
    with running_router(registry, rate_limit_per_minute=2) as router:
        assert [router.route(PYTHON).status_code for _ in range(3)] == [200, 200, 429]
        assert router.http.get("/stats").status_code == 200
        assert 'smart_router_limited_total{reason="rate"} 1.0' in router.http.get("/metrics").text


@pytest.mark.parametrize(("own", "expected"), [(None, [200, 200, 429]), (0, [200] * 3), (1, [200, 429, 429])])
def test_a_keys_own_limit_stands_in_for_the_general_one(
    tmp_path: Path, servers: Models, models: Models, own: int | None, expected: list[int]
) -> None:
    with limited(tmp_path, servers, REQUESTS_PER_MINUTE=own, rate_limit_per_minute=2) as router:
        assert [router.classify(PYTHON).status_code for _ in range(3)] == expected


def test_routers_of_one_redis_count_together(
    tmp_path: Path, servers: Models, models: Models, redis: RedisProcess
) -> None:
    registry = a_registry(tmp_path, servers.endpoints)
    options: dict[str, Any] = {"redis_url": redis.url, "rate_limit_per_minute": 4, "api_key": f"sk-{a_session()}"}
    with running_router(registry, **options) as one, running_router(registry, **options) as two, ExitStack() as stack:
        headers = {"Authorization": f"Bearer {options['api_key']}"}
        clients = [stack.enter_context(a_client(router.url, **headers)) for router in (one, two)]
        statuses = [clients[i % 2].post("/route", json={"query": PYTHON}).status_code for i in range(6)]
    assert statuses == [200, 200, 200, 200, 429, 429]


# at once


def test_no_more_are_under_way_than_the_key_may_have(tmp_path: Path, servers: Models, models: Models) -> None:
    with limited(tmp_path, servers, CONCURRENCY=1) as router:
        models.agent.fail("never-ends", count=1)
        authorization = router.http.headers["authorization"]
        with a_caller(router, authorization=authorization, stream=True):
            models.agent.wait_for_running(1)
            for path, body in ASKING:
                assert refused(router.post(path, body)) == 1
        models.agent.wait_for_running(0)
        until(lambda: router.route(PYTHON).status_code == 200)
        for _ in range(3):  # places are given back, by answers and by refusals too
            assert router.route(PYTHON).status_code == 200
            assert router.http.post("/route", json={"nothing": 1}).status_code == 400
