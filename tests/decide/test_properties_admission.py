"""Rates over any stretch of time, not only from the beginning."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.admission import SECOND_US, admit, interval_us
from smart_router.types import Rate

RATES = st.builds(Rate, st.integers(1, 100_000), st.integers(1, 20))
MOMENTS = st.lists(st.integers(0, 90 * SECOND_US) | st.integers(0, 1000), max_size=80).map(
    lambda gaps: [*accumulate(gaps)]
)


def admitted(rate: Rate, moments: list[int]) -> list[int]:
    """Of *moments* (microseconds) those at which a request came in."""
    tat, found = None, []
    for now in moments:
        answer, tat = admit(tat, now, rate)
        if answer.admitted:
            found.append(now)
    return found


@given(RATES, MOMENTS)
def test_in_no_stretch_of_time_more_come_in_than_the_burst_and_what_the_stretch_brings(
    rate: Rate, moments: list[int]
) -> None:
    came = admitted(rate, moments)
    for first, begin in enumerate(came):
        for last in range(first, len(came)):
            assert last - first + 1 <= rate.burst + (came[last] - begin) // interval_us(rate)


@given(RATES, MOMENTS)
def test_whoever_never_asks_for_more_than_that_is_never_refused(rate: Rate, moments: list[int]) -> None:
    kept: list[int] = []
    for now in moments:
        asked = [*kept, now]
        if all(
            len(asked) - first <= rate.burst + (now - begin) // interval_us(rate) for first, begin in enumerate(asked)
        ):
            kept = asked
    assert admitted(rate, kept) == kept


@given(RATES, MOMENTS)
def test_those_refused_make_no_difference(rate: Rate, moments: list[int]) -> None:
    came = admitted(rate, moments)
    assert admitted(rate, came) == came
