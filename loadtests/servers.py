"""A router to load, and what it needs: started here, unless one that runs is named."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from smart_router.cli.demo import SIMULATED, simulated_servers
from smart_router.cli.processes import (
    all_running,
    find_redis_server,
    free_port,
    redis_server,
    running,
    smart_router,
)
from smart_router.settings import environment as configured

ANSWERS_WITHIN_S = 5.0
MODEL_ADDRESSES = (*SIMULATED, "VLLM_BASE_URL")


class Unusable(Exception):
    """There is no router to load; the message says what to do."""


@dataclass(frozen=True)
class Site:
    """Where the load goes, and in words what answers there."""

    url: str
    key: str | None
    models: str
    sessions: str


def named(url: str, key: str | None) -> Site:
    """
    A router that somebody else runs.

    Raises:
        Unusable: nobody answers there, it is no router, or the key is wrong.
    """
    url = url.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise Unusable(f"--host {url!r}: must begin with http:// or https://")
    health = json.loads(_get(url, "/health", None))
    _get(url, "/stats", key)
    if not isinstance(health, dict) or "bypass_router" not in health:
        raise Unusable(f"{url}/health is not a router's; give --host the router's address")
    return Site(url, key, "of the router named by --host", f"{health['bypass_router']} (of that router)")


@contextmanager
def own() -> Iterator[Site]:
    """
    Model servers (simulated, unless the environment names others), Redis and a router, until the block ends.

    Raises:
        DidNotStart
    """
    environment = dict(configured())
    real = [name for name in MODEL_ADDRESSES if environment.get(name)]
    models = f"as configured by {', '.join(real)}" if real else "simulated"
    key = environment.setdefault("API_KEY", secrets.token_urlsafe(16))
    with ExitStack() as stack:
        if not real:
            environment |= stack.enter_context(_simulated())
        sessions = stack.enter_context(_sessions(environment))
        port = free_port()
        command = smart_router("serve", "--port", str(port))
        yield Site(stack.enter_context(running(command, port, environment, "/ready")), key, models, sessions)


@contextmanager
def _simulated() -> Iterator[dict[str, str]]:
    servers = simulated_servers()
    with all_running(list(servers.values())):
        yield {name: server.url for name, server in servers.items()}


@contextmanager
def _sessions(environment: dict[str, str]) -> Iterator[str]:
    """Sets REDIS_URL where there is a redis-server."""
    if environment.get("REDIS_URL"):
        yield "in the Redis of REDIS_URL"
    elif program := find_redis_server():
        with redis_server(program) as environment["REDIS_URL"]:
            yield "in a Redis of its own"
    else:
        yield "embedded in the router (no redis-server was found)"


def _get(url: str, path: str, key: str | None) -> str:
    headers: Mapping[str, str] = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url + path, headers=dict(headers))  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S) as answer:  # noqa: S310
            return str(answer.read().decode())
    except urllib.error.HTTPError as exc:
        raise Unusable(_refusal(url, path, exc.code, key)) from None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", exc)
        raise Unusable(f"no router answers at {url} ({reason}); start one, or leave --host out") from None


def _refusal(url: str, path: str, status: int, key: str | None) -> str:
    if status != 401:
        return f"{url}{path} answers {status}; is --host the router's address?"
    return f"{url} refuses the {'key of API_KEY' if key else 'request without a key'}; set API_KEY to the router's key"
