"""Another registry while the router serves."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from smart_router.access.keyfile import change_keys, new_entry
from smart_router.cli.processes import free_port, smart_router
from smart_router.simulate import SimulatedModel, running

from .asking import CHAT, FOLLOW_UP, PYTHON, a_session, saying
from .models import AGENT, KINDS, Models
from .routers import KEY, SOON_S, Router, a_client, a_registry, environment, running_router, until, wait_for_idle
from .test_leaving import a_caller
from .test_stopping import Process, Starting, a_process

__all__ = ["a_process"]

NEW = "a-new-model"
STARTS_WITHIN_S = 100.0


class Changing:
    """A router whose registry can be changed."""

    def __init__(self, folder: Path, servers: Models, router: Router) -> None:
        self._folder = folder
        self._endpoints = servers.endpoints
        self.router = router

    def now(self, change: Callable[[dict[str, Any]], object] = lambda registry: None) -> None:
        """The shipped registry with *change* made to it is in the file."""
        path = a_registry(self._folder, self._endpoints)
        registry = yaml.safe_load(path.read_text())
        change(registry)
        path.write_text(yaml.safe_dump(registry, allow_unicode=True))

    def reload(self) -> httpx2.Response:
        return self.router.http.post("/admin/reload")

    def reloaded(self) -> dict[str, Any]:
        response = self.reload()
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def moved(self, *endpoints: str) -> None:
        self.now(lambda registry: registry["models"][0].update(endpoints=list(endpoints)))
        assert self.reloaded()["changed"] == [AGENT]


@pytest.fixture
def changing(servers: Models, models: Models, tmp_path: Path) -> Iterator[Changing]:
    registry = a_registry(tmp_path, servers.endpoints)
    with (
        running_router(registry, api_key=KEY, health_interval=0.2) as router,
        a_client(router.url, Authorization=f"Bearer {KEY}") as http,
    ):
        yield Changing(tmp_path, servers, Router(router.url, http))


@pytest.fixture
def another() -> Iterator[str]:
    """A second server of the agent's model."""
    with running(SimulatedModel(AGENT, KINDS[AGENT])) as url:
        yield url


def added(registry: dict[str, Any]) -> None:
    registry["models"].append(registry["models"][0] | {"id": NEW, "group": "another"})
    registry.setdefault("groups", {})["another"] = {}


def test_only_administrators_may(changing: Changing) -> None:
    with a_client(changing.router.url) as nobody:
        assert nobody.post("/admin/reload").status_code == 401


def test_without_a_key_nobody_may(router: Router) -> None:
    assert router.http.post("/admin/reload").status_code == 403


def test_nothing_changed(changing: Changing) -> None:
    told = changing.reloaded()
    assert (told["added"], told["removed"], told["changed"], told["restarting"]) == ([], [], [], False)
    assert told["use_cases"] == ["agent", "multimodal", "video", "stt", "tts", "avatar"]


def test_a_new_model_answers_at_once(changing: Changing) -> None:
    assert changing.router.chat(PYTHON, model=NEW).status_code == 404
    changing.now(added)
    assert changing.reloaded()["added"] == [NEW]
    assert changing.router.chat(PYTHON, model=NEW).status_code == 200
    assert NEW in changing.router.http.get("/v1/models").text


def test_a_model_that_is_gone_is_unknown(changing: Changing) -> None:
    changing.now(added)
    changing.reloaded()
    changing.now()
    assert changing.reloaded()["removed"] == [NEW]
    assert changing.router.chat(PYTHON, model=NEW).status_code == 404
    assert NEW not in changing.router.http.get("/metrics").text.split("smart_router_in_flight{")[1]


