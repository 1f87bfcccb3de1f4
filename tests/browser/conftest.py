"""One browser, one router on simulated models and one whose models say what tests want; a new page for each test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.e2e.models import KINDS, Models, Recorder, a_recorder, three_models
from tests.e2e.routers import KEY, Router, a_registry, eventually, running_router, wait_until_rested

from .chromium import FAKE_MICROPHONE, WITHIN_MS, a_browser
from .playground import Playground, a_playground

Opener = Callable[..., Playground]


# Of the package: as long as Playwright runs, this thread has a running event loop, and tests elsewhere bring their own.
@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with a_browser(playwright, *FAKE_MICROPHONE) as found:
        yield found


@pytest.fixture(scope="package")
def simulated_servers() -> Iterator[Models]:
    with three_models() as found:
        yield found


@pytest.fixture
def models(simulated_servers: Models) -> Models:
    """Well, and without memory of earlier tests."""
    simulated_servers.reset()
    return simulated_servers


@pytest.fixture(scope="package")
def simulated_router(simulated_servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    registry = a_registry(tmp_path_factory.mktemp("simulated"), simulated_servers.endpoints)
    with running_router(registry, health_interval=0.2) as found:
        yield found


@pytest.fixture
def router(simulated_router: Router, models: Models) -> Router:
    wait_until_rested(simulated_router)
    return simulated_router


@pytest.fixture(scope="package")
def recording() -> Iterator[Recorder]:
    with a_recorder() as found:
        yield found


@pytest.fixture(scope="package")
def spoken_router(recording: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    registry = a_registry(tmp_path_factory.mktemp("spoken"), {model: [recording.url] for model in KINDS})
    with running_router(registry, health_interval=0.2) as found:
        yield found


@pytest.fixture
def model(recording: Recorder, spoken_router: Router) -> Recorder:
    """The model behind `spoken`: see `speaking`."""
    recording.reset()
    eventually(spoken_router, "/health", "status", "healthy")
    wait_until_rested(spoken_router)
    return recording


@pytest.fixture(scope="package")
def keyed_router(simulated_servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """Asks for a key."""
    registry = a_registry(tmp_path_factory.mktemp("keyed"), simulated_servers.endpoints)
    with running_router(registry, health_interval=0.2, api_key=KEY) as found:
        yield found


@pytest.fixture
def opener(browser: Browser) -> Iterator[Opener]:
    """Opens pages; at the end of the test each must have been quiet, and have talked to its own router alone."""
    opened: list[Playground] = []

    def open_page(url: str, of: Browser = browser, *, opened_at_once: bool = True, **options: Any) -> Playground:
        found = a_playground(of, url, **options)
        opened.append(found)
        if opened_at_once:
            found.open()
        return found

    yield open_page
    for one in opened:
        one.page.context.close()
    for one in opened:
        one.watch.check()


@pytest.fixture
def playground(opener: Opener, router: Router) -> Playground:
    return opener(router.url)


@pytest.fixture
def spoken(opener: Opener, spoken_router: Router, model: Recorder) -> Playground:
    """A page whose router's models say what the test tells `model` to."""
    return opener(spoken_router.url)


@pytest.fixture
def keyed(opener: Opener, keyed_router: Router) -> Playground:
    return opener(keyed_router.url)
