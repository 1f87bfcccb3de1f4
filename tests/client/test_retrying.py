"""What is asked again, and after how long: by given clocks and draws."""

import pytest

from smart_router.client.errors import (
    ClientError,
    NotARouter,
    RouterRefused,
    RouterUnreachable,
    StreamBroken,
    UnknownSession,
)
from smart_router.client.reading import retry_after_s
from smart_router.client.retrying import FIRST_S, LONGEST_S, MOST_S, Patience, Trying

NOBODY = RouterUnreachable("nobody")
LOST = RouterUnreachable("lost", asked=True)


def busy(retry_after_s: float | None = None, status: int = 503) -> RouterRefused:
    return RouterRefused(status, "overloaded", "no room", retry_after_s)


def trying(*, repeatable: bool = False, now: float = 0.0, timeout_s: float = 1000.0, retries: int = 9) -> Trying:
    return Trying(Patience(timeout_s=timeout_s, retries=retries), repeatable, now)


def test_pauses_grow_up_to_a_bound() -> None:
    tried = trying()
    longest = [tried.pause_s(NOBODY, 0.0, 1.0) for _ in range(6)]
    assert longest == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S, MOST_S, MOST_S]


def test_a_pause_is_drawn_from_all_up_to_its_length() -> None:
    tried = trying()
    assert [tried.pause_s(NOBODY, 0.0, draw) for draw in (0.0, 0.5)] == [0.0, FIRST_S]


def test_who_says_how_long_gets_that_and_a_little_more() -> None:
    assert trying().pause_s(busy(7.0), 0.0, 0.0) == 7.0
    assert trying().pause_s(busy(7.0, 429), 0.0, 1.0) == 7.0 + FIRST_S
    assert trying().pause_s(busy(LONGEST_S), 0.0, 0.0) == LONGEST_S
    with pytest.raises(RouterRefused):
        trying().pause_s(busy(LONGEST_S + 1), 0.0, 0.0)


def test_who_says_later_but_not_when_gets_a_growing_pause() -> None:
    assert trying().pause_s(busy(), 0.0, 1.0) == FIRST_S
    assert trying().pause_s(NotARouter("a proxy", status=503), 0.0, 1.0) == FIRST_S


def test_no_pause_reaches_beyond_the_deadline() -> None:
    tried = trying(now=100.0, timeout_s=10.0)
    assert tried.left_s(104.0) == 6.0
    assert tried.pause_s(busy(5.0), 104.0, 0.0) == 5.0
    with pytest.raises(RouterRefused):
        tried.pause_s(busy(5.0), 105.0, 0.0)
    assert tried.left_s(111.0) > 0


def test_after_the_last_retry_the_error_itself_is_raised() -> None:
    tried = trying(retries=2)
    tried.pause_s(NOBODY, 0.0, 0.0)
    tried.pause_s(busy(), 0.0, 0.0)
    with pytest.raises(RouterUnreachable, match="nobody"):
        tried.pause_s(NOBODY, 0.0, 0.0)
    with pytest.raises(RouterUnreachable):
        trying(retries=0).pause_s(NOBODY, 0.0, 0.0)


@pytest.mark.parametrize(
    "error",
    [
        LOST,
        NotARouter("html"),
        NotARouter("html", status=502),
        busy(1.0, status=500),
        UnknownSession(404, "unknown_session", "over"),
        StreamBroken("cut", "text"),
    ],
)
def test_what_may_have_been_done_or_will_not_change_is_not_tried_again(error: ClientError) -> None:
    with pytest.raises(type(error)):
        trying().pause_s(error, 0.0, 0.0)


def test_what_does_no_harm_twice_is_tried_again_when_lost() -> None:
    assert trying(repeatable=True).pause_s(LOST, 0.0, 0.0) == 0.0
    with pytest.raises(StreamBroken):  # of which a byte has come
        trying(repeatable=True).pause_s(StreamBroken("cut", ""), 0.0, 0.0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("3", 3.0), (" 0 ", 0.0), ("-1", None), ("1.5", None), ("soon", None), ("٣", None), ("", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 9999 99:99:99 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, now=100.0) == seconds
