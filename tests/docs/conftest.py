"""Servers for the documents' examples, each started once, and the site, built once."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.docs.world import KEY, World, fill
from tests.e2e.models import three_models
from tests.e2e.routers import a_registry, running_router


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("project")
    fill(folder)
    with ExitStack() as stack:
        models = stack.enter_context(three_models())
        registry = a_registry(tmp_path_factory.mktemp("registry"), models.endpoints)
        router = stack.enter_context(running_router(registry))

        @cache
        def keyed() -> str:
            return stack.enter_context(running_router(registry, api_key=KEY)).url

        yield World(router.url, keyed, models, folder)
