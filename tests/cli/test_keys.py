"""`smart-router keys`: a key is shown once, and what is in the file can be listed and revoked."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from smart_router.access.keyfile import Denied, change_keys, digest_of, read_keys
from smart_router.cli import app
from smart_router.cli.keys import _Scope
from smart_router.types import SCOPES

pytestmark = pytest.mark.usefixtures("bare_environment")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def created(path: Path, *more: str, name: str = "app") -> dict[str, Any]:
    found = run("create", "--name", name, "--file", str(path), "--json", *more)
    assert found.exit_code == 0, found.output
    key: dict[str, Any] = json.loads(found.stdout)
    return key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_shown_once_and_only_its_digest_kept(path: Path) -> None:
    made = created(path)
    assert set(made) == {"id", "key"}
    (entry,) = read_keys(path)
    assert (entry.id, entry.sha256, entry.scopes) == (made["id"], digest_of(made["key"].encode()), ("route",))
    assert made["key"] not in path.read_text()
    assert made["key"] not in run("list", "--file", str(path)).output


def test_for_people_the_key_alone_goes_to_the_output(path: Path) -> None:
    found = run("create", "--name", "app", "--file", str(path))
    key = found.stdout.strip()
    assert read_keys(path)[0].sha256 == digest_of(key.encode())
    assert "copy it now" in found.stderr


def test_scopes_and_limits_are_kept(path: Path) -> None:
    created(path, "--scope", "route", "--scope", "admin", "--scope", "route", "--use-case", "tts", "--model", "a/b")
    (entry,) = read_keys(path)
    assert (entry.scopes, entry.use_cases, entry.models) == (("route", "admin"), ("tts",), ("a/b",))


def test_limits_of_how_much_are_kept_and_listed(path: Path) -> None:
    created(path, "--per-minute", "60", "--burst", "10", "--concurrency", "4")
    (entry,) = read_keys(path)
    assert (entry.requests_per_minute, entry.burst, entry.concurrency) == (60, 10, 4)
    assert "60 a minute; 10 at once; 4 under way" in run("list", "--file", str(path)).stdout
    assert run("create", "--name", "x", "--file", str(path), "--burst", "0").exit_code == 2


def test_caps_are_kept_and_listed_with_the_patterns_that_were_written_by_hand(path: Path) -> None:
    created(path, "--max-tokens", "200", "--max-choices", "2")
    (entry,) = read_keys(path)
    assert (entry.max_tokens, entry.max_choices, entry.deny) == (200, 2, ())
    change_keys(path, lambda _: [replace(entry, deny=(Denied("(?i)magic", "No magic here."),))])
    assert "200 tokens; 2 choices; 1 denied patterns" in run("list", "--file", str(path)).stdout
    (row,) = json.loads(run("list", "--file", str(path), "--json").stdout)
    assert row["deny"] == [{"pattern": "(?i)magic", "message": "No magic here."}]
    for option in ("--max-tokens", "--max-choices"):
        assert run("create", "--name", "x", "--file", str(path), option, "0").exit_code == 2


def test_the_file_may_be_named_by_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    assert run("create", "--name", "app").exit_code == 0
    assert len(read_keys(path)) == 1


def test_every_scope_can_be_given() -> None:
    assert [scope.value for scope in _Scope] == list(SCOPES)


def test_an_unknown_scope_is_refused_and_nothing_is_made(path: Path) -> None:
    found = run("create", "--name", "app", "--file", str(path), "--scope", "root")
    assert found.exit_code == 2
    assert "route" in found.output
    assert not path.exists()


def test_all_keys_are_listed(path: Path) -> None:
    ids = [created(path, name=name)["id"] for name in ("phones", "दुकान")]
    head, *table = run("list", "--file", str(path)).stdout.splitlines()
    assert head.split() == ["KEY", "SCOPES", "CREATED", "NAME"]
    assert [line.split()[0] for line in table] == ids
    assert "दुकान" in table[1]
    listed = json.loads(run("list", "--file", str(path), "--json").stdout)
    assert [row["id"] for row in listed] == ids
    assert "sha256" not in listed[0]


def test_a_revoked_key_is_gone(path: Path) -> None:
    first, second = created(path), created(path)
    assert run("revoke", first["id"], "--file", str(path)).exit_code == 0
    assert [entry.id for entry in read_keys(path)] == [second["id"]]


def test_revoking_what_is_not_there_changes_nothing_and_says_so(path: Path) -> None:
    created(path)
    before = path.read_text()
    found = run("revoke", "k_none", "--file", str(path))
    assert found.exit_code == 2
    assert "no key k_none" in found.output
    assert path.read_text() == before


@pytest.mark.parametrize("command", [["list"], ["revoke", "k_1"]])
def test_without_a_file_there_is_one_clear_error(path: Path, command: list[str]) -> None:
    found = run(*command, "--file", str(path))
    assert found.exit_code == 2
    assert "keys create" in found.output
    assert not path.exists()


def test_a_wrong_file_is_not_overwritten(path: Path) -> None:
    path.write_text("{")
    found = run("create", "--name", "app", "--file", str(path))
    assert found.exit_code == 2
    assert path.read_text() == "{"
