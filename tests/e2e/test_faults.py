"""Model servers that fail, and what the client sees of it."""

import time
from collections.abc import Iterator

import httpx2
import pytest

from smart_router.cli.processes import free_port
from smart_router.simulate import FaultName

from .asking import FOLLOW_UP, PICTURE, PYTHON, a_session, an_image, names, read_events
from .models import AGENT, AUDIO, MULTIMODAL, Models
from .routers import Router, a_registry, running_router, wait_until_rested

DEADLINE_S = 1.0  # of the hasty router


@pytest.fixture(scope="module")
def hasty_router(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router with short deadlines."""
    registry = a_registry(tmp_path_factory.mktemp("hasty"), servers.endpoints)
    deadlines = {"first_byte_timeout": DEADLINE_S, "between_chunks_timeout": DEADLINE_S, "open_timeout": 2.0}
    with running_router(registry, health_interval=0.2, **deadlines) as router:
        yield router


@pytest.fixture
def router(hasty_router: Router, models: Models) -> Router:
    wait_until_rested(hasty_router)
    return hasty_router


@pytest.fixture(scope="module")
def lame_router(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One of the agent's two replicas refuses connections, and so does all of multimodal."""
    endpoints = {AGENT: [nobody(), servers.agent.url], MULTIMODAL: [nobody()], AUDIO: [servers.audio.url]}
    with running_router(a_registry(tmp_path_factory.mktemp("lame"), endpoints), health_interval=0.2) as router:
        yield router


@pytest.fixture(scope="module")
def lost_router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """No model server at all."""
    endpoints = {model: [nobody()] for model in (AGENT, MULTIMODAL, AUDIO)}
    with running_router(a_registry(tmp_path_factory.mktemp("lost"), endpoints), health_interval=0.2) as router:
        yield router


def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}"


