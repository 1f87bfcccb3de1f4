"""Models that come and go: administrators look at, load and keep them; what health and metrics say of them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from msgspec.structs import replace as changed
from prometheus_client.parser import text_string_to_metric_families

from smart_router.access.keyfile import change_keys, new_entry
from smart_router.access.keyring import KeyRing
from smart_router.api.auth import Door
from smart_router.api.errors import install_error_handlers
from smart_router.api.lifecycle import lifecycle_routes
from smart_router.api.models import Catalogue, model_routes
from smart_router.api.ops import Ops, ops_routes
from smart_router.chooser import Chooser
from smart_router.decide.swap import STATES, State
from smart_router.errors import (
    BackendUnreachable,
    LifecycleFailed,
    ModelBusy,
    ModelConflict,
    ModelKept,
    ModelNotReady,
    NoRoom,
    NotManaged,
    RouterError,
)
from smart_router.lifecycle.base import ModelReport
from smart_router.lifecycle.standing import Standing
from smart_router.observe.metrics import Metrics
from smart_router.observe.shared_stats import SharedStats
from smart_router.observe.stats import Stats
from smart_router.process import Drain
from smart_router.registry import Group, Registry
from smart_router.upstream import KINDS
from smart_router.upstream.fleet import Fleet
from tests.fakes import FakeUpstream, a_model, a_registry, settings

pytestmark = pytest.mark.usefixtures("bare_environment")

KEY = "sk-admin"
WITHIN_S = 20
BIG, SMALL, UP, LONE = "org/big", "org/small", "org/up", "lone"
ORDERS = (
    ("GET", "/models"),
    ("POST", f"/models/{BIG}/load"),
    ("POST", f"/models/{BIG}/unload"),
    ("POST", f"/models/{BIG}/pin"),
    ("DELETE", f"/models/{BIG}/pin"),
)
UNKNOWN = (
    *("nobody", "", "org", "org/big/", "/org/big", "big", f"{BIG}/load", "x" * 5000, "\0", "a/../b", "é\u202e"),
    *("a?b", "a%2Fb", "{}", "' or 1=1"),
)


class FakeManager:
    """Does what it is told at once, unless it is on `hold()` or has a `trouble`."""

    def __init__(self, *reports: ModelReport) -> None:
        self.reports = {report.id: report for report in reports}
        self.told: list[tuple[str, str]] = []
        self.heard = asyncio.Event()
        self.trouble: Exception | None = None
        self.in_line: dict[str, int] = {}
        self._may_go = asyncio.Event()
        self._may_go.set()

    def hold(self) -> None:
        self._may_go.clear()

    def let_go(self) -> None:
        self._may_go.set()

    def become(self, model: str, **now: Any) -> None:
        self.reports[model] = changed(self.reports[model], **now)

    def report(self) -> tuple[ModelReport, ...]:
        return tuple(self.reports.values())

    def waiting(self, model: str) -> int:
        return self.in_line.get(model, 0)

    async def load(self, model: str) -> None:
        await self._do("load", model, state="awake")

    async def unload(self, model: str) -> None:
        await self._do("unload", model, state="sleeping")

    async def pin(self, model: str, pinned: bool) -> None:
        await self._do("pin" if pinned else "unpin", model, pinned=pinned)

    async def _do(self, what: str, model: str, **then: Any) -> None:
        self.told.append((what, model))
        self.heard.set()
        if self.trouble is not None:
            raise self.trouble
        if not self._may_go.is_set():
            self.become(model, state="loading")
        await self._may_go.wait()
        self.become(model, **then)


def a_report(model: str, state: State, group: str = "gpu0", **more: Any) -> ModelReport:
    return ModelReport(model, group, "sleep", state, endpoints=(f"http://{model}:8000",), **more)


def a_world_registry() -> Registry:
    """Two that share a GPU with one that is always up, and one by itself."""
    models = (
        a_model(BIG, lifecycle="sleep", group="gpu0"),
        a_model(UP, group="gpu0"),
        a_model(SMALL, lifecycle="sleep", group="gpu0"),
        a_model(LONE, lifecycle="process"),
    )
    return replace(a_registry(*models), groups={"gpu0": Group(max_resident=2)})


class World:
    """A control plane whose models are awake, but for `org/small` and `lone`."""

    def __init__(
        self,
        upstream: FakeUpstream,
        *,
        soon_s: float = WITHIN_S,
        late_s: float | None = None,
        key: str | None = KEY,
        **of: Any,
    ) -> None:
        self.upstream, self.metrics = upstream, Metrics()
        self.settings = settings(api_key=key, **of)
        registry = a_world_registry()
        self.fleet = Fleet(registry, self.settings)
        self.left_out: set[str] = set()
        self.fleet.may_wake = self._may_wake
        self.manager = FakeManager(
            a_report(BIG, "awake"), a_report(SMALL, "sleeping"), a_report(LONE, "sleeping", LONE, evictions=1)
        )
        standing = Standing(registry, self.fleet, self.manager)
        door = Door(KeyRing(self.settings, registry.use_cases, registry.models))
        store: Any = SimpleNamespace(kind="embedded", degraded=False)
        classifier: Any = SimpleNamespace(kind="hybrid", trouble="")
        stats, chooser = SharedStats(Stats(), None), Chooser(registry, classifier, self.settings)
        self.ops = Ops(registry, self.fleet, store, classifier, stats, self.metrics, Drain(), standing)
        self.app = FastAPI()
        install_error_handlers(self.app)
        self.app.include_router(ops_routes(self.ops, door))
        self.app.include_router(model_routes(Catalogue(registry, chooser, self.fleet, standing), door))
        routes = lifecycle_routes(standing, self.manager, door, self.settings, soon_s=soon_s, late_s=late_s)
        self.app.include_router(routes)

    def _may_wake(self, id: str) -> bool:
        report = self.manager.reports.get(id)
        return report is not None and id not in self.left_out and report.state != "failed"


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> FakeUpstream:
    fake = FakeUpstream()
    monkeypatch.setitem(KINDS, "vllm", lambda *_: fake)
    return fake


@asynccontextmanager
async def served(world: World, key: str | None = KEY) -> AsyncIterator[httpx2.AsyncClient]:
    """On a socket; every server has answered a health check, or failed it."""
    await world.fleet.check_all()
    for model in world.manager.report():
        if model.state == "awake":
            world.fleet.admit(model.id, model.endpoints[0])
    server = uvicorn.Server(uvicorn.Config(world.app, log_config=None, lifespan="off"))
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=WITHIN_S, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            await serving


async def told(world: World, method: str, path: str) -> httpx2.Response:
    async with served(world) as client:
        return await client.request(method, path)


# looked at


async def test_all_models_are_told_in_the_registrys_order(upstream: FakeUpstream) -> None:
    world = World(upstream)
    world.manager.become(
        BIG, pinned=True, in_flight=2, sessions=5, last_used=1_767_225_600.5, awake_since=1_767_225_500.0, wakes=3,
        evictions=2, last_wake_s=1.25,
    )  # fmt: skip
    world.manager.in_line[BIG] = 4
    answer = (await told(world, "GET", "/models")).json()
    assert [model["id"] for model in answer["models"]] == [BIG, UP, SMALL, LONE]
    assert answer["models"][0] == {
        "id": BIG, "group": "gpu0", "lifecycle": "sleep", "state": "awake", "pinned": True, "preloaded": False,
        "endpoints": [f"http://{BIG}:8000"], "in_flight": 2, "waiting": 4, "sessions": 5,
        "last_used": "2026-01-01T00:00:00.500+00:00", "awake_since": "2025-12-31T23:58:20.000+00:00", "wakes": 3,
        "evictions": 2, "last_wake_seconds": 1.25, "trouble": "",
    }  # fmt: skip
    assert (answer["concurrent_models"], answer["max_concurrent_models"]) == (1, 3)


async def test_a_model_that_is_always_up_is_told_by_its_health_and_counts_no_sessions(upstream: FakeUpstream) -> None:
    awake = (await told(World(upstream), "GET", "/models")).json()["models"][1]
    assert (awake["state"], awake["lifecycle"], awake["sessions"]) == ("awake", "always", None)
    upstream.trouble[f"http://{UP}:8000"] = BackendUnreachable("no connection")
    failed = (await told(World(upstream), "GET", "/models")).json()["models"][1]
    assert (failed["state"], failed["trouble"]) == ("failed", "no connection")


async def test_before_its_first_health_check_nothing_is_known_of_it(upstream: FakeUpstream) -> None:
    world = World(upstream)
    assert states(world)[UP] == "unknown"
    await world.fleet.check_all()
    assert states(world)[UP] == "awake"


async def test_who_is_always_up_takes_room_and_groups_of_such_alone_have_none_to_tell(upstream: FakeUpstream) -> None:
    world = World(upstream)
    assert (await told(world, "GET", "/models")).json()["groups"] == [
        {"id": "gpu0", "max_resident": 2, "residents": [BIG, UP], "room": 0},
        {"id": LONE, "max_resident": 1, "residents": [], "room": 1},
    ]
    world.manager.become(SMALL, state="draining")
    assert (await told(world, "GET", "/models")).json()["groups"][0]["room"] == 0, "not less than none"


async def test_a_model_that_the_manager_does_not_know_yet_is_unknown(upstream: FakeUpstream) -> None:
    world = World(upstream)
    del world.manager.reports[LONE]
    assert states(world)[LONE] == "unknown"


async def test_who_may_see_statistics_sees_how_the_models_stand_too(upstream: FakeUpstream, tmp_path: Path) -> None:
    key, entry = new_entry("page", ["route"])
    change_keys(tmp_path / "keys.json", lambda _: [entry])
    world = World(upstream, api_keys_file=tmp_path / "keys.json")
    world.manager.become(BIG, in_flight=2)
    world.manager.in_line[SMALL] = 4
    async with served(world, key) as client:
        told = (await client.get("/stats")).json()
        assert (await client.get("/models")).status_code == 403
    assert list(told["model_states"]) == [BIG, UP, SMALL, LONE]
    assert told["model_states"][BIG] == {
        "state": "awake", "group": "gpu0", "lifecycle": "sleep", "in_flight": 2, "waiting": 0
    }  # fmt: skip
    small = told["model_states"][SMALL]
    assert (small["state"], small["waiting"]) == ("sleeping", 4)
    assert told["model_groups"] == {
        "gpu0": {"max_resident": 2, "residents": [BIG, UP], "room": 0},
        LONE: {"max_resident": 1, "residents": [], "room": 1},
    }
    assert "http://" not in str(told), "nor where they are"


# only by administrators


@pytest.mark.parametrize(("method", "path"), ORDERS)
async def test_without_keys_nobody_may(upstream: FakeUpstream, method: str, path: str) -> None:
    world = World(upstream, key=None)
    async with served(world, key=None) as client:
        refused = await client.request(method, path)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "forbidden")
    assert world.manager.told == []


@pytest.mark.parametrize(("method", "path"), ORDERS)
async def test_a_key_for_routing_may_not(upstream: FakeUpstream, tmp_path: Path, method: str, path: str) -> None:
    key, entry = new_entry("app", ["route", "metrics"])
    change_keys(tmp_path / "keys.json", lambda _: [entry])
    world = World(upstream, api_keys_file=tmp_path / "keys.json")
    async with served(world, key) as client:
        assert (await client.request(method, path)).status_code == 403
        client.headers["Authorization"] = "Bearer wrong"
        assert (await client.request(method, path)).status_code == 401
    assert world.manager.told == []


# told what to do


async def test_a_model_that_wakes_soon_is_told_awake(upstream: FakeUpstream) -> None:
    answer = await told(World(upstream), "POST", f"/models/{SMALL}/load")
    assert (answer.status_code, answer.json()["state"]) == (200, "awake")


async def test_who_does_not_wait_is_told_that_it_is_under_way_and_it_goes_on(upstream: FakeUpstream) -> None:
    world = World(upstream, soon_s=0.01)
    world.manager.hold()
    async with served(world) as client:
        answer = await client.post(f"/models/{SMALL}/load")
        assert (answer.status_code, answer.json()["state"]) == (202, "loading")
        world.manager.let_go()
        async with asyncio.timeout(WITHIN_S):
            while (await client.get("/models")).json()["models"][2]["state"] != "awake":
                pass


async def test_the_same_order_twice_is_one(upstream: FakeUpstream) -> None:
    world = World(upstream, soon_s=0.01)
    world.manager.hold()
    async with served(world) as client:
        for _ in range(2):
            assert (await client.post(f"/models/{SMALL}/load")).status_code == 202
    assert world.manager.told == [("load", SMALL)]
    world.manager.let_go()


async def test_who_waits_is_answered_when_it_is_awake(upstream: FakeUpstream) -> None:
    world = World(upstream, soon_s=0.01)
    world.manager.hold()
    async with served(world) as client:
        asked = asyncio.create_task(client.post(f"/models/{SMALL}/load?wait=true"))
        await asyncio.wait_for(world.manager.heard.wait(), WITHIN_S)
        world.manager.let_go()
        answer = await asked
    assert (answer.status_code, answer.json()["state"]) == (200, "awake")


async def test_who_waits_is_told_what_comes_a_little_after_the_longest_time_to_load(upstream: FakeUpstream) -> None:
    world = World(upstream, model_load_timeout=0.01)
    world.manager.hold()
    async with served(world) as client:
        asked = asyncio.create_task(client.post(f"/models/{SMALL}/load?wait=true"))
        await asyncio.wait_for(world.manager.heard.wait(), WITHIN_S)
        await asyncio.sleep(0.2)
        world.manager.let_go()
        assert (await asked).status_code == 200


async def test_nobody_waits_for_ever(upstream: FakeUpstream) -> None:
    world = World(upstream, late_s=0.05)
    world.manager.hold()
    answer = await told(world, "POST", f"/models/{SMALL}/load?wait=true")
    assert (answer.status_code, answer.json()["state"]) == (202, "loading")
    world.manager.let_go()


async def test_a_model_is_put_to_sleep(upstream: FakeUpstream) -> None:
    answer = await told(World(upstream), "POST", f"/models/{BIG}/unload")
    assert (answer.status_code, answer.json()["state"]) == (200, "sleeping")


async def test_a_model_is_pinned_and_let_go_again(upstream: FakeUpstream) -> None:
    world = World(upstream)
    async with served(world) as client:
        assert (await client.post(f"/models/{BIG}/pin")).json()["pinned"] is True
        assert (await client.delete(f"/models/{BIG}/pin")).json()["pinned"] is False
    assert world.manager.told == [("pin", BIG), ("unpin", BIG)]


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (NotManaged("its lifecycle is always"), 409, "not_managed"),
        (ModelKept("it is pinned"), 409, "model_kept"),
        (ModelBusy("2 requests are at it"), 409, "model_busy"),
        (NoRoom("all others are pinned"), 409, "no_room"),
        (ModelNotReady("it did not wake"), 503, "model_not_ready"),
        (LifecycleFailed("org/big: start it with --enable-sleep-mode"), 502, "lifecycle_failed"),
        (BackendUnreachable("no connection"), 502, "upstream_unreachable"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_an_order_that_is_refused_or_fails_says_why(
    upstream: FakeUpstream, trouble: Exception, status: int, code: str
) -> None:
    world = World(upstream)
    world.manager.trouble = trouble
    then = f"; {trouble.then}" if isinstance(trouble, RouterError) and trouble.then else ""
    async with served(world) as client:
        for method, path in ORDERS[1:]:
            answer = await client.request(method, path)
            assert answer.status_code == status
            assert (answer.json()["error_code"], answer.json()["error_message"]) == (code, f"{trouble}{then}")
            assert answer.json()["success"] is False
            assert ("retry-after" in answer.headers) == (status == 503)


def test_all_conflicts_are_409() -> None:
    kinds: tuple[type[ModelConflict], ...] = (ModelConflict, NotManaged, ModelKept, ModelBusy, NoRoom)
    assert {kind.status for kind in kinds} == {409}
    assert len({kind.code for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("what", ["load", "unload", "pin"])
async def test_an_unknown_id_is_404_and_no_order(upstream: FakeUpstream, what: str) -> None:
    world = World(upstream)
    async with served(world) as client:
        for id in UNKNOWN:
            answer = await client.post(f"/models/{quote(id, safe='')}/{what}")
            assert (answer.status_code, answer.json()["error_code"]) == (404, "model_not_found"), id
            assert len(answer.json()["error_message"]) < 500
    assert world.manager.told == []


async def test_an_id_may_come_with_its_slashes_quoted(upstream: FakeUpstream) -> None:
    assert (await told(World(upstream), "POST", f"/models/{quote(BIG, safe='')}/pin")).json()["id"] == BIG


async def test_a_wait_that_is_no_word_for_it_is_a_bad_request(upstream: FakeUpstream) -> None:
    answer = await told(World(upstream), "POST", f"/models/{BIG}/load?wait=perhaps")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_request")


# what metrics say


def samples(world: World, name: str) -> dict[tuple[str, ...], float]:
    """Label values -> value."""
    families = text_string_to_metric_families(world.ops.metrics("")[0].decode())
    return {
        tuple(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name == f"smart_router_{name}"
    }


def states(world: World) -> dict[str, str]:
    """Of each model, by its metric; it is in one alone."""
    found = samples(world, "model_state")
    assert {state for _, state in found} == set(STATES)
    one = {(model, state) for (model, state), value in found.items() if value}
    assert len(one) == len({model for model, _ in one})
    return dict(one)


@pytest.mark.parametrize("state", STATES)
async def test_a_model_is_in_one_state(upstream: FakeUpstream, state: State) -> None:
    world = World(upstream)
    await world.fleet.check_all()
    world.manager.become(BIG, state=state)
    assert states(world) == {BIG: state, UP: "awake", SMALL: "sleeping", LONE: "sleeping"}


async def test_who_waits_until_a_model_is_awake_is_in_its_queue(upstream: FakeUpstream) -> None:
    world = World(upstream)
    world.manager.in_line[SMALL] = 3
    assert samples(world, "queue_depth") == {(BIG,): 0, (UP,): 0, (SMALL,): 3, (LONE,): 0}
    assert (await told(world, "GET", "/api/healthz")).json()["queue_size"] == 3


async def test_groups_are_counted_with_their_room(upstream: FakeUpstream) -> None:
    world = World(upstream)
    assert samples(world, "group_residents") == {("gpu0",): 2, (LONE,): 0}
    assert samples(world, "group_max_resident") == {("gpu0",): 2, (LONE,): 1}


# what health says


def by_model(health: dict[str, Any]) -> dict[str, str]:
    return {
        replica["model"]: replica["status"]
        for group in health["model_endpoints"].values()
        for replica in group["replicas"]
    }


async def test_a_model_that_sleeps_is_healthy_whatever_its_server_says(upstream: FakeUpstream) -> None:
    upstream.trouble[f"http://{LONE}:8000"] = BackendUnreachable("it was not started yet")
    health = (await told(World(upstream), "GET", "/health")).json()
    assert by_model(health) == {BIG: "healthy", UP: "healthy", SMALL: "asleep", LONE: "asleep"}
    assert {name: group["status"] for name, group in health["model_endpoints"].items()} == {
        "gpu0": "healthy",
        LONE: "healthy",
    }
    assert health["status"] == "healthy"


@pytest.mark.parametrize("state", ["waking", "loading"])
async def test_so_is_one_that_is_being_woken(upstream: FakeUpstream, state: State) -> None:
    world = World(upstream)
    world.manager.become(SMALL, state=state)
    assert (await told(world, "GET", "/health")).json()["status"] == "healthy"


async def test_one_that_could_not_be_woken_makes_it_degraded_and_says_why(upstream: FakeUpstream) -> None:
    world = World(upstream)
    world.manager.become(SMALL, state="failed", trouble="org/small: it is not there")
    health = (await told(world, "GET", "/health")).json()
    assert (health["status"], health["model_endpoints"]["gpu0"]["status"]) == ("degraded", "degraded")
    (failed,) = [r for r in health["model_endpoints"]["gpu0"]["replicas"] if r["model"] == SMALL]
    assert (failed["status"], failed["trouble"]) == ("unhealthy", "org/small: it is not there")


async def test_the_log_of_a_server_is_for_administrators(upstream: FakeUpstream) -> None:
    world = World(upstream)
    ended = "org/small: its server ended with exit code 3; the end of its log, /var/log/small.log:"
    world.manager.become(SMALL, state="failed", trouble=f"{ended}\napi_key=sk-of-nobody\nprompt: my salary")
    health = (await told(world, "GET", "/health")).json()
    (failed,) = [r for r in health["model_endpoints"]["gpu0"]["replicas"] if r["model"] == SMALL]
    assert failed["trouble"] == ended
    (shown,) = [m for m in (await told(world, "GET", "/models")).json()["models"] if m["id"] == SMALL]
    assert "prompt: my salary" in shown["trouble"]


async def test_one_that_sleeps_and_is_not_woken_does_so_too(upstream: FakeUpstream) -> None:
    world = World(upstream)
    world.left_out.add(SMALL)
    health = (await told(world, "GET", "/health")).json()
    assert (health["status"], by_model(health)[SMALL]) == ("degraded", "unhealthy")
    assert "leave no room" in str(health["model_endpoints"]["gpu0"])
    assert samples(world, "replica_healthy")[SMALL, f"http://{SMALL}:8000"] == 0


async def test_a_router_whose_models_all_sleep_is_ready_and_one_whose_all_failed_is_not(upstream: FakeUpstream) -> None:
    upstream.trouble[f"http://{UP}:8000"] = BackendUnreachable("no connection")
    world = World(upstream)
    world.manager.become(BIG, state="sleeping")
    async with served(world) as client:
        assert (await client.get("/ready")).status_code == 200
        chat = (await client.get("/api/healthz")).json()
        assert (chat["status"], chat["upstream_healthy"], chat["model_loaded"]) == ("ok", True, False)
        assert chat["details"]["models"] == {BIG: True, UP: False, SMALL: True, LONE: True}
        for model in (BIG, SMALL, LONE):
            world.manager.become(model, state="failed")
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/health")).json()["status"] == "unhealthy"
