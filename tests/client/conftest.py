"""A router, what pretends to be one, and both clients."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from smart_router.client import Client
from tests.client.blocking import Connect, blocking
from tests.e2e.conftest import (  # noqa: F401 - fixtures
    door,
    embedded_router,
    keyed,
    models,
    recorder,
    recording,
    redis,
    router_on,
    servers,
)


@pytest.fixture(autouse=True)
def _nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No router, key or proxy of whoever runs the tests."""
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("SMART_ROUTER_URL", "API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["at-once", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients, of each kind in turn; closes them after the test."""
    with ExitStack() as stack:
        make = Client if request.param == "at-once" else blocking
        yield lambda *args, **named: stack.enter_context(make(*args, **named))
