"""The JavaScript module, in Node."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import smart_router
from smart_router.client.attachment import MEDIA_TYPES
from smart_router.client.calls import Fields
from tests.e2e.models import Models
from tests.e2e.routers import Router, wait_until_rested
from tests.needs import missing, program

FOLDER = Path(__file__).parents[2] / "clients" / "js"
MODULE = (FOLDER / "smart-router.js").read_text()
OLDEST = 18  # of Node


@pytest.fixture(scope="module")
def node() -> str:
    found = program("node")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(told.removeprefix("v").partition(".")[0]) < OLDEST:
        missing(f"node is {told.strip()}; the module needs {OLDEST} or later")
    return found


def passes(node: str, *files: str, **environment: str) -> None:
    done = subprocess.run(
        [node, "--test", *files], cwd=FOLDER, env=os.environ | environment, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.search(r"^. pass (\d+)$", done.stdout, re.M)
    assert ran, done.stdout
    assert int(ran[1]) > 5


def test_the_module_against_a_fake(node: str) -> None:
    passes(node)


def test_the_module_against_a_router(node: str, embedded_router: Router, models: Models) -> None:
    passes(node, "testing/against_router.js", SMART_ROUTER_URL=embedded_router.url, AGENT_URL=models.agent.url)
    wait_until_rested(embedded_router)


def test_both_languages_know_the_same() -> None:
    """The fields of a query, the types of files, and the version."""
    fields = re.search(r"const FIELDS = \[([^]]+)\]", MODULE)
    assert fields
    assert set(re.findall(r'"(\w+)"', fields[1])) == set(Fields.__annotations__)
    types = re.search(r"const MEDIA_TYPES = {([^}]+)}", MODULE)
    assert types
    assert dict(re.findall(r'(\w+): "([^"]+)"', types[1])) == MEDIA_TYPES
    package = json.loads((FOLDER / "package.json").read_text())
    version = re.search(r'VERSION = "([^"]+)"', MODULE)
    assert version
    assert version[1] == package["version"] == smart_router.__version__


def test_the_module_depends_on_nothing() -> None:
    assert "dependencies" not in json.loads((FOLDER / "package.json").read_text())
    assert re.findall(r'from "([^"]+)"', MODULE.partition("export const VERSION")[2]) == []
    assert re.findall(r'import\("([^"]+)"\)', MODULE) == ["node:fs/promises"]  # where a file is read
