"""Simulated servers on real sockets, and a client."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import aiohttp
import pytest
import pytest_asyncio

from smart_router.simulate import KINDS, Kind, running

from .asking import Start, quick

Stopping = Callable[[Callable[[], None]], None]


@pytest.fixture(scope="session")
def urls() -> Iterator[dict[Kind, str]]:
    """A quick server of every kind, shared by the tests that change nothing."""
    with contextlib.ExitStack() as servers:
        yield {kind: servers.enter_context(running(quick(kind=kind))) for kind in KINDS}


@pytest.fixture
def start(stopping: Stopping) -> Iterator[Start]:
    """Starts a quick server of the test's own, with the options given; returns its address."""
    servers = contextlib.ExitStack()
    yield lambda **options: servers.enter_context(running(quick(**options)))
    stopping(servers.close)


@pytest.fixture(scope="session")
def stopping() -> Iterator[Stopping]:
    """Stops servers while the next tests run: each takes a tenth of a second to notice."""
    with ThreadPoolExecutor(max_workers=8) as threads:
        stopped: list[Future[None]] = []
        yield lambda stop: stopped.append(threads.submit(stop))
        for future in stopped:
            future.result()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session