def broken(response: httpx2.Response, status: int) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert body["success"] is False
    assert body["error_code"]
    assert body["error_message"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert "127.0.0.1" not in body["error_message"], "a client learns nothing of the machines inside"


def asked_to_wait(response: httpx2.Response) -> None:
    assert float(response.headers["retry-after"]) >= 1


def events(response: httpx2.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return names(read_events(response.text.split("\n")))


@pytest.mark.parametrize("stream", [False, True])
def test_no_model_server_is_a_503_at_once(lost_router: Router, stream: bool) -> None:
    id = a_session()
    started = time.monotonic()
    response = lost_router.route(PYTHON, session_id=id, stream=stream)
    assert time.monotonic() - started < 10
    broken(response, 503)
    asked_to_wait(response)
    assert not lost_router.knows(id)


def test_no_model_server_is_not_ready_and_unhealthy_but_alive(lost_router: Router) -> None:
    assert lost_router.http.get("/ready").status_code == 503
    assert lost_router.http.get("/livez").status_code == 200
    health = lost_router.http.get("/health").json()
    assert health["status"] == "unhealthy"
    assert all(group["status"] != "healthy" for group in health["model_endpoints"].values())


def test_no_model_server_still_classifies(lost_router: Router) -> None:
    assert lost_router.classify(PYTHON).json()["use_case"] == "agent"


def test_a_dead_group_is_a_503_and_leaves_the_session_unharmed(lame_router: Router, models: Models) -> None:
    id = a_session()
    lame_router.answer(PYTHON, session_id=id)
    before = lame_router.session(id)
    response = lame_router.route(PICTURE, session_id=id, attachments=[an_image()])
    broken(response, 503)
    asked_to_wait(response)
    after = lame_router.session(id)
    kept = ("use_case", "model_id", "endpoint", "lanes")
    assert {field: after[field] for field in kept} == {field: before[field] for field in kept}
    answer = lame_router.answer(FOLLOW_UP, session_id=id)
    assert (answer["use_case"], answer["bypass_used"]) == ("agent", True)


def test_a_dead_group_degrades_health(lame_router: Router) -> None:
    assert lame_router.http.get("/ready").status_code == 200
    health = lame_router.http.get("/health").json()
    assert health["status"] == "degraded"
    assert health["model_endpoints"]["gpu1"]["status"] != "healthy"


def test_a_dead_replica_is_stepped_over(lame_router: Router, models: Models) -> None:
    for _ in range(12):
        id = a_session()
        lame_router.answer(PYTHON, session_id=id)
        assert lame_router.session(id)["endpoint"] == models.agent.url


def test_a_new_routers_first_requests_step_over_a_dead_replica(
    models: Models, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Before a health check could tell: the connection is refused, and the next replica asked."""
    endpoints = models.endpoints | {AGENT: [nobody(), nobody(), models.agent.url]}
    registry = a_registry(tmp_path_factory.mktemp("fresh"), endpoints)
    with running_router(registry, health_interval=3600) as router:
        assert [router.route(PYTHON).status_code for _ in range(6)] == [200] * 6


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("error-500", 502),
        ("refuse-503", 503),
        ("rate-limit-429", 503),
        ("broken-json", 502),
        ("role-then-error", 502),
        ("stall-before-headers", 504),
    ],
)
def test_a_fault_before_the_first_word_is_an_error_and_no_session(
    router: Router, models: Models, fault: FaultName, status: int, stream: bool
) -> None:
    id = a_session()
    models.agent.fail(fault)
    response = router.route(PYTHON, session_id=id, stream=stream)
    broken(response, status)
    if status == 503:
        asked_to_wait(response)
    assert response.headers["content-type"].partition(";")[0] == "application/json"
    assert not router.knows(id)
    models.agent.wait_for_running(0)
    models.agent.reset()
    wait_until_rested(router)
    assert router.answer(PYTHON, session_id=id)["new_session"] is True


@pytest.mark.parametrize(("fault", "status"), [("reset-mid-stream", 502), ("stall-mid-stream", 504)])
def test_a_plain_answer_cut_in_the_middle_is_an_error(
    router: Router, models: Models, fault: FaultName, status: int
) -> None:
    models.agent.fail(fault)
    broken(router.route(PYTHON), status)
    models.agent.wait_for_running(0)


@pytest.mark.parametrize("fault", ["reset-mid-stream", "stall-mid-stream"])
def test_a_stream_cut_in_the_middle_ends_with_an_error_event(router: Router, models: Models, fault: FaultName) -> None:
    models.agent.fail(fault)
    response = router.route(PYTHON, stream=True)
    seen = read_events(response.text.split("\n"))
    assert names(seen)[:2] == ["route", "message"]
    assert names(seen)[-1] == "error"
    assert "done" not in names(seen)
    told = seen[-1].data
    assert told["success"] is False
    assert told["error_code"]
    assert told["error_message"]
    assert told["request_id"] == response.headers["x-request-id"]
    models.agent.wait_for_running(0)


def test_a_stall_ends_at_its_deadline(router: Router, models: Models) -> None:
    models.agent.fail("stall-before-headers")
    started = time.monotonic()
    broken(router.route(PYTHON), 504)
    assert time.monotonic() - started > 0.9 * DEADLINE_S


def test_what_the_model_server_refuses_is_passed_on(router: Router, models: Models) -> None:
    """Six thousand words are more than the model's context."""
    id = a_session()
    response = router.route("word " * 6_000, session_id=id, use_case="agent")
    broken(response, 400)
    assert not router.knows(id)


def test_a_fault_that_passes_is_forgotten(router: Router, models: Models) -> None:
    models.agent.fail("error-500", count=1)
    statuses = [router.route(PYTHON).status_code for _ in range(5)]
    assert statuses[1:] == [200] * 4


def test_an_error_after_the_decision_names_the_use_case(router: Router, models: Models) -> None:
    models.agent.fail("error-500")
    body = router.route(PYTHON).json()
    assert body["use_case"] == "agent"
    assert body["routing_time"] > 0


def test_the_only_replica_is_asked_however_often_it_failed(router: Router, models: Models) -> None:
    """There is no other to spare it for: the client hears what is wrong, and the first recovery is used."""
    models.agent.fail("error-500")
    assert [router.route(PYTHON).status_code for _ in range(8)] == [502] * 8
    models.agent.reset()
    assert router.route(PYTHON).status_code == 200


def test_failures_are_counted(router: Router, models: Models) -> None:
    models.agent.fail("error-500")
    router.route(PYTHON)
    page = router.http.get("/metrics").text
    assert "smart_router_upstream_failures_total{" in page
    failures = [line for line in page.splitlines() if line.startswith("smart_router_upstream_failures_total{")]
    assert any(AGENT in line and "kind=" in line for line in failures)


def test_a_model_servers_words_about_itself_stay_inside(router: Router, models: Models) -> None:
    models.agent.fail("error-500")
    assert models.agent.url not in router.route(PYTHON).text
