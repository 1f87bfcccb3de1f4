"""Ejections, whatever the outcomes of requests."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.outlier import BASE_S, LONGEST_S, Record, excess, may_eject

OUTCOMES = st.lists(st.tuples(st.sampled_from([False] * 19 + [True]), st.floats(0, 70)), min_size=60, max_size=120)
TRAFFIC = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(0, 3)), max_size=200)


@given(OUTCOMES)
def test_an_ejection_lasts_at_least_the_shortest_and_never_longer_than_the_longest_time(
    outcomes: list[tuple[bool, float]],
) -> None:
    record, now, longest = Record(), 1000.0, 0.0
    for ok, passed in outcomes:
        now += passed
        record.succeeded(now) if ok else record.failed(now)
        if ok:
            longest = 0.0
        if record.is_outlier(now):
            record.eject(now)
            lasts = record.ejected_until - now
            assert BASE_S <= round(lasts, 6) <= LONGEST_S
            assert round(lasts, 6) >= round(longest, 6), "for longer each time, until a request succeeds"
            assert not record.is_outlier(now), "what it was ejected for is not held against it again"
            longest = lasts


@given(st.integers(1, 5), TRAFFIC)
def test_whatever_fails_at_least_half_of_the_replicas_stay(count: int, traffic: list[tuple[int, bool, float]]) -> None:
    pool, now = [Record() for _ in range(count)], 1000.0
    for which, ok, passed in traffic:
        now += passed
        record = pool[which % count]
        for _ in range(5):
            record.succeeded(now) if ok else record.failed(now)
        ejected = sum(other.ejected_until > now for other in pool)
        if record.is_outlier(now) and may_eject(ejected, count):
            record.eject(now)
        left = sum(other.ejected_until <= now for other in pool)
        assert 2 * left >= count
        assert left >= 1


@given(st.integers(0, 50), st.integers(0, 50))
def test_after_those_in_excess_have_returned_none_is(ejected: int, healthy: int) -> None:
    ejected = min(ejected, healthy)
    more = excess(ejected, healthy)
    assert 0 <= more <= ejected
    assert excess(ejected - more, healthy) == 0
    assert more == 0 or excess(ejected - more + 1, healthy) == 1, "no more than need be"
