"""What the commands are tried against: somebody scripted, and a real router on simulated model servers."""

from collections.abc import Iterator

import pytest

from tests.e2e.models import three_models
from tests.e2e.routers import Router, a_registry, running_router

from .scripted_router import ScriptedRouter, a_scripted_router


@pytest.fixture
def router() -> Iterator[ScriptedRouter]:
    with a_scripted_router() as found:
        yield found


@pytest.fixture(scope="package")
def real_router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One for all tests here: each takes sessions of its own."""
    with three_models() as models:
        registry = a_registry(tmp_path_factory.mktemp("registry"), models.endpoints)
        with running_router(registry) as found:
            yield found
