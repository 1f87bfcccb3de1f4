"""Many keys: each has its own sessions, is for what it is for, and comes and goes while the router runs."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from smart_router.access.keyfile import Entry, change_keys, digest_of, new_entry
from smart_router.types import Scope

from .asking import CHAT, FOLLOW_UP, PYTHON, a_session, saying
from .models import AGENT, AUDIO, MULTIMODAL, Models
from .routers import Router, a_client, a_registry, running_router, until

pytestmark = pytest.mark.usefixtures("models")  # without the faults that other tests leave

EVERY_PATH = [
    ("POST", "/route", {"query": PYTHON}),
    ("POST", "/classify", {"query": PYTHON}),
    ("POST", CHAT, saying(PYTHON)),
    ("POST", "/v1/embeddings", {"model": "auto", "input": "x"}),
    ("GET", "/sessions/x", None),
    ("DELETE", "/sessions/x", None),
    ("PATCH", "/sessions/x", {"use_case": None}),
    ("GET", "/sessions", None),
    ("GET", "/v1/responses/resp_1", None),
]


@dataclass
class Keyed:
    """A router with a file of keys."""

    url: str
    path: Path
    stack: ExitStack

    def key(self, *scopes: Scope, **allowed: Any) -> str:
        key, entry = new_entry("test", scopes or ("route",), **allowed)
        change_keys(self.path, lambda entries: (*entries, entry))
        return key

    def client(self, key: str) -> Router:
        """One for whom *key* works already."""
        http = self.stack.enter_context(a_client(self.url, Authorization=f"Bearer {key}"))
        until(lambda: http.get("/stats").status_code == 200)
        return Router(self.url, http)


@contextmanager
def keyed(folder: Path, servers: Models, **options: Any) -> Iterator[Keyed]:
    path = folder / "keys.json"
    change_keys(path, lambda _: [])
    registry = a_registry(folder, servers.endpoints)
    with running_router(registry, api_keys_file=path, **options) as router, ExitStack() as stack:
        yield Keyed(router.url, path, stack)


@pytest.fixture(scope="module")
def door(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with keyed(tmp_path_factory.mktemp("keys"), servers) as found:
        yield found


@pytest.fixture(scope="module", params=["embedded", "redis"])
def two(
    request: pytest.FixtureRequest, servers: Models, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Router, Router]]:
    """Two callers of a router, with each kind of store."""
    options = {"redis_url": redis_url} if request.param == "redis" else {}
    with keyed(tmp_path_factory.mktemp("tenants"), servers, **options) as found:
        yield found.client(found.key()), found.client(found.key())


# a session belongs to the key that made it


def test_one_id_is_two_sessions_for_two_keys(two: tuple[Router, Router]) -> None:
    ann, bob = two
    id = a_session()
    assert ann.answer(PYTHON, session_id=id)["new_session"] is True
    assert bob.answer(PYTHON, session_id=id)["new_session"] is True
    assert ann.answer(FOLLOW_UP, session_id=id)["bypass_used"] is True
    assert (ann.session(id)["request_count"], bob.session(id)["request_count"]) == (2, 1)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_anothers_session_is_as_unknown_as_one_that_never_was(two: tuple[Router, Router], method: str) -> None:
    ann, bob = two
    id, body = a_session(), {"use_case": "tts"} if method == "PATCH" else None
    ann.answer(PYTHON, session_id=id)
    theirs, nobodys = (bob.http.request(method, f"/sessions/{name}", json=body) for name in (id, a_session()))
    assert (theirs.status_code, theirs.json() | {"request_id": 0}) == (404, nobodys.json() | {"request_id": 0})
    assert ann.knows(id)


def test_anothers_stored_response_is_unknown(two: tuple[Router, Router]) -> None:
    ann, bob = two
    id = ann.post("/v1/responses", {"model": "auto", "input": PYTHON}).json()["id"]
    unknown = f"no response {id} is known"
    assert unknown in bob.http.get(f"/v1/responses/{id}").text
    on = bob.post("/v1/responses", {"model": "auto", "input": "on", "previous_response_id": id})
    assert on.status_code == 404
    assert (
        unknown not in ann.http.get(f"/v1/responses/{id}").text
    )  # the model server's word: a simulated one keeps none


def test_a_session_that_a_client_does_not_name_is_not_shared_either(two: tuple[Router, Router]) -> None:
    """Derived from what was said first: the caller is part of it."""
    ids = {one.http.post(CHAT, json=saying(PYTHON)).headers["x-session-id"] for one in two for _ in range(2)}
    assert len(ids) == 2


# what a key is for


@pytest.mark.parametrize(("method", "path", "body"), EVERY_PATH)
def test_a_key_for_metrics_is_for_nothing_else(door: Keyed, method: str, path: str, body: Any) -> None:
    watcher = door.client(door.key("metrics"))
    refused(watcher.http.request(method, path, json=body), 403, "use one with the scope route")


def test_metrics_need_their_scope(door: Keyed) -> None:
    assert door.client(door.key("metrics")).http.get("/metrics").status_code == 200
    assert door.client(door.key("admin")).http.get("/metrics").status_code == 200
    refused(door.client(door.key()).http.get("/metrics"), 403, "metrics")
    with a_client(door.url) as http:
        refused(http.get("/metrics"), 401, "Bearer")


@pytest.mark.parametrize("scopes", [("route",), ("metrics",), ("route", "metrics")])
def test_only_an_administrator_may_administrate(door: Keyed, scopes: tuple[Scope, ...]) -> None:
    refused(door.client(door.key(*scopes)).http.delete("/stats"), 403, "admin")
    assert door.client(door.key("admin")).http.delete("/stats").status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/ready", "/health", "/use-cases"])
def test_probes_need_no_key(door: Keyed, path: str) -> None:
    with a_client(door.url) as http:
        assert http.get(path).status_code == 200


def test_a_use_case_that_the_key_is_not_for_never_reaches_a_model(door: Keyed, models: Models) -> None:
    writer = door.client(door.key(use_cases=("agent",)))
    assert writer.answer(PYTHON)["use_case"] == "agent"
    before = models.requests()
    for response in (
        writer.route("read it aloud", use_case="tts"),
        writer.post(CHAT, saying("read it aloud") | {"model": "tts"}),
        writer.classify("read it aloud", use_case="tts"),
    ):
        refused(response, 403, "not for tts; it is for agent")
    assert models.requests() == before


def test_nor_does_a_model_that_it_is_not_for(door: Keyed, models: Models) -> None:
    small = door.client(door.key(models=("Qwen/Qwen2-Audio-7B",)))
    before = models.requests()
    refused(small.route(PYTHON), 403, "not for Qwen/Qwen2.5-7B-Instruct")
    refused(small.post(CHAT, saying(PYTHON) | {"model": "Qwen/Qwen2.5-VL-7B-Instruct"}), 403, "Qwen/Qwen2-Audio-7B")
    assert models.requests() == before


def test_a_named_model_is_asked_as_the_first_use_case_that_the_key_is_for(door: Keyed) -> None:
    viewer = door.client(door.key(use_cases=("video",)))
    answer = viewer.post(CHAT, saying(PYTHON) | {"model": MULTIMODAL})
    assert (answer.status_code, answer.headers["x-route-use-case"]) == (200, "video")


def models_of(client: Router, path: str = "/v1/models") -> dict[str, list[str]]:
    return {entry["id"]: entry["resolves_to"] for entry in client.get(path)["data"]}


@pytest.mark.parametrize("path", ["/v1/models", "/api/models"])
def test_the_list_of_models_is_what_the_key_is_for(door: Keyed, path: str) -> None:
    everything = models_of(door.client(door.key()), path)
    assert everything.keys() >= {"auto", "agent", "tts", "video", AGENT, AUDIO, MULTIMODAL}
    reader = door.client(door.key(use_cases=("tts", "agent")))
    assert models_of(reader, path).keys() == {"auto", "agent", "tts", AGENT, AUDIO}
    assert models_of(reader, path)["auto"] == [AGENT, AUDIO]
    seer = door.client(door.key(models=(MULTIMODAL,)))
    assert models_of(seer, path).keys() == {"auto", "avatar", "multimodal", "video", MULTIMODAL}
    both = door.client(door.key(use_cases=("agent", "video"), models=(MULTIMODAL,)))
    assert models_of(both, path) == {"auto": [MULTIMODAL], "video": [MULTIMODAL], MULTIMODAL: [MULTIMODAL]}
    neither = door.client(door.key(use_cases=("agent",), models=(MULTIMODAL,)))
    assert models_of(neither, path) == {"auto": []}


def test_all_that_the_list_names_may_be_asked_for_and_nothing_else(door: Keyed) -> None:
    client = door.client(door.key(use_cases=("tts", "video")))
    everything, allowed = models_of(door.client(door.key())), models_of(client)
    for name in everything.keys() - {"auto"}:
        status = client.post(CHAT, saying(PYTHON) | {"model": name}).status_code
        assert status == (200 if name in allowed else 403), name


@pytest.mark.parametrize("name", ["agent", AGENT, "multimodal"])
def test_a_model_that_the_key_is_not_for_is_as_unknown_as_one_that_is_not_there(door: Keyed, name: str) -> None:
    client = door.client(door.key(use_cases=("tts",)))
    theirs, nobodys = (client.http.get(f"/v1/models/{one}") for one in (name, "nobodys"))
    assert theirs.status_code == 404
    same = nobodys.text.replace("nobodys", name)
    assert theirs.json() | {"request_id": ""} == json.loads(same) | {"request_id": ""}
    assert AGENT not in nobodys.text
    assert client.get(f"/v1/models/{AUDIO}")["id"] == AUDIO
    assert client.get("/v1/models/auto")["resolves_to"] == [AUDIO]


def test_whether_the_chat_can_be_used_needs_no_key(door: Keyed) -> None:
    with a_client(door.url) as http:
        assert set(http.get("/api/healthz").json()["details"]["models"]) >= {AGENT, AUDIO, MULTIMODAL}


# keys come and go


def test_a_key_works_soon_after_it_was_made_and_not_after_it_was_revoked(door: Keyed) -> None:
    key = door.key()
    client = door.client(key)
    assert client.answer(PYTHON)["success"]
    change_keys(door.path, lambda entries: [entry for entry in entries if not opens(entry, key)])
    until(lambda: client.http.get("/stats").status_code == 401)
    refused(client.route(PYTHON), 401, "Bearer")


def test_a_spoilt_file_locks_nobody_out(door: Keyed) -> None:
    client = door.client(door.key())
    good = door.path.read_text()
    door.path.write_text(good[:-40])
    other = door.path.with_name("later.json")
    other.write_text(good)
    for _ in range(30):
        assert client.http.get("/stats").status_code == 200
    other.replace(door.path)
    assert door.client(door.key()).answer(PYTHON)["success"]


def opens(entry: Entry, key: str) -> bool:
    return entry.sha256 == digest_of(key.encode())


def refused(response: httpx2.Response, status: int, says: str) -> None:
    assert response.status_code == status, response.text
    assert says in response.text
