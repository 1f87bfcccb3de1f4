"""All that is installed is locked by version and hash, and an audit that could not look anything up does not pass."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

audit: Any = import_module("scripts.audit")
ROOT = Path(__file__).parents[2]
LOCKED = {path.relative_to(ROOT).as_posix(): path.read_text() for path in audit.LOCKED}
CLEAN: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
SKIPPED: dict[str, Any] = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1)"}
VULNERABLE = CLEAN | {"vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}


def requirements(text: str) -> list[str]:
    """Each with its continuation lines as one line, without comments."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [line for line in (line.split(" #")[0].strip() for line in lines) if line and not line.startswith("#")]


@pytest.mark.parametrize("name", LOCKED)
def test_every_line_that_installs_something_names_a_version_and_a_hash(name: str) -> None:
    lines = requirements(LOCKED[name])
    assert lines
    exact = re.compile(r"[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?==[^ ;]+( *;[^\\]*?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines if not exact.fullmatch(line)] == []


def test_every_file_of_requirements_is_among_them() -> None:
    assert LOCKED.keys() >= {f"requirements/{name}.txt" for name in ("runtime", "demo", "dev", "build")}


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ([CLEAN], audit.CLEAN, "1 packages looked up"),
        ([CLEAN, SKIPPED], audit.UNKNOWN, "NOT CHECKED: 1 of 2 packages"),
        ([VULNERABLE, SKIPPED], audit.VULNERABLE, "PYSEC-1, mended in 2"),
        ([], audit.UNKNOWN, "NOT CHECKED"),
        (None, audit.UNKNOWN, "NOT CHECKED: no route to host"),
    ],
)
def test_an_audit_passes_only_where_everything_was_looked_up(
    said: list[dict[str, Any]] | None, status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Done:
        stdout = "" if said is None else json.dumps({"dependencies": said})
        stderr = "Traceback\nno route to host\n"

    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: Done)
    assert audit.main() == status
    assert words in capsys.readouterr().out
