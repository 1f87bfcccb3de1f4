"""One shared key at the door."""

from collections.abc import Iterator

import httpx2
import pytest

from .asking import FOLLOW_UP, PYTHON, a_session
from .models import Models
from .routers import Router, a_client, a_registry, running_router

KEY = "sk-Correct.Horse-Battery_Staple"


@pytest.fixture(scope="module")
def door(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router that asks for the key; its client has none."""
    registry = a_registry(tmp_path_factory.mktemp("keyed"), servers.endpoints)
    with running_router(registry, api_key=KEY) as router:
        yield router


@pytest.fixture
def inside(door: Router, models: Models) -> Iterator[Router]:
    """The same router, for a client with the key."""
    with a_client(door.url, Authorization=f"Bearer {KEY}") as http:
        yield Router(door.url, http)


WRONG: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "empty": [("Authorization", "")],
    "a scheme alone": [("Authorization", "Bearer")],
    "the key alone": [("Authorization", KEY)],
    "another scheme": [("Authorization", f"Basic {KEY}")],
    "another key": [("Authorization", "Bearer sk-other")],
    "the key's start": [("Authorization", f"Bearer {KEY[:-1]}")],
    "the key and more": [("Authorization", f"Bearer {KEY}x")],
    "the key in capitals": [("Authorization", f"Bearer {KEY.upper()}")],
    "two keys": [("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer sk-other")],
    "the key twice": [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")],
    "two in one": [("Authorization", f"Bearer {KEY}, Bearer {KEY}")],
    "odd bytes": [("Authorization", "Bearer \xff\xfe")],
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_without_the_one_key_the_answer_is_a_401(door: Router, models: Models, headers: list[tuple[str, str]]) -> None:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    response = door.http.post("/route", json={"query": PYTHON}, headers=sent)
    assert_unauthorized(response)
    assert models.requests() == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/classify"), ("GET", "/sessions/x"), ("DELETE", "/sessions/x"), ("GET", "/stats")],
)
def test_every_door_asks_for_the_key(door: Router, method: str, path: str) -> None:
    body = {"query": PYTHON} if method == "POST" else None
    assert_unauthorized(door.http.request(method, path, json=body))


def test_the_key_is_asked_for_before_the_body_is_read(door: Router) -> None:
    assert_unauthorized(door.http.post("/route", content=b"no JSON", headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize("path", ["/livez", "/ready", "/health"])
def test_probes_need_no_key(door: Router, path: str) -> None:
    assert door.http.get(path).status_code == 200


def test_with_the_key_a_conversation_works(inside: Router) -> None:
    session = a_session()
    assert inside.answer(PYTHON, session_id=session)["use_case"] == "agent"
    assert inside.answer(FOLLOW_UP, session_id=session)["bypass_used"] is True
    assert inside.session(session)["request_count"] == 2
    assert inside.get("/stats")["total_requests"] >= 2
    assert inside.http.delete(f"/sessions/{session}").status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_case_does_not_matter(door: Router, models: Models, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {KEY}"}
    assert door.http.post("/route", json={"query": PYTHON}, headers=headers).status_code == 200


def test_the_key_is_not_sent_to_the_model(inside: Router, models: Models) -> None:
    inside.answer(PYTHON)
    told = models.agent.http.get(f"{models.agent.url}/simulate/requests").json()
    assert "authorization" not in told["requests"][-1]["headers"]
    assert KEY not in str(told)


def assert_unauthorized(response: httpx2.Response) -> None:
    assert response.status_code == 401, response.text
    body = response.json()
    assert body["success"] is False
    assert body["error_code"] == "unauthorized"
    assert "Authorization" in body["error_message"]
    assert "Bearer" in body["error_message"]
    assert "Horse" not in response.text
