"""Who may come in: whoever has a key that is for it, or anybody where there is none."""

from pathlib import Path

import pytest

from smart_router.access.keyfile import change_keys, new_entry, read_keys
from smart_router.access.keyring import ANYBODY, KeyRing
from smart_router.api.auth import Door
from smart_router.errors import Forbidden, Unauthorized
from smart_router.types import Grant, Scope
from tests.fakes import settings

KEY = "sk-räka"

pytestmark = pytest.mark.usefixtures("bare_environment")


def a_door(**changed: object) -> Door:
    return Door(KeyRing(settings(**changed), {"agent", "tts"}, {"small"}))


def enter(*authorizations: bytes, key: str | None = KEY) -> Grant:
    return a_door(api_key=key).enter({"headers": [(b"authorization", value) for value in authorizations]})


def with_key(key: str) -> dict[str, list[tuple[bytes, bytes]]]:
    return {"headers": [(b"authorization", b"Bearer " + key.encode())]}


@pytest.fixture
def keys(tmp_path: Path) -> dict[Scope, str]:
    """A file of keys, one of each scope."""
    made = {scope: new_entry(scope, [scope]) for scope in ("route", "admin", "metrics")}
    change_keys(tmp_path / "keys.json", lambda _: [entry for _, entry in made.values()])
    return {scope: key for scope, (key, _) in made.items()}  # type: ignore[misc]


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_anybody_may_come_in(key: str | None) -> None:
    assert enter(key=key) == ANYBODY
    assert enter(b"Bearer whatever", key=key) == ANYBODY


def test_but_nobody_is_an_administrator() -> None:
    with pytest.raises(Forbidden, match="API_KEY"):
        a_door().enter({"headers": []}, "admin")


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
def test_the_shared_key_opens_everything_and_the_caller_is_a_digest_of_it(scheme: bytes) -> None:
    found = enter(scheme + KEY.encode())
    assert len(found.id) == 16
    assert KEY not in found.id
    assert found.scopes == {"route", "admin", "metrics"}
    assert not found.limited


def test_two_keys_are_two_callers() -> None:
    assert enter(b"Bearer a", key="a").id != enter(b"Bearer b", key="b").id


@pytest.mark.parametrize(
    "given",
    [
        (),
        (b"",),
        (b"Bearer",),
        (b"Bearer ",),
        (b"Bearer wrong",),
        (KEY.encode(),),
        (b"Basic " + KEY.encode(),),
        (b"Bearer " + KEY.encode() + b"x",),
        (b"Bearer \xff\xfe",),
        (b"Bearer " + KEY.encode(), b"Bearer " + KEY.encode()),
    ],
)
def test_anything_else_is_refused_without_saying_why(given: tuple[bytes, ...]) -> None:
    with pytest.raises(Unauthorized) as caught:
        enter(*given)
    assert KEY not in caught.value.message


def test_spaces_around_the_configured_key_do_not_lock_everybody_out() -> None:
    enter(b"Bearer abc", key=" abc ")


# keys from a file


def test_a_key_is_for_its_scopes_only(keys: dict[Scope, str], tmp_path: Path) -> None:
    door = a_door(api_keys_file=tmp_path / "keys.json")
    for scope, key in keys.items():
        assert door.enter(with_key(key), scope).scopes == {scope}
        assert door.enter(with_key(key)).scopes == {scope}
        for other in set(keys) - {scope}:
            with pytest.raises(Forbidden, match=f"use one with the scope {other}"):
                door.enter(with_key(key), other)


def test_what_the_file_holds_opens_nothing(keys: dict[Scope, str], tmp_path: Path) -> None:
    door = a_door(api_keys_file=tmp_path / "keys.json")
    digests = [entry.sha256 for entry in read_keys(tmp_path / "keys.json")]
    assert len(digests) == 3
    for digest in digests:
        for given in (digest, digest.upper(), bytes.fromhex(digest).decode("latin-1")):
            with pytest.raises(Unauthorized):
                door.enter(with_key(given))


@pytest.mark.parametrize("cut", [1, 8, 43])
def test_keys_that_begin_alike_are_different(cut: int, keys: dict[Scope, str], tmp_path: Path) -> None:
    door = a_door(api_keys_file=tmp_path / "keys.json")
    key = keys["route"]
    for other in (key[:-cut], key + key[:cut], key[:-cut] + "!" * cut):
        with pytest.raises(Unauthorized):
            door.enter(with_key(other))


def test_the_shared_key_works_beside_the_file(keys: dict[Scope, str], tmp_path: Path) -> None:
    door = a_door(api_keys_file=tmp_path / "keys.json", api_key=KEY)
    assert door.enter(with_key(keys["route"]), "route") != door.enter(with_key(KEY), "route")


# metrics


def test_metrics_are_open_unless_keys_have_scopes(keys: dict[Scope, str], tmp_path: Path) -> None:
    a_door().metrics({"headers": []})
    a_door(api_key=KEY).metrics({"headers": []})
    door = a_door(api_keys_file=tmp_path / "keys.json")
    door.metrics(with_key(keys["metrics"]))
    door.metrics(with_key(keys["admin"]))
    with pytest.raises(Forbidden):
        door.metrics(with_key(keys["route"]))
    with pytest.raises(Unauthorized):
        door.metrics({"headers": []})
