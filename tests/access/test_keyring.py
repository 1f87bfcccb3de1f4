"""Which key opens what, while the file of keys changes."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from smart_router.access import keyring
from smart_router.access.keyfile import Denied, change_keys, digest_of, new_entry
from smart_router.access.keyring import KeyRing
from smart_router.errors import ConfigurationError
from smart_router.types import Rate
from tests.fakes import settings

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def log() -> Iterator[list[Any]]:
    with capture_logs() as found:
        yield found


def a_ring(path: Path | None = None, key: str | None = None) -> KeyRing:
    return KeyRing(settings(api_keys_file=path, api_key=key), {"agent": 1, "tts": 2}, {"small": 1})


def added(path: Path, name: str = "app", **allowed: Any) -> tuple[bytes, str]:
    """The key and its id."""
    key, entry = new_entry(name, ["route"], **allowed)
    change_keys(path, lambda entries: (*entries, entry))
    return key.encode(), entry.id


def revoked(path: Path, id: str) -> None:
    change_keys(path, lambda entries: [entry for entry in entries if entry.id != id])


def test_each_key_opens_its_own(path: Path) -> None:
    made = dict(added(path) for _ in range(3))
    ring = a_ring(path)
    assert {key: ring.find(key).id for key in made} == made  # type: ignore[union-attr]
    assert ring.find(b"sr-another") is None
    assert ring.find(b"") is None


def test_limits_of_a_key_are_its_grant(path: Path) -> None:
    key, _ = added(path, use_cases=("agent",), models=("small",))
    grant = a_ring(path).find(key)
    assert grant is not None
    assert grant.limited
    assert (grant.use_cases, grant.models) == (frozenset(("agent",)), frozenset(("small",)))


@pytest.mark.parametrize(
    ("general", "own", "rate"),
    [
        (0, {}, None),
        (60, {}, Rate(60, 60)),
        (60, {"burst": 5}, Rate(60, 5)),
        (60, {"requests_per_minute": 6}, Rate(6, 6)),
        (60, {"requests_per_minute": 6, "burst": 9}, Rate(6, 9)),
        (60, {"requests_per_minute": 0}, None),
        (0, {"requests_per_minute": 6}, Rate(6, 6)),
        (0, {"burst": 5}, None),
    ],
)
def test_a_key_has_its_own_rate_or_the_general_one(path: Path, general: int, own: dict[str, int], rate: Rate) -> None:
    key, _ = added(path, "app", **own)
    ring = KeyRing(settings(api_keys_file=path, api_key="shared", rate_limit_per_minute=general), {}, {})
    found, shared = ring.find(key), ring.find(b"shared")
    assert found is not None
    assert shared is not None
    assert (found.rate, found.limited) == (rate, rate is not None)
    assert shared.rate == ring.anybody.rate == (Rate(general, general) if general else None)


@pytest.mark.parametrize("allowed", [{"use_cases": ("agent", "sing")}, {"models": ("large",)}])
def test_a_limit_to_what_is_not_there_is_an_error_that_names_it(path: Path, allowed: dict[str, Any]) -> None:
    _, id = added(path, **allowed)
    with pytest.raises(ConfigurationError, match=rf"{id}: .*no '(sing|large)' here; there are"):
        a_ring(path)


def test_a_file_that_is_missing_stops_the_start(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"keys\.json"):
        a_ring(path)


def test_a_file_without_keys_lets_nobody_in_and_says_so(path: Path, log: list[Any]) -> None:
    change_keys(path, lambda _: [])
    ring = a_ring(path)
    assert not ring.open
    assert [line["log_level"] for line in log] == ["warning"]


def test_keys_are_compared_in_constant_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = added(path)
    compared: list[tuple[str, str]] = []
    monkeypatch.setattr("smart_router.access.keyring.hmac.compare_digest", lambda a, b: compared.append((a, b)))
    assert a_ring(path).find(key) is None
    assert compared == [(digest_of(key), digest_of(key))]


def test_rules_of_a_key_are_its_grants(path: Path) -> None:
    key, id = added(path, max_tokens=5, max_choices=2, deny=(Denied("(?i)magic", "no magic"),))
    plain, _ = added(path)
    ring = a_ring(path)
    grant, other = ring.find(key), ring.find(plain)
    assert grant is not None
    assert other is not None
    assert grant.rules is not None
    assert (grant.limits, other.limits, other.rules) == (grant, None, None)
    assert (grant.rules.max_tokens, grant.rules.max_choices) == (5, 2)
    (deny,) = grant.rules.deny
    assert (bool(deny.search("MAGIC")), deny.message, deny.place) == (True, "no magic", f"keys[{id}].deny[0]")


def test_a_wrong_pattern_of_a_key_is_an_error_that_names_it(path: Path) -> None:
    _, id = added(path, deny=(Denied("a", "no a"), Denied("(", "no b")))
    with pytest.raises(ConfigurationError, match=rf"keys\.json: key {id}: deny\[1\]\.pattern: missing \): \(; .*RE2"):
        a_ring(path)


def test_a_wrong_pattern_leaves_a_running_ring_as_it_was(path: Path, log: list[Any]) -> None:
    key, _ = added(path, max_tokens=5)
    ring = a_ring(path)
    spoilt, _ = added(path, deny=(Denied("[", "no"),))
    ring.refresh()
    assert ring.find(key)
    assert ring.find(spoilt) is None
    assert ["deny[0].pattern" in line["error"] for line in log] == [True]


# changes


def test_a_new_key_opens_and_a_revoked_one_does_not(path: Path) -> None:
    first, id = added(path)
    ring = a_ring(path)
    second, _ = added(path)
    ring.refresh()
    assert ring.find(second)
    revoked(path, id)
    ring.refresh()
    assert ring.find(first) is None
    assert ring.find(second)


@pytest.mark.parametrize("content", ["", "{", '{"version": 1, "keys": [{"id": "a"}]}'])
def test_a_wrong_file_leaves_the_keys_and_is_named_once(path: Path, content: str, log: list[Any]) -> None:
    key, _ = added(path)
    ring = a_ring(path)
    path.write_text(content)
    for _ in range(3):
        ring.refresh()
    assert ring.find(key)
    assert [(line["log_level"], "keys.json" in line["error"]) for line in log] == [("error", True)]


def test_and_it_is_read_when_it_is_right_again(path: Path) -> None:
    first, _ = added(path)
    ring = a_ring(path)
    good = path.read_text()
    path.write_text("{")
    ring.refresh()
    path.write_text(good)
    second, _ = added(path)
    ring.refresh()
    assert ring.find(first)
    assert ring.find(second)


def test_a_file_that_is_gone_leaves_the_keys(path: Path, log: list[Any]) -> None:
    key, _ = added(path)
    ring = a_ring(path)
    path.unlink()
    ring.refresh()
    assert ring.find(key)
    assert [line["log_level"] for line in log] == ["error"]


def test_a_file_that_is_the_same_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added(path)
    ring = a_ring(path)
    monkeypatch.setattr(keyring, "read_keys", None)
    ring.refresh()


def test_another_file_of_the_same_age_and_size_is_noticed(path: Path) -> None:
    old, _ = added(path)
    ring = a_ring(path)
    age = path.stat().st_mtime_ns
    document = json.loads(path.read_text())
    document["keys"][0]["sha256"] = digest_of(b"new")
    other = path.with_name("other.json")
    other.write_text(json.dumps(document, indent=2) + "\n")
    other.replace(path)
    os.utime(path, ns=(age, age))
    ring.refresh()
    assert ring.find(b"new")
    assert ring.find(old) is None


@pytest.mark.asyncio
async def test_a_running_ring_looks_by_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "LOOK_AGAIN_S", 0.01)
    added(path)
    ring = a_ring(path)
    ring.start()
    try:
        key, _ = added(path)
        async with asyncio.timeout(20):
            while ring.find(key) is None:  # noqa: ASYNC110 - it looks at a file, which tells nobody
                await asyncio.sleep(0.01)
    finally:
        await ring.close()


@pytest.mark.asyncio
async def test_without_a_file_there_is_nothing_to_look_at() -> None:
    ring = a_ring()
    ring.start()
    await ring.close()
    assert ring.open


def test_a_file_that_names_what_the_registry_will_have_is_read_once_it_has_it(path: Path) -> None:
    gone, id = added(path)
    ring = a_ring(path)
    revoked(path, id)
    new, _ = added(path, use_cases=("poetry",))
    ring.refresh()
    assert (ring.find(gone) is None, ring.find(new)) == (False, None)
    ring.check(["poetry"], ["small"])
    ring.know(["poetry"], ["small"])
    assert ring.find(gone) is None
    assert ring.find(new) is not None


def test_names_that_a_key_needs_are_missed(path: Path) -> None:
    added(path, models=("small",))
    with pytest.raises(ConfigurationError, match="small"):
        a_ring(path).check(["agent"], ["large"])
