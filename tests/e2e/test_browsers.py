"""Pages of other origins, as a browser lets them: what they may send, and what they may read."""

from collections.abc import Iterator

import httpx2
import pytest

from .asking import CHAT, PYTHON, a_session, saying
from .models import Models
from .routers import KEY, Router, a_registry, running_router

PAGE = "https://app.example"
STRANGER = "https://elsewhere.example"
SENT = "authorization, x-api-key, x-session-id, x-request-id, content-type"
READ = {
    "x-session-id", "x-request-id", "retry-after", "server-timing", "x-route-use-case", "x-route-model",
    "x-route-reason", "x-route-bypass", "x-route-confidence", "x-route-because", "x-route-fallback",
}  # fmt: skip
NOT_OURS = {"x-content-type-options", "x-simulated"}  # the browser's to heed; the model server's
ASKED = [
    ("POST", "/route"),
    ("POST", "/classify"),
    ("POST", CHAT),
    ("GET", "/sessions"),
    ("GET", "/sessions/s1"),
    ("PATCH", "/sessions/s1"),
    ("DELETE", "/sessions/s1"),
    ("GET", "/stats"),
    ("GET", "/v1/models"),
]


@pytest.fixture(scope="module")
def keyed(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    registry = a_registry(tmp_path_factory.mktemp("browsers"), servers.endpoints)
    with running_router(registry, cors_origins=(PAGE,), api_key=KEY) as router:
        yield router


@pytest.fixture
def router(keyed: Router, models: Models) -> Router:
    return keyed


def preflight(router: Router, method: str, path: str, origin: str = PAGE) -> httpx2.Response:
    headers = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": SENT}
    return router.http.request("OPTIONS", path, headers={"Origin": origin} | headers)


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_a_page_that_may_is_told_so_before_it_sends_its_key(router: Router, method: str, path: str) -> None:
    told = preflight(router, method, path)
    assert told.status_code == 200, told.text
    assert told.headers["access-control-allow-origin"] == PAGE
    assert method in told.headers["access-control-allow-methods"].split(", ")
    allowed = {name.strip().lower() for name in told.headers["access-control-allow-headers"].split(",")}
    assert allowed >= set(SENT.split(", "))
    assert "access-control-allow-credentials" not in told.headers, "a key is sent, cookies are not"


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_a_page_that_may_not_is_told_nothing(router: Router, method: str, path: str) -> None:
    assert "access-control-allow-origin" not in preflight(router, method, path, STRANGER).headers
    answer = router.http.request(method, path, headers={"Origin": STRANGER, "Authorization": f"Bearer {KEY}"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("method", "path"), ASKED)
@pytest.mark.parametrize("key", [{"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}, {}])
def test_whatever_the_answer_the_page_may_read_it(router: Router, method: str, path: str, key: dict[str, str]) -> None:
    answer = router.http.request(method, path, headers={"Origin": PAGE} | key)
    assert (answer.status_code == 401) == (not key)
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "origin" in answer.headers["vary"].lower()
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed >= READ


def test_all_that_an_answer_tells_in_headers_of_ours_may_be_read(router: Router) -> None:
    headers = {"Origin": PAGE, "Authorization": f"Bearer {KEY}", "X-Session-ID": a_session(), "X-Route-Debug": "1"}
    for answer in (
        router.http.post("/route", json={"query": PYTHON}, headers=headers),
        router.http.post("/route", json={"query": PYTHON, "stream": True}, headers=headers),
        router.http.post(CHAT, json=saying(PYTHON), headers=headers),
    ):
        assert answer.status_code == 200, answer.text
        ours = {name for name in answer.headers if name.startswith("x-")} - NOT_OURS
        assert ours >= {"x-session-id", "x-request-id", "x-route-use-case", "x-route-because"}
        assert ours <= {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
