"""Retries stay a share of the traffic, whatever happens."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.budget import FLOOR, WINDOW_S, RetryBudget


def granted(budget: RetryBudget, now: float, asked: int) -> int:
    return sum(budget.retry(now) for _ in range(asked))


def test_retries_are_at_most_their_share_of_the_requests() -> None:
    budget = RetryBudget(0.2)
    for _ in range(1000):
        budget.first(100.0)
    assert granted(budget, 100.0, 1000) == 200


def test_a_quiet_router_may_retry_too() -> None:
    budget = RetryBudget(0.2)
    budget.first(100.0)
    assert granted(budget, 100.0, 100) == FLOOR


def test_a_budget_of_nothing_allows_nothing() -> None:
    budget = RetryBudget(0.0)
    budget.first(100.0)
    assert not budget.retry(100.0)


def test_the_floor_comes_again_with_the_next_window() -> None:
    budget = RetryBudget(0.2)
    assert granted(budget, 100.0, 100) == FLOOR
    assert granted(budget, 100.0 + WINDOW_S / 2, 100) == 0
    assert granted(budget, 100.0 + WINDOW_S, 100) == FLOOR


def test_traffic_of_long_ago_earns_nothing_now() -> None:
    budget = RetryBudget(0.2)
    for _ in range(10_000):
        budget.first(100.0)
    assert granted(budget, 100.0 + WINDOW_S, 10_000) == FLOOR


def test_a_long_silence_is_no_long_work() -> None:
    budget = RetryBudget(0.2)
    budget.first(0.0)
    assert budget.retry(1e9)


def test_half_of_the_requests_failing_for_a_minute_are_retried_at_most_by_share() -> None:
    budget, retries, requests = RetryBudget(0.2), 0, 0
    for tick in range(60 * 200):  # 200 requests/s, every second one fails, and so does its retry
        now = 1000.0 + tick / 200
        budget.first(now)
        requests += 1
        retries += budget.retry(now) if tick % 2 else 0
    assert 0.15 * requests < retries <= 0.2 * requests + FLOOR


STEPS = st.lists(
    st.tuples(st.floats(0, 4), st.integers(0, 60), st.integers(0, 40)),  # seconds passed, requests, retries asked for
    min_size=1,
    max_size=40,
)


@given(steps=STEPS, share=st.sampled_from([0.05, 0.2, 0.5, 1.0]))
def test_no_retry_makes_a_window_exceed_its_share(steps: list[tuple[float, int, int]], share: float) -> None:
    budget, now = RetryBudget(share), 500.0
    seen: deque[tuple[float, int, int]] = deque()
    for passed, requests, asked in steps:
        now += passed
        for _ in range(requests):
            budget.first(now)
        seen.append((now, requests, granted(budget, now, asked)))
        window = [step for step in seen if int(step[0]) > int(now) - WINDOW_S]
        if seen[-1][2]:  # without a new one, requests may leave the window earlier than the retries that they allowed
            assert sum(step[2] for step in window) <= max(FLOOR, share * sum(step[1] for step in window))
    span = now - 500.0
    windows = span // WINDOW_S + 1
    assert sum(step[2] for step in seen) <= share * sum(step[1] for step in seen) + FLOOR * (windows + 1)


@pytest.mark.parametrize("share", [0.1, 0.2, 1.0])
def test_it_refuses_no_retry_that_the_share_allows(share: float) -> None:
    budget = RetryBudget(share)
    for _ in range(500):
        budget.first(3.0)
    assert granted(budget, 3.0, 1000) == round(500 * share)
