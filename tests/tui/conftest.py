"""One router on simulated model servers for the tests here that want a real one."""

from collections.abc import Iterator

import pytest

from tests.e2e.models import Models, three_models
from tests.e2e.routers import a_registry, running_router


@pytest.fixture(scope="package")
def models() -> Iterator[Models]:
    with three_models() as models:
        yield models


@pytest.fixture(scope="package")
def router_url(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_router(a_registry(tmp_path_factory.mktemp("router"), models.endpoints)) as router:
        yield router.url
