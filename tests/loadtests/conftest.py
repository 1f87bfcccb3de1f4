"""One whole router for all runs: model servers (simulated), Redis, and a key that it asks for."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

import pytest
from loadtests.servers import Site, own

from smart_router.settings import Settings

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def bare_variables() -> dict[str, str]:
    """This process's, without any that a router reads."""
    ours = {name.upper() for name in Settings.model_fields} | {"PORT", "API_KEYS_FILE", "RATE_LIMIT_PER_MINUTE"}
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("VLLM_")}


@pytest.fixture(scope="session")
def site(redis_url: str) -> Iterator[Site]:
    """*redis_url* is asked for its skip where there is no redis-server; the router brings one of its own."""
    with patch.dict(os.environ, bare_variables(), clear=True), own() as site:
        yield site


@pytest.fixture
def run() -> Run:
    """`python -m loadtests` with the words given, and the variables beside them."""

    def run(*words: str, variables: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "loadtests", *words]
        environment = bare_variables() | dict(variables or {})
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110)

    return run
