"""Who is calling: a shared key, or anybody."""

import pytest

from smart_router.api.auth import ANYBODY, Door
from smart_router.errors import Unauthorized
from tests.fakes import settings

KEY = "sk-räka"

pytestmark = pytest.mark.usefixtures("bare_environment")


def caller(*authorizations: bytes, key: str | None = KEY) -> str:
    headers = [(b"authorization", value) for value in authorizations]
    return Door(settings(api_key=key)).caller({"headers": headers})


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_anybody_may_come_in(key: str | None) -> None:
    assert Door(settings(api_key=key)).open
    assert caller(key=key) == ANYBODY
    assert caller(b"Bearer whatever", key=key) == ANYBODY


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
def test_the_key_opens_and_the_caller_is_a_digest_of_it(scheme: bytes) -> None:
    found = caller(scheme + KEY.encode())
    assert len(found) == 16
    assert KEY not in found


def test_two_keys_are_two_callers() -> None:
    assert caller(b"Bearer a", key="a") != caller(b"Bearer b", key="b")


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
        caller(*given)
    assert KEY not in caught.value.message


def test_spaces_around_the_configured_key_do_not_lock_everybody_out() -> None:
    caller(b"Bearer abc", key=" abc ")
