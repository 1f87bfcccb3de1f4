"""A replica that fails its requests is left alone for a while; the pool is never emptied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.outlier import (
    BASE_S,
    FAILURES_IN_A_ROW,
    LONGEST_S,
    OF_LAST,
    WINDOW_S,
    Record,
    excess,
    may_eject,
)

NOW = 1000.0


def failing(record: Record, times: int, now: float = NOW) -> bool:
    for _ in range(times):
        record.failed(now)
    return record.is_outlier(now)


def ejected_for(record: Record, now: float) -> float:
    assert failing(record, FAILURES_IN_A_ROW, now)
    record.eject(now)
    return record.ejected_until - now


def test_failures_in_a_row_make_an_outlier() -> None:
    assert not failing(Record(), FAILURES_IN_A_ROW - 1)
    assert failing(Record(), FAILURES_IN_A_ROW)


def test_a_success_in_between_starts_the_row_again() -> None:
    record = Record()
    failing(record, FAILURES_IN_A_ROW - 1)
    record.succeeded(NOW)
    assert not failing(record, FAILURES_IN_A_ROW - 1)


def test_half_of_the_last_requests_failing_make_an_outlier() -> None:
    record, verdicts = Record(), []
    for _ in range(OF_LAST // 2):
        record.succeeded(NOW)
        verdicts.append(failing(record, 1))
    assert verdicts == [False] * (OF_LAST // 2 - 1) + [True]


def test_fewer_than_half_failing_make_none() -> None:
    record = Record()
    for _ in range(200):
        record.succeeded(NOW)
        record.succeeded(NOW)
        assert not failing(record, 1)


def test_failures_of_long_ago_are_forgotten() -> None:
    record, now = Record(), NOW
    for _ in range(40):
        now += WINDOW_S / (OF_LAST // 2 - 2)
        record.succeeded(now)
        assert not failing(record, 1, now)


def test_a_row_of_failures_that_took_hours_is_still_a_row() -> None:
    record = Record()
    assert [failing(record, 1, NOW + 3600 * i) for i in range(5)] == [False] * 4 + [True]


def test_the_time_out_doubles_up_to_the_longest() -> None:
    record, now, times = Record(), NOW, []
    for _ in range(6):
        times.append(ejected_for(record, now))
        now = record.ejected_until
    assert times == [BASE_S, 2 * BASE_S, 4 * BASE_S, 8 * BASE_S, LONGEST_S, LONGEST_S]


def test_a_success_after_the_return_forgets_the_earlier_times_out() -> None:
    record = Record()
    assert ejected_for(record, NOW) == BASE_S
    now = record.ejected_until
    record.succeeded(now)
    assert ejected_for(record, now) == BASE_S


def test_a_success_that_was_on_its_way_before_forgets_nothing() -> None:
    record = Record()
    ejected_for(record, NOW)
    record.succeeded(NOW + 1)
    assert record.ejected_until == NOW + BASE_S
    assert ejected_for(record, record.ejected_until) == 2 * BASE_S


def test_failures_that_were_on_their_way_before_count_no_more() -> None:
    record = Record()
    ejected_for(record, NOW)
    assert not failing(record, 50, NOW + 1)
    assert not failing(record, FAILURES_IN_A_ROW - 1, record.ejected_until)


def test_what_failed_before_the_ejection_counts_no_more_after_the_return() -> None:
    record = Record()
    for _ in range(OF_LAST // 2):
        record.succeeded(NOW)
        record.failed(NOW)
    record.eject(NOW)
    record.succeeded(record.ejected_until)
    assert not failing(record, 1, record.ejected_until)


def test_a_readmitted_replica_returns_at_once_and_is_remembered() -> None:
    record = Record()
    ejected_for(record, NOW)
    record.readmit()
    assert record.ejected_until <= NOW
    assert ejected_for(record, NOW) == 2 * BASE_S


# never too many


@pytest.mark.parametrize(("healthy", "most"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (8, 4)])
def test_at_least_half_stay(healthy: int, most: int) -> None:
    ejected = 0
    while may_eject(ejected, healthy):
        ejected += 1
    assert ejected == most


@given(ejected=st.integers(0, 50), healthy=st.integers(0, 50))
def test_ejections_never_leave_fewer_than_half_and_never_nobody(ejected: int, healthy: int) -> None:
    left = min(ejected, healthy) - excess(min(ejected, healthy), healthy)
    assert 2 * (healthy - left) >= healthy
    assert healthy == 0 or left < healthy
    assert may_eject(ejected, healthy) == (excess(ejected + 1, healthy) == 0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=200))
def test_the_verdict_is_that_of_its_definition(outcomes: list[tuple[bool, float]]) -> None:
    record, now = Record(), NOW
    history: list[tuple[bool, float]] = []
    for ok, passed in outcomes:
        now += passed
        history.append((ok, now))
        if ok:
            record.succeeded(now)
            continue
        record.failed(now)
        row = all(not success for success, _ in history[-FAILURES_IN_A_ROW:]) and len(history) >= FAILURES_IN_A_ROW
        recent = [at for success, at in history[-OF_LAST:] if not success and at >= now - WINDOW_S]
        assert record.is_outlier(now) == (row or len(recent) >= OF_LAST // 2)
