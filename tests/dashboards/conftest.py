"""The dashboards, and the programs that the tests need."""

import pytest
from grafana.asking import Json, load
from grafana.dashboards import FOLDER

from tests.needs import program


@pytest.fixture(scope="session")
def boards() -> dict[str, Json]:
    """The committed dashboards, by the name of their file."""
    return {path.stem: load(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    return program("prometheus")


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool")
