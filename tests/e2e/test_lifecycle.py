"""
Models that come and go, over HTTP: more of them than their group has room for, on simulated servers that sleep and wake
as vLLM does. Rows U16 to U19, U21 and O4 of docs/reliability.md.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from smart_router.decide import sse
from smart_router.simulate import FaultName, SimulatedModel, running

from .asking import CHAT, PYTHON, saying
from .models import AGENT, AUDIO, KINDS, MULTIMODAL, ModelServer
from .redis_process import RedisProcess
from .routers import Router, a_registry, in_flight, running_router, until

ALL = (AGENT, MULTIMODAL, AUDIO)
WORDS = {AGENT: PYTHON, MULTIMODAL: "What is in this picture?", AUDIO: "Read this aloud"}
KEY = "sk-Administrators.Key_for-Models"


@dataclass(frozen=True)
class Sleeper:
    """A simulated server, and what became of it."""

    server: ModelServer

    def ask(self, path: str) -> Any:
        return self.server.http.get(self.server.url + path).json()

    @property
    def asleep(self) -> bool:
        return bool(self.ask("/is_sleeping")["is_sleeping"])

    @property
    def wakes(self) -> int:
        return int(self.ask("/simulate/lifecycle")["wakes"])

    @property
    def sleeps(self) -> int:
        return int(self.ask("/simulate/lifecycle")["sleeps"])

    def put_to_sleep(self) -> None:
        self.server.http.post(f"{self.server.url}/sleep").raise_for_status()

    def fail(self, fault: FaultName, count: int | None = None) -> None:
        self.server.fail(fault, count)


class Bedroom:
    """Three sleepers in one group, all awake at first, and routers that look after them."""

    def __init__(self, folder: Path, stack: ExitStack, room: int, simulated: Mapping[str, Any]) -> None:
        http = stack.enter_context(httpx2.Client(timeout=30, trust_env=False))
        self.sleepers: dict[str, Sleeper] = {}
        for id, kind in KINDS.items():
            options = {"ttft_ms": 0, "tokens_per_second": 0, **simulated}
            url = stack.enter_context(running(SimulatedModel(id, "any" if kind == "image" else kind, **options)))
            self.sleepers[id] = Sleeper(ModelServer(id, url, http))
        self._stack = stack
        endpoints = {id: [sleeper.server.url] for id, sleeper in self.sleepers.items()}
        self.registry = a_registry(folder, endpoints, {id: {"lifecycle": "sleep", "group": "gpu0"} for id in ALL})
        self.change(lambda registry: registry.update(groups={"gpu0": {"max_resident": room}}))

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        registry = yaml.safe_load(self.registry.read_text())
        change(registry)
        self.registry.write_text(yaml.safe_dump(registry, allow_unicode=True))

    def router(self, **options: Any) -> Router:
        patient = {"routing_mode": "standard", "min_residency": 0.0, "lifecycle_interval": 0.2, **options}
        return self._stack.enter_context(running_router(self.registry, **patient))

    def awake(self) -> list[str]:
        return [id for id, sleeper in self.sleepers.items() if not sleeper.asleep]

    @property
    def swaps(self) -> int:
        return sum(sleeper.wakes for sleeper in self.sleepers.values())


Making = Callable[..., Bedroom]


@pytest.fixture
def bedroom(tmp_path: Path) -> Iterator[Making]:
    with ExitStack() as stack:
        yield lambda room=2, **simulated: Bedroom(tmp_path, stack, room, simulated)


def asked(router: Router, model: str, **fields: Any) -> str:
    """Who answered a request that names *model*."""
    response = router.chat(WORDS[model], model=model, max_tokens=2, **fields)
    assert response.status_code == 200, response.text
    return response.headers["x-route-model"]


def all_at_once(*calls: Callable[[], Any]) -> Sequence[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [call.result() for call in [pool.submit(call) for call in calls]]


def test_a_conversation_that_visits_three_models_gets_every_answer_with_room_for_two(bedroom: Making) -> None:
    room = bedroom(2)
    router = room.router()
    for turn in range(9):
        model = ALL[turn % 3]
        assert asked(router, model, session="visits") == model
        assert len(room.awake()) <= 2
    told = router.http.get("/metrics").text
    assert f'smart_router_model_swap_seconds_count{{model="{AGENT}"}}' in told
    assert room.swaps >= 4


def test_where_more_are_awake_than_there_is_room_for_one_goes_to_sleep(bedroom: Making) -> None:
    room = bedroom(2)
    room.router()
    until(lambda: len(room.awake()) == 2)


def test_u21_one_that_is_put_to_sleep_behind_the_routers_back_is_woken_not_hung_on(bedroom: Making) -> None:
    room = bedroom(3)
    router = room.router(max_concurrent_models=3)
    for _ in range(3):
        assert asked(router, AGENT) == AGENT
        room.sleepers[AGENT].put_to_sleep()
    assert asked(router, AGENT) == AGENT


def test_u21_one_that_is_always_to_be_awake_and_sleeps_is_refused_not_hung_on(bedroom: Making) -> None:
    room = bedroom(3)
    room.change(lambda registry: [model.update(lifecycle="always") for model in registry["models"]])
    router = room.router()
    assert asked(router, AGENT) == AGENT
    room.sleepers[AGENT].put_to_sleep()
    response = router.chat(PYTHON, model=AGENT, max_tokens=2)
    assert response.status_code == 503
    assert "retry-after" in response.headers


def test_u17_many_requests_for_a_cold_model_wake_it_once(bedroom: Making) -> None:
    room = bedroom(3, wake_seconds=0.3)
    router = room.router()
    room.sleepers[AGENT].put_to_sleep()
    assert set(all_at_once(*[lambda: asked(router, AGENT)] * 8)) == {AGENT}
    assert room.sleepers[AGENT].wakes == 1
    assert in_flight(router) == 0


def test_u18_who_streams_is_not_put_to_sleep_until_it_is_done(bedroom: Making) -> None:
    room = bedroom(1, tokens_per_second=40)
    router = room.router(model_switch_timeout=30)
    assert asked(router, AGENT) == AGENT

    def streamed() -> str:
        return router.chat(PYTHON, model=AGENT, max_tokens=60, stream=True).text

    with ThreadPoolExecutor(2) as pool:
        stream = pool.submit(streamed)
        until(lambda: in_flight(router) == 1)
        assert pool.submit(asked, router, AUDIO).result() == AUDIO
        assert stream.result().rstrip().endswith("data: [DONE]")
        assert "abort" not in stream.result()
    assert room.awake() == [AUDIO]


def test_u19_a_failed_load_is_told_to_all_who_wait_and_the_next_try_starts_clean(bedroom: Making) -> None:
    room = bedroom(3)
    router = room.router()
    room.sleepers[AGENT].put_to_sleep()
    room.sleepers[AGENT].fail("wake-fails", 1)
    refused = router.chat(PYTHON, model=AGENT, max_tokens=2)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_not_ready")
    assert int(refused.headers["retry-after"]) >= 1
    assert AGENT in refused.json()["error"]["message"]
    assert asked(router, MULTIMODAL) == MULTIMODAL
    assert asked(router, AGENT) == AGENT


def test_u16_a_sleep_that_freed_nothing_is_no_eviction(bedroom: Making) -> None:
    room = bedroom(1)
    router = room.router(model_switch_timeout=1.5)
    assert asked(router, AGENT) == AGENT
    until(lambda: room.awake() == [AGENT])
    room.sleepers[AGENT].fail("sleep-lies")
    refused = router.chat(PYTHON, model=AUDIO, max_tokens=2)
    assert refused.status_code == 503
    assert room.awake() == [AGENT]
    failed = f'smart_router_model_evictions_total{{model="{AGENT}",outcome="failed"}}'
    until(lambda: failed in router.http.get("/metrics").text)
    assert asked(router, AGENT) == AGENT
    room.sleepers[AGENT].server.reset()


def test_o4_alternating_cold_models_are_swapped_seldom_and_both_are_served(bedroom: Making) -> None:
    room = bedroom(1)
    router = room.router(min_residency=0.6, model_switch_timeout=30)
    began, answered = time.monotonic(), dict.fromkeys((AGENT, AUDIO), 0)

    def asking(model: str) -> None:
        for _ in range(6):
            assert asked(router, model) == model
            answered[model] += 1

    all_at_once(*(lambda model=model: asking(model) for model in answered))
    assert answered == {AGENT: 6, AUDIO: 6}
    assert room.swaps <= 2 + (time.monotonic() - began) / 0.6


def events(text: str) -> list[sse.Event]:
    return list(sse.Parser().feed(text.encode()))


@pytest.mark.parametrize("door", ["/route", CHAT])
def test_a_client_that_takes_a_stream_hears_comments_while_its_model_wakes(bedroom: Making, door: str) -> None:
    room = bedroom(3, wake_seconds=1.0)
    router = room.router(wait_comment_interval=0.2)
    room.sleepers[AGENT].put_to_sleep()
    until(lambda: state(router, AGENT) == "sleeping")
    ours = {"query": PYTHON, "use_case": "agent", "stream": True, "max_tokens": 3}
    body = ours if door == "/route" else saying(PYTHON, model=AGENT, stream=True, max_tokens=3)
    response = router.http.post(door, json=body)
    assert response.status_code == 200
    assert response.text.startswith(f": {AGENT} is being woken")
    assert response.headers["x-route-model"] == AGENT
    found = events(response.text)
    assert (found[-1].event == "done") if door == "/route" else (found[-1].data == "[DONE]")


@pytest.mark.parametrize("door", ["/route", CHAT])
def test_what_goes_wrong_after_the_first_comment_is_told_by_an_event(bedroom: Making, door: str) -> None:
    room = bedroom(3)
    router = room.router(wait_comment_interval=0.1, model_switch_timeout=0.5)
    room.sleepers[AGENT].put_to_sleep()
    room.sleepers[AGENT].fail("wake-hangs")
    until(lambda: state(router, AGENT) == "sleeping")
    ours = {"query": PYTHON, "use_case": "agent", "stream": True, "max_tokens": 3}
    body = ours if door == "/route" else saying(PYTHON, model=AGENT, stream=True, max_tokens=3)
    response = router.http.post(door, json=body)
    assert response.status_code == 200
    last = events(response.text)[-1]
    told = json.loads(last.data)
    code = told["error_code"] if door == "/route" else told["error"]["code"]
    assert code == "model_not_ready"
    assert "[DONE]" not in response.text
    room.sleepers[AGENT].server.reset()


def test_what_never_answers_with_a_stream_hears_none_while_its_model_wakes(bedroom: Making) -> None:
    room = bedroom(3, wake_seconds=1.0)
    router = room.router(wait_comment_interval=0.1)
    room.sleepers[AGENT].put_to_sleep()
    until(lambda: state(router, AGENT) == "sleeping")
    response = router.http.post("/tokenize", json={"model": AGENT, "prompt": "Hi", "stream": True})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json()["count"] > 0


def state(router: Router, model: str) -> str:
    return {found["id"]: str(found["state"]) for found in models(router)}[model]


def models(router: Router) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = router.get("/health")["model_endpoints"]["gpu0"]["replicas"]
    return [{"id": replica["model"], "state": _STATES.get(replica["status"], replica["status"])} for replica in found]


_STATES = {"asleep": "sleeping", "healthy": "awake"}


class TestRealtime:
    def test_as_many_as_fit_are_awake_from_the_start_and_stay(self, bedroom: Making) -> None:
        room = bedroom(2)
        for sleeper in room.sleepers.values():
            sleeper.put_to_sleep()
        router = room.router(routing_mode="realtime")
        until(lambda: room.awake() == [AGENT, MULTIMODAL])
        refused = router.chat(WORDS[AUDIO], model=AUDIO, max_tokens=2)
        assert refused.status_code == 503
        assert room.awake() == [AGENT, MULTIMODAL]


class TestSeveralRouters:
    @pytest.fixture
    def routers(self, bedroom: Making, redis: RedisProcess) -> tuple[Bedroom, list[Router]]:
        room = bedroom(1, wake_seconds=0.1, sleep_seconds=0.1)
        options = {"redis_url": redis.url, "model_switch_timeout": 60, "min_residency": 0.3}
        return room, [room.router(**options) for _ in range(2)]

    def test_they_agree_on_who_is_awake(self, routers: tuple[Bedroom, list[Router]]) -> None:
        room, (one, other) = routers
        seen: list[int] = []

        def asking(router: Router, models: Sequence[str]) -> None:
            for model in models:
                assert asked(router, model) == model
                seen.append(len(room.awake()))

        all_at_once(lambda: asking(one, [AGENT, AUDIO] * 3), lambda: asking(other, [AUDIO, MULTIMODAL] * 3))
        assert max(seen) <= 1


class TestOrders:
    def test_administrators_load_and_unload(self, bedroom: Making) -> None:
        room = bedroom(1)
        router = room.router(api_key=KEY)
        router.http.headers["Authorization"] = f"Bearer {KEY}"
        until(lambda: len(room.awake()) == 1)
        loaded = router.http.post(f"/models/{AUDIO}/load", params={"wait": "true"})
        assert (loaded.status_code, loaded.json()["state"]) == (200, "awake")
        assert room.awake() == [AUDIO]
        unloaded = router.http.post(f"/models/{AUDIO}/unload", params={"wait": "true"})
        assert (unloaded.status_code, unloaded.json()["state"]) == (200, "sleeping")
        assert room.awake() == []

    def test_who_is_pinned_is_not_evicted(self, bedroom: Making) -> None:
        room = bedroom(1)
        router = room.router(api_key=KEY)
        router.http.headers["Authorization"] = f"Bearer {KEY}"
        assert router.http.post(f"/models/{AUDIO}/pin").status_code == 200
        until(lambda: room.awake() == [AUDIO])
        assert router.chat(PYTHON, model=AGENT, max_tokens=2).status_code == 503
        assert router.http.post(f"/models/{AUDIO}/unload").json()["error_code"] == "model_kept"
        assert router.http.delete(f"/models/{AUDIO}/pin").status_code == 200
        assert asked(router, AGENT) == AGENT


def test_a_server_that_cannot_be_put_to_sleep_is_said_once_and_serves_on(bedroom: Making) -> None:
    room = bedroom(3, dev_mode=False)
    router = room.router(api_key=KEY)
    router.http.headers["Authorization"] = f"Bearer {KEY}"
    assert [asked(router, model) for model in ALL] == list(ALL)
    trouble = {model["id"]: model["trouble"] for model in router.get("/models")["models"]}
    assert "VLLM_SERVER_DEV_MODE=1" in trouble[AGENT]
    assert AGENT in trouble[AGENT]
