"""The page's pure functions, by Node's own test runner."""

import subprocess
from pathlib import Path

import pytest

from tests.needs import program

TESTS = sorted((Path(__file__).parent / "js").glob("*.test.mjs"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_functions_do_what_they_promise(path: Path) -> None:
    done = subprocess.run([program("node"), "--test", str(path)], capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stdout + done.stderr
