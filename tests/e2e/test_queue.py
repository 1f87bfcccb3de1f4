"""More requests than a model has places: they wait in turn, for a bounded time, and no more of them than may."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from smart_router.access.keyfile import change_keys, new_entry

from .asking import CHAT, PYTHON, saying
from .models import AGENT, AUDIO, MULTIMODAL, Models, texts
from .routers import Router, a_client, a_registry, in_flight, running_router, until, wait_for_idle
from .test_leaving import a_caller

FLOODS = 8
ASK = saying(PYTHON, model=AGENT, max_tokens=4)


Asking = Callable[..., "Future[httpx2.Response]"]


class Narrow:
    """A router with one place at each model, and clients of it, each with a key of its own."""

    def __init__(self, folder: Path, servers: Models, stack: ExitStack, *, most: int, within_s: float) -> None:
        path, made = folder / "keys.json", [new_entry(name, ["route", "metrics"]) for name in ("ann", "bob")]
        change_keys(path, lambda _: [entry for _, entry in made])
        changed = {model: {"max_in_flight": 1, "max_queue": most} for model in (AGENT, MULTIMODAL, AUDIO)}
        registry = a_registry(folder, servers.endpoints, changed)
        self.router = stack.enter_context(running_router(registry, api_keys_file=path, queue_timeout=within_s))
        self.keys = [key for key, _ in made]
        clients = (a_client(self.router.url, Authorization=f"Bearer {key}") for key in self.keys)
        self.ann, self.bob = (Router(self.router.url, stack.enter_context(client)) for client in clients)

    def waiting(self) -> int:
        return int(self.router.get("/api/healthz")["queue_size"])


Making = Callable[..., Narrow]


@pytest.fixture
def narrow(servers: Models, models: Models, tmp_path: Path) -> Iterator[Making]:
    with ExitStack() as stack:
        yield lambda most=100, within_s=10.0: Narrow(tmp_path, servers, stack, most=most, within_s=within_s)
        models.reset()


@pytest.fixture
def many() -> Iterator[Asking]:
    with ThreadPoolExecutor(2 * FLOODS) as pool:
        yield lambda router, body=ASK: pool.submit(router.post, CHAT, body)


def occupied(narrow: Narrow, models: Models) -> socket.socket:
    """Somebody holds the one place."""
    models.agent.fail("never-ends")
    holder = a_caller(narrow.router, f"Bearer {narrow.keys[0]}", stream=True, use_case="agent")
    models.agent.wait_for_running(1)
    models.agent.reset()
    return holder


def test_whoever_finds_no_place_waits_for_one(narrow: Making, many: Asking, models: Models) -> None:
    made = narrow()
    with occupied(made, models):
        answer = many(made.bob)
        until(lambda: made.waiting() == 1)
        assert 'smart_router_queue_depth{model="Qwen/Qwen2.5-7B-Instruct"} 1' in made.bob.http.get("/metrics").text
    assert answer.result().status_code == 200
    wait_for_idle(made.bob)
    assert made.waiting() == 0


def overloaded(response: httpx2.Response, limit: str, router: Router) -> None:
    assert response.status_code == 503, response.text
    assert response.json()["error"]["code"] == "overloaded"
    assert int(response.headers["retry-after"]) >= 1
    assert f'smart_router_limited_total{{reason="{limit}"}} 1.0' in router.http.get("/metrics").text


def test_whoever_finds_the_queue_full_is_told_at_once(narrow: Making, many: Asking, models: Models) -> None:
    made = narrow(most=1)
    with occupied(made, models):
        waiting = many(made.ann)
        until(lambda: made.waiting() == 1)
        before = len(models.agent.requests())
        took = []
        for _ in range(5):
            started = time.perf_counter()
            refused = made.bob.post(CHAT, ASK)
            took.append(time.perf_counter() - started)
            assert refused.status_code == 503
        assert min(took) < 0.05
        assert len(models.agent.requests()) == before
    assert waiting.result().status_code == 200


def test_a_full_queue_says_so(narrow: Making, many: Asking, models: Models) -> None:
    made = narrow(most=1)
    with occupied(made, models):
        many(made.ann)
        until(lambda: made.waiting() == 1)
        overloaded(made.bob.post(CHAT, ASK), "queue_full", made.bob)


def test_whoever_waits_too_long_never_reaches_a_model(narrow: Making, models: Models) -> None:
    made = narrow(within_s=0.3)
    with occupied(made, models):
        before = len(models.agent.requests())
        overloaded(made.bob.post(CHAT, ASK), "queue_timeout", made.bob)
        assert made.waiting() == 0
    wait_for_idle(made.bob)
    assert len(models.agent.requests()) == before


def test_one_keys_flood_does_not_make_another_key_wait(narrow: Making, many: Asking, models: Models) -> None:
    made = narrow()
    with occupied(made, models):
        flood = [many(made.ann) for _ in range(FLOODS)]
        until(lambda: made.waiting() == FLOODS)
        other = many(made.bob, saying("bob's", model=AGENT))
        until(lambda: made.waiting() == FLOODS + 1)
        before = len(models.agent.received())
    assert {answer.result().status_code for answer in (other, *flood)} == {200}
    served = [texts(body)[-1][1] for body in models.agent.received()[before:]]
    assert served.index("bob's") == 1


def test_whoever_leaves_the_queue_makes_room(narrow: Making, models: Models) -> None:
    made = narrow()
    with occupied(made, models):
        before = len(models.agent.requests())
        for _ in range(3):
            with a_caller(made.router, f"Bearer {made.keys[1]}", use_case="agent"):
                until(lambda: made.waiting() == 1)
            until(lambda: made.waiting() == 0)
        assert in_flight(made.bob) == 1
        assert len(models.agent.requests()) == before


def test_streams_wait_too(narrow: Making, models: Models) -> None:
    made = narrow()
    holder = occupied(made, models)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(made.bob.post, CHAT, ASK | {"stream": True})
        until(lambda: made.waiting() == 1)
        holder.close()
        assert answer.result().content.endswith(b"data: [DONE]\n\n")
