"""The dashboards, and the programs that the tests need."""

import os
import shutil

import pytest
from grafana.asking import Json, load
from grafana.dashboards import FOLDER


@pytest.fixture(scope="session")
def boards() -> dict[str, Json]:
    """The committed dashboards, by the name of their file."""
    return {path.stem: load(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    return _program("prometheus")


@pytest.fixture(scope="session")
def promtool() -> str:
    return _program("promtool")


def _program(name: str) -> str:
    """On a build server it must be there."""
    if found := shutil.which(name):
        return found
    reason = f"no {name} on the PATH; install the package prometheus"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
