"""A vLLM dies and comes back, an Ollama answers meanwhile: the answer says so, and its headers, and the metrics."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from smart_router.cli.processes import free_port
from smart_router.simulate import SimulatedModel, running

from .asking import CHAT, PYTHON, a_session, content_of, joined, read_events, saying
from .models import AGENT, Models
from .routers import Router, a_registry, running_router

SMALL = "small"  # the registry's word for it
PULLED = "qwen2.5:0.5b"  # Ollama's
WITHIN_S = 30.0


class Mortal:
    """A simulated vLLM at one address, which may be killed and started again."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._life = ExitStack()

    def start(self) -> None:
        self._life.enter_context(running(SimulatedModel(AGENT, ttft_ms=0, tokens_per_second=0), port=self._port))

    def die(self) -> None:
        self._life.close()


@pytest.fixture(scope="module")
def ollama() -> Iterator[str]:
    model = SimulatedModel(PULLED, ttft_ms=0, tokens_per_second=0, server="ollama")
    with running(model) as url:
        yield url


@pytest.fixture(scope="module")
def vllm() -> Iterator[Mortal]:
    found = Mortal(free_port())
    found.start()
    yield found
    found.die()


@pytest.fixture(scope="module")
def shared(servers: Models, vllm: Mortal, ollama: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    path = a_registry(tmp_path_factory.mktemp("fallback"), servers.endpoints | {AGENT: [vllm.url]})
    with_a_fallback(path, ollama)
    options = {"health_interval": 0.1, "health_timeout": 10.0, "connect_timeout": 10.0}
    with running_router(path, **options) as router:
        yield router


@pytest.fixture
def router(shared: Router, vllm: Mortal) -> Iterator[Router]:
    """While vLLM is there; it is there again for the next test."""
    wait_until(lambda: "healthy" in status_of(shared, AGENT), "vLLM is not known to be healthy")
    yield shared
    vllm.die()
    vllm.start()


def with_a_fallback(path: Path, ollama: str) -> None:
    registry = yaml.safe_load(path.read_text())
    registry["models"][0]["fallbacks"] = [SMALL]
    small = {"id": SMALL, "backend": "ollama", "served_as": PULLED, "endpoints": [ollama]}
    registry["models"].append(small)
    path.write_text(yaml.safe_dump(registry, allow_unicode=True))


def status_of(router: Router, model: str) -> set[str]:
    groups = router.get("/health")["model_endpoints"].values()
    return {replica["status"] for group in groups for replica in group["replicas"] if replica["model"] == model}


def wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def fallbacks(router: Router) -> float:
    """How often the metric has counted this one."""
    page = router.http.get("/metrics").text
    found = re.search(rf'^smart_router_fallbacks_total{{from="{re.escape(AGENT)}",to="{SMALL}"}} (\S+)$', page, re.M)
    return float(found[1]) if found else 0.0


def labels(response: httpx2.Response) -> tuple[str, str | None]:
    return response.headers["x-route-model"], response.headers.get("x-route-fallback")


# one question, in every way that it can be asked; gives the response, its text, and what it says of the fallback


def routed(router: Router) -> tuple[httpx2.Response, str, list[dict[str, Any]]]:
    response = router.route(PYTHON)
    return response, response.text, [response.json()]


def routed_as_a_stream(router: Router) -> tuple[httpx2.Response, str, list[dict[str, Any]]]:
    response = router.route(PYTHON, stream=True)
    events = read_events(response.text.splitlines())
    return response, joined(events), [event.data for event in events if event.name in ("route", "done")]


def passed_on(router: Router) -> tuple[httpx2.Response, str, list[dict[str, Any]]]:
    response = router.chat(PYTHON)
    return response, response.text, []


def passed_on_as_a_stream(router: Router) -> tuple[httpx2.Response, str, list[dict[str, Any]]]:
    response = router.chat(PYTHON, stream=True)
    return response, content_of(response.content), []


WAYS = (routed, routed_as_a_stream, passed_on, passed_on_as_a_stream)


@pytest.mark.parametrize("ask", WAYS)
def test_ollama_answers_for_a_vllm_that_died_and_everything_says_so(router: Router, vllm: Mortal, ask: Any) -> None:
    before = fallbacks(router)
    response, text, records = ask(router)
    assert (response.status_code, labels(response)) == (200, (AGENT, None))
    assert f"[simulated {AGENT}]" in text
    assert all("fallback_from" not in record for record in records)

    vllm.die()
    response, text, records = ask(router)
    assert (response.status_code, labels(response)) == (200, (SMALL, AGENT))
    assert f"[simulated {PULLED}]" in text
    assert [(record["selected_model"], record["fallback_from"]) for record in records] == [(SMALL, AGENT)] * len(
        records
    )
    assert fallbacks(router) == before + 1

    vllm.start()
    wait_until(lambda: status_of(router, AGENT) == {"healthy"}, "vLLM is not back")
    response, text, records = ask(router)
    assert (response.status_code, labels(response)) == (200, (AGENT, None))
    assert f"[simulated {AGENT}]" in text
    assert fallbacks(router) == before + 1


def test_both_streams_events_and_the_record_have_it(router: Router, vllm: Mortal) -> None:
    vllm.die()
    _, _, records = routed_as_a_stream(router)
    assert len(records) == 2


def test_a_conversation_goes_on_at_the_fallback_and_comes_back(router: Router, vllm: Mortal) -> None:
    session = a_session()
    assert router.answer(PYTHON, session_id=session)["selected_model"] == AGENT
    vllm.die()
    there = router.answer("Add error handling to that function", session_id=session)
    assert (there["selected_model"], there["fallback_from"]) == (SMALL, AGENT)
    assert "2 earlier messages" in there["result"]
    vllm.start()
    wait_until(lambda: status_of(router, AGENT) == {"healthy"}, "vLLM is not back")
    back = router.answer("Make that function faster", session_id=session)
    assert back["selected_model"] == AGENT
    assert "4 earlier messages" in back["result"]


def test_a_fallback_that_lacks_its_model_says_how_to_get_it(router: Router, vllm: Mortal, ollama: str) -> None:
    httpx2.request("DELETE", f"{ollama}/api/delete", json={"model": PULLED}, trust_env=False).raise_for_status()
    try:
        vllm.die()
        response = router.route(PYTHON)
        assert response.status_code in (502, 503)
        wait_until(lambda: "ollama pull qwen2.5:0.5b" in router.http.get("/health").text, "/health does not say it")
    finally:
        httpx2.post(f"{ollama}/api/pull", json={"model": PULLED}, trust_env=False).raise_for_status()
    wait_until(lambda: status_of(router, SMALL) == {"healthy"}, "Ollama is not well again")
    assert router.answer(PYTHON)["selected_model"] == SMALL


def test_the_client_may_not_forge_the_label(router: Router) -> None:
    response = router.post(CHAT, saying(PYTHON), **{"X-Route-Fallback": "forged"})
    assert "x-route-fallback" not in response.headers


def test_the_schema_knows_it(router: Router) -> None:
    schema = router.get("/openapi.json")
    assert "fallback_from" in schema["components"]["schemas"]["RouteResponse"]["properties"]
    for path in ("/route", CHAT):
        assert "X-Route-Fallback" in schema["paths"][path]["post"]["responses"]["200"]["headers"]
