"""The generic cell rate algorithm."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.admission import SECOND_US, admit, interval_us
from smart_router.types import Admission, Rate

RATES = st.builds(Rate, st.integers(1, 100_000), st.integers(1, 1000))
GAPS = st.lists(st.floats(0, 200), max_size=60)


BEGAN = 1_700_000_000 * SECOND_US


class Caller:
    """Asks by a clock of its own."""

    def __init__(self, rate: Rate) -> None:
        self.rate, self.now = rate, BEGAN
        self.tat: int | None = None

    def ask(self, after_s: float = 0.0) -> Admission:
        self.now += math.ceil(after_s * SECOND_US)
        found, self.tat = admit(self.tat, self.now, self.rate)
        return found


def test_a_burst_comes_in_at_once_and_then_one_by_one() -> None:
    caller = Caller(Rate(per_minute=60, burst=3))
    assert [caller.ask().remaining for _ in range(3)] == [2, 1, 0]
    late = caller.ask()
    assert (late.admitted, late.remaining) == (False, 0)
    assert late.retry_after_s == pytest.approx(1.0)
    assert caller.ask(0.5).retry_after_s == pytest.approx(0.5)
    assert caller.ask(0.5).admitted
    assert not caller.ask().admitted


def test_after_a_while_the_whole_burst_is_there_again() -> None:
    caller = Caller(Rate(60, 3))
    while caller.ask().admitted:
        pass
    last = caller.ask()
    assert last.reset_s == pytest.approx(3.0)
    assert [caller.ask(last.reset_s).admitted, *(caller.ask().admitted for _ in range(3))] == [True, True, True, False]


@given(RATES, GAPS)
def test_never_more_than_the_burst_and_what_the_time_brings(rate: Rate, gaps: list[float]) -> None:
    caller = Caller(rate)
    admitted = sum(caller.ask(gap).admitted for gap in gaps)
    assert admitted <= rate.burst + (caller.now - BEGAN) // interval_us(rate)


@given(RATES, st.integers(1, 50))
def test_whoever_keeps_to_the_rate_is_never_refused(rate: Rate, count: int) -> None:
    caller = Caller(rate)
    assert all(caller.ask(interval_us(rate) / SECOND_US).admitted for _ in range(count))


@given(RATES, GAPS)
def test_whoever_waits_as_told_comes_in(rate: Rate, gaps: list[float]) -> None:
    caller = Caller(rate)
    for gap in gaps:
        found = caller.ask(gap)
        assert found.admitted == (found.retry_after_s == 0)
        if not found.admitted:
            assert caller.ask(found.retry_after_s).admitted


@given(RATES, st.floats(-1e6, 1e6))
def test_a_clock_that_jumps_locks_nobody_out_for_longer_than_a_burst_takes(rate: Rate, jump: float) -> None:
    caller = Caller(rate)
    for _ in range(min(rate.burst + 1, 20)):
        caller.ask()
    found = caller.ask(jump)
    assert round(found.retry_after_s * SECOND_US) <= interval_us(rate)
    assert round(found.reset_s * SECOND_US) <= rate.burst * interval_us(rate)


@given(RATES, GAPS)
def test_what_remains_would_be_admitted_at_once_and_no_more(rate: Rate, gaps: list[float]) -> None:
    caller = Caller(rate)
    for gap in gaps[:5]:
        caller.ask(gap)
    left = caller.ask(1.0).remaining
    if left <= 50:
        assert sum(caller.ask().admitted for _ in range(left + 3)) == left
