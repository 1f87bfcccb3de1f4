"""docs/reliability.md names tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "reliability.md").read_text()
ROWS = [line for line in DOCUMENT.splitlines() if re.match(r"\| [UORCLS]\d+ \|", line)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split()[1])
def test_the_tests_of_a_row_are_there(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    assert named or "not yet" in row
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"


def test_every_row_says_how_it_stands() -> None:
    assert len(ROWS) == 75
    assert [row for row in ROWS if not re.search(r"\| (shown|partly: .+|not yet: .+) \|$", row)] == []
