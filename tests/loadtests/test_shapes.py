"""How many users there are at which moment."""

from itertools import pairwise

import pytest
from loadtests.shapes import BURST_FACTOR, BURSTS, SHAPES, Plan, most_users, users_at

SECONDS = 100


def users(shape: str, users: int = 20) -> list[int]:
    plan = Plan(shape, users, SECONDS)
    found = [users_at(plan, second) for second in range(SECONDS)]
    return [count for count in found if count is not None]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_has_users_until_it_is_over(shape: str) -> None:
    assert len(users(shape)) == SECONDS
    assert min(users(shape)) >= 1
    assert users_at(Plan(shape, 20, SECONDS), SECONDS) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_the_most_users_are_those_announced(shape: str) -> None:
    assert max(users(shape)) == most_users(Plan(shape, 20, SECONDS))


@pytest.mark.parametrize("shape", ["steady", "soak"])
def test_steady_load_rises_shortly_and_stays(shape: str) -> None:
    assert users(shape)[0] < 20
    assert set(users(shape)[10:]) == {20}


def test_a_soak_does_not_spend_a_tenth_of_an_hour_rising() -> None:
    assert users_at(Plan("soak", 20, 3600), 30) == 20


def test_a_ramp_never_falls_and_ends_with_everybody() -> None:
    assert users("ramp") == sorted(users("ramp"))
    assert users("ramp")[0] == 1
    assert users("ramp")[-1] == 20


def test_bursts_are_five_times_the_load_between_them() -> None:
    counts = users("bursts")
    begun = [now for before, now in pairwise(counts) if now > before]
    assert set(counts) == {20, 20 * BURST_FACTOR}
    assert begun == [20 * BURST_FACTOR] * BURSTS
    assert counts[0] == counts[-1] == 20
