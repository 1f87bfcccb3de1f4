"""The file of keys: it holds no key, is replaced as a whole, and says where it is wrong."""

import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from smart_router.access.keyfile import Denied, Entry, change_keys, digest_of, new_entry, read_keys
from smart_router.errors import ConfigurationError

ONE = {"id": "k_1", "sha256": "a" * 64}
TWO = {"id": "k_2", "sha256": "b" * 64}


def written(path: Path, *keys: dict[str, Any], **changed: Any) -> Path:
    path.write_text(json.dumps({"version": 1, "keys": keys} | changed))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_new_key_is_long_random_and_not_kept(path: Path) -> None:
    made = [new_entry("app", ["route"]) for _ in range(20)]
    change_keys(path, lambda _: [entry for _, entry in made])
    for key, entry in made:
        assert len(key) >= 43
        assert entry.sha256 == hashlib.sha256(key.encode()).hexdigest() == digest_of(key.encode())
        assert key not in path.read_text()
    assert len({key for key, _ in made}) == len({entry.id for _, entry in made}) == 20


def test_what_was_written_is_read(path: Path) -> None:
    _, entry = new_entry("आवाज़ app", ["route", "metrics"], use_cases=("agent",), models=("small",))
    change_keys(path, lambda _: [entry])
    assert read_keys(path) == (entry,)


def test_only_its_owner_can_read_it_and_rights_once_given_stay(path: Path) -> None:
    change_keys(path, lambda _: [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    change_keys(path, lambda _: [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_nothing_is_lost_if_many_write_at_once(path: Path) -> None:
    def add(i: int) -> None:
        change_keys(path, lambda entries: [*entries, Entry(f"k_{i}", digest_of(b"%d" % i))])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert {entry.id for entry in read_keys(path)} == {f"k_{i}" for i in range(40)}


def test_a_change_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    before = written(path, ONE).read_text()
    with pytest.raises(ZeroDivisionError):
        change_keys(path, lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    assert path.read_text() == before
    assert [found.name for found in path.parent.glob(".keys.json.*") if "lock" not in found.name] == []


def test_rules_are_read_as_they_were_written(path: Path) -> None:
    _, entry = new_entry("app", ["route"], max_tokens=5, max_choices=2, deny=(Denied("(?i)कुंजी", "Not that."),))
    change_keys(path, lambda _: [entry])
    assert read_keys(path) == (entry,)


def test_a_file_that_people_wrote_needs_no_more_than_id_and_digest(path: Path) -> None:
    (entry,) = read_keys(written(path, ONE))
    assert (entry.scopes, entry.use_cases, entry.models) == (("route",), None, None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "malformed|truncated"),
        ("[]", "object"),
        ('{"keys": []}', "version"),
        ('{"version": 2, "keys": []}', "version"),
        ('{"version": 1}', "keys"),
        ("\xff", ""),
        ("[" * 100_000, ""),
    ],
)
def test_a_file_of_another_form_is_refused_by_name(path: Path, content: str, says: str) -> None:
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=rf"keys\.json: .*({says})"):
        read_keys(path)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"id": "a b"}, r"\$\.keys\[1\]\.id"),
        ({"id": ""}, r"\$\.keys\[1\]\.id"),
        ({"id": "}:s:x"}, r"\$\.keys\[1\]\.id"),
        ({"sha256": "sr-a-key-itself"}, r"\$\.keys\[1\]\.sha256"),
        ({"sha256": "A" * 64}, r"\$\.keys\[1\]\.sha256"),
        ({"scopes": ["root"]}, r"\$\.keys\[1\]\.scopes\[0\]"),
        ({"requests": 5}, "requests"),
        ({"max_tokens": 0}, r"\$\.keys\[1\]\.max_tokens"),
        ({"max_choices": "2"}, r"\$\.keys\[1\]\.max_choices"),
        ({"deny": ["a"]}, r"\$\.keys\[1\]\.deny\[0\]"),
        ({"deny": [{"pattern": "a"}]}, r"missing required field `message` - at `\$\.keys\[1\]\.deny\[0\]"),
        ({"deny": [{"pattern": "", "message": "b"}]}, r"\$\.keys\[1\]\.deny\[0\]\.pattern"),
        ({"deny": [{"pattern": "a", "message": "b", "flags": "i"}]}, "flags"),
        ({"id": "k_1"}, "two keys have the id k_1"),
        ({"sha256": "a" * 64}, "two keys have the sha256"),
    ],
)
def test_a_wrong_key_is_refused_by_its_place(path: Path, wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigurationError, match=place):
        read_keys(written(path, ONE, TWO | wrong))


def test_a_file_that_is_not_there_says_how_to_make_one(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="keys create"):
        read_keys(path)


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        change_keys(tmp_path / "nowhere" / "keys.json", lambda _: [])