WRONG: Mapping[str, tuple[Callable[[dict[str, Any]], object], Sequence[str]]] = {
    "a wrong type": (lambda r: r["models"][0].update(max_in_flight="many"), ("models[0].max_in_flight", "many")),
    "an unknown key": (lambda r: r["models"][0].update(colour="red"), ("models[0].colour", "unknown key")),
    "no such model": (lambda r: r["use_cases"][0].update(models=["x"]), ("use_cases[0].models[0]", '"x"')),
    "a kind that is not there": (lambda r: r["models"][0].update(backend="tgi"), ("models[0].backend", "tgi")),
    "no examples": (lambda r: r["use_cases"][0].update(examples="no.yaml"), ("use_cases[0].examples", "no.yaml")),
    "examples of nothing": (lambda r: r["use_cases"][0].update(examples=__file__), ("test_reloading.py", "read")),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_registry_is_named_and_the_old_one_stays(
    changing: Changing, change: Callable[[dict[str, Any]], object], said: Sequence[str]
) -> None:
    changing.now(added)
    changing.reloaded()
    changing.now(change)
    response = changing.reload()
    assert response.status_code == 422
    told = response.json()
    assert (told["success"], told["error_code"]) == (False, "bad_configuration")
    assert [words for words in said if words not in told["error_message"]] == []
    assert changing.router.chat(PYTHON, model=NEW).status_code == 200
    assert changing.router.answer(PYTHON)["use_case"] == "agent"


def test_a_broken_file_is_named_and_the_old_one_stays(changing: Changing, tmp_path: Path) -> None:
    (tmp_path / "model_registry.yaml").write_text("models: [")
    response = changing.reload()
    assert (response.status_code, "not YAML" in response.text) == (422, True)
    assert changing.router.answer(PYTHON)["use_case"] == "agent"


def test_a_key_for_a_model_that_would_go_keeps_the_registry(servers: Models, models: Models, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    (admin, one), (_, two) = new_entry("ops", ["route", "admin"]), new_entry("app", ["route"], models=(NEW,))
    change_keys(path, lambda _: [one, two])
    folder = tmp_path / "config"
    folder.mkdir()
    registry = a_registry(folder, servers.endpoints)
    found = yaml.safe_load(registry.read_text())
    added(found)
    registry.write_text(yaml.safe_dump(found, allow_unicode=True))
    with (
        running_router(registry, api_keys_file=path) as router,
        a_client(router.url, Authorization=f"Bearer {admin}") as http,
    ):
        changing = Changing(folder, servers, Router(router.url, http))
        changing.now()
        response = changing.reload()
        assert response.status_code == 422
        assert two.id in response.text
        assert changing.router.chat(PYTHON, model=NEW).status_code == 200


def test_a_replica_that_was_removed_finishes_what_it_has(changing: Changing, models: Models, another: str) -> None:
    models.agent.fail("never-ends")
    with a_caller(changing.router, f"Bearer {KEY}", stream=True, use_case="agent") as caller:
        models.agent.wait_for_running(1)
        changing.moved(another)
        caller.recv(65_536)
        for _ in range(3):
            assert caller.recv(65_536)
        assert changing.router.answer(PYTHON)["success"]
        assert models.agent.running() == 1
    models.agent.wait_for_running(0)
    wait_for_idle(changing.router)


def test_the_sessions_of_a_replica_that_was_removed_go_on_elsewhere(
    changing: Changing, models: Models, another: str
) -> None:
    id = a_session()
    changing.router.answer(PYTHON, session_id=id)
    assert changing.router.session(id)["endpoint"] == models.agent.url
    changing.moved(another)
    followed = changing.router.answer(FOLLOW_UP, session_id=id)
    assert (followed["bypass_used"], followed["context_changed"]) == (True, False)
    assert changing.router.session(id)["endpoint"] == another


def test_a_session_whose_use_case_is_gone_is_classified_anew(changing: Changing) -> None:
    id, poetry = a_session(), {"id": "poetry", "models": [AGENT]}
    changing.now(lambda registry: registry["use_cases"].append(poetry))
    changing.reloaded()
    assert changing.router.answer("blue", session_id=id, use_case="poetry")["use_case"] == "poetry"
    changing.now()
    assert "poetry" not in changing.reloaded()["use_cases"]
    assert changing.router.answer(PYTHON, session_id=id)["use_case"] == "agent"


def replaced(registry: dict[str, Any]) -> None:
    """Another model in the place of the agent's."""
    old = registry["models"].pop(0)
    registry["models"].append(old | {"id": NEW})
    for use_case in registry["use_cases"]:
        use_case["models"] = [NEW if model == AGENT else model for model in use_case["models"]]


def test_whoever_waits_for_a_model_that_goes_is_still_served(changing: Changing, models: Models) -> None:
    changing.now(lambda registry: registry["models"][0].update(max_in_flight=1))
    changing.reloaded()
    models.agent.fail("never-ends")
    with ThreadPoolExecutor(1) as pool:
        with a_caller(changing.router, f"Bearer {KEY}", stream=True, use_case="agent"):
            models.agent.wait_for_running(1)
            models.agent.reset()
            waiting = pool.submit(changing.router.route, PYTHON, use_case="agent")
            until(lambda: changing.router.get("/api/healthz")["queue_size"] == 1)
            changing.now(replaced)
            assert changing.reloaded()["removed"] == [AGENT]
        assert waiting.result().status_code == 200


def test_a_request_that_is_still_arriving_is_served(changing: Changing, models: Models) -> None:
    body = json.dumps({"query": PYTHON}).encode()
    head = f"POST /route HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nAuthorization: Bearer {KEY}\r\n"
    with socket.create_connection(("127.0.0.1", changing.router.port), timeout=SOON_S) as caller:
        caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        time.sleep(0.2)
        changing.now(replaced)
        changing.reloaded()
        caller.sendall(body[5:])
        assert caller.recv(65_536).startswith(b"HTTP/1.1 200")


def test_no_request_fails_while_the_registry_changes(changing: Changing, models: Models, another: str) -> None:
    stop, statuses = threading.Event(), list[int]()

    def talk() -> None:
        session = a_session()
        while not stop.is_set():
            statuses.append(changing.router.route(PYTHON, session_id=session).status_code)

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        changing.moved(another)
        changing.moved(models.agent.url)
    until(lambda: len(statuses) > 20)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}


def test_more_room_serves_those_who_wait(changing: Changing, models: Models) -> None:
    changing.now(lambda registry: registry["models"][0].update(max_in_flight=1))
    changing.reloaded()
    models.agent.fail("never-ends")
    with a_caller(changing.router, f"Bearer {KEY}", stream=True, use_case="agent"):
        models.agent.wait_for_running(1)
        models.agent.reset()
        answers = list[int]()
        waiting = threading.Thread(target=lambda: answers.append(changing.router.chat(PYTHON, model=AGENT).status_code))
        waiting.start()
        until(lambda: changing.router.get("/api/healthz")["queue_size"] == 1)
        changing.now()
        changing.reloaded()
        waiting.join(20)
        assert answers == [200]
    wait_for_idle(changing.router)


def test_a_signal_does_the_same(a_process: Starting, models: Models, tmp_path: Path) -> None:
    with a_process(DRAIN_DELAY="0") as router:
        changing = Changing(tmp_path, models, router)
        (tmp_path / "model_registry.yaml").write_text("models: [")
        router.told(signal.SIGHUP)
        time.sleep(0.3)
        assert router.status() == 200
        changing.now(added)
        router.told(signal.SIGHUP)
        until(lambda: router.chat(PYTHON, model=NEW).status_code == 200)


FEW_EXAMPLES = """
en:
  someone:
  - Write a Python function
  - Explain this error
  - Plan my week
  - Translate this sentence
  - Sum up this article
"""


@pytest.mark.timeout(STARTS_WITHIN_S + 30)
def test_of_several_workers_each_is_replaced(models: Models, redis_url: str, tmp_path: Path) -> None:
    """With few examples, so that each of the five starts is quick."""
    path, port = tmp_path / "model_registry.yaml", free_port()
    (tmp_path / "few.yaml").write_text(FEW_EXAMPLES)
    registry: dict[str, Any] = {
        "version": 1,
        "models": [{"id": AGENT, "endpoints": [models.agent.url], "served_as": AGENT}],
        "use_cases": [{"id": "agent", "models": [AGENT], "examples": "few.yaml"}],
    }
    path.write_text(yaml.safe_dump(registry))
    told = {"MODEL_REGISTRY": str(path), "CLASSIFIER_DIR": str(tmp_path), "REDIS_URL": redis_url, "API_KEY": KEY}
    command = smart_router("serve", "--port", str(port), "--workers", "2")
    with (
        subprocess.Popen(
            command, env=environment(DRAIN_DELAY="60", **told), stderr=subprocess.DEVNULL, start_new_session=True
        ) as process,
        a_client(f"http://127.0.0.1:{port}", Authorization=f"Bearer {KEY}", Connection="close") as http,
    ):
        try:
            router = Process(str(http.base_url), http)
            deadline = time.monotonic() + STARTS_WITHIN_S
            while router.status() != 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            (tmp_path / "few.yaml").write_text("en: [")
            assert http.post("/admin/reload").status_code == 422
            (tmp_path / "few.yaml").write_text(FEW_EXAMPLES)
            added(registry)
            path.write_text(yaml.safe_dump(registry))
            told_so = http.post("/admin/reload").json()
            assert (told_so["added"], told_so["restarting"]) == ([NEW], True)
            in_a_row = 0
            while in_a_row < 10:  # whichever worker answers
                assert time.monotonic() < deadline
                asked = router.post(CHAT, saying(PYTHON, model=NEW)).status_code
                assert asked in (200, 404)
                in_a_row = in_a_row + 1 if asked == 200 else 0
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGTERM)  # to each worker, too, which hears of it from its parent again
            until(lambda: router.status() == 503)
            for _ in range(10):
                time.sleep(0.1)
                assert router.status() == 503
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
