"""What several suites share: an environment that says nothing, and a real Redis."""

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from smart_router.cli.processes import redis_server
from smart_router.settings import Settings
from tests.needs import redis_program

# The same examples in every run, and no deadlines: a slow machine is no defect.
hypothesis.settings.register_profile("ours", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("ours")

# A shell has its background jobs ignore Ctrl+C, and programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ALSO_READ = (
    "PORT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    *(f"VLLM_{group}_{what}" for group in ("AGENT", "MULTIMODAL", "AUDIO") for what in ("URL", "MODEL", "API")),
)


@pytest.fixture(autouse=True)
def no_log_of_an_earlier_test() -> Iterator[None]:
    """Whoever configures logs writes to a stream that pytest closes after the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable of ours is set, no `.env` is near; the folder is the test's own."""
    for name in (*map(str.upper, Settings.model_fields), *ALSO_READ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real redis-server for the whole run. On a build server it must be there."""
    with redis_server(redis_program()) as url:
        yield url
