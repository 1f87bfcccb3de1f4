"""A call to a running router; whatever is wrong with it, or with the answer, becomes one message."""

from typing import Any, NamedTuple

from smart_router.cli.failing import fail

DEFAULT_URL = "http://localhost:8001"
CONNECT_S = 10.0
TIMEOUT_S = 180.0


class Answer(NamedTuple):
    status: int  # 2xx
    body: dict[str, Any]


def call(
    url: str, method: str, path: str, key: str | None, body: object = None, *, timeout_s: float = TIMEOUT_S
) -> Answer:
    """*body* is sent as JSON. Ends the command where there is no router, or it refuses."""
    import httpx2

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    within = httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
    try:
        response = httpx2.request(method, url.rstrip("/") + path, json=body, headers=headers, timeout=within)
        answer = response.json()
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        fail(f"no router at {url}: {exc}; start one with `smart-router serve`, or give --url")
    except ValueError:
        fail(f"{url} answered {response.status_code} without JSON: is that a smart-router?")
    if not isinstance(answer, dict) or not response.is_success:
        fail(f"{response.status_code}: {answer.get('error_message', answer) if isinstance(answer, dict) else answer}")
    return Answer(response.status_code, answer)
