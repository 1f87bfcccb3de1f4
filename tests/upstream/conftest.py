from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from smart_router.upstream import KINDS
from smart_router.upstream.base import Upstream
from tests.fakes import settings

from .scripted import ScriptedServer, scripted_server

DEADLINE_S = 1.0  # long enough for a first connection on a busy machine


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as found:
        yield found


@pytest_asyncio.fixture(params=KINDS)
async def upstream(request: pytest.FixtureRequest, bare_environment: object) -> AsyncIterator[Upstream]:
    """One of each kind, with deadlines that a test can wait for."""
    found = KINDS[request.param](
        settings(
            connect_timeout=DEADLINE_S,
            first_byte_timeout=DEADLINE_S,
            between_chunks_timeout=DEADLINE_S,
            health_timeout=DEADLINE_S,
        ),
        lambda: True,
    )
    await found.start()
    yield found
    await found.close()
