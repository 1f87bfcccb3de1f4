"""The numbers, apart from whoever takes them."""

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.bench.statistics import errors, nearest_rank, sameness, summaries, summary, throughput
from smart_router.bench.turn import Group, Turn

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


def a_turn(group: Group = "first", total_s: float = 1.0, **changed: float | str) -> Turn:
    return Turn(group, at_s=0.0, total_s=total_s, first_s=0.5, tokens=11, routing_s=0.01, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "place"), [(1, 1), (2, 2), (19, 19), (20, 19), (21, 20), (100, 95), (1000, 950)])
def test_p95_is_the_value_that_95_percent_do_not_exceed(count: int, place: int) -> None:
    assert nearest_rank([float(n) for n in range(count, 0, -1)], 0.95) == place


@given(VALUES, st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_rank_is_the_one_that_numpy_finds(values: list[float], share: float) -> None:
    assert nearest_rank(values, share) == numpy.quantile(values, share, method="inverted_cdf")


@given(VALUES)
def test_a_summary_keeps_its_order(values: list[float]) -> None:
    found = summary(values)
    assert found is not None
    assert found.least <= found.median <= found.p95 <= found.most
    assert math.isclose(found.mean, numpy.mean(values), rel_tol=1e-9)
    assert found.count == len(values)


def test_nothing_has_no_summary() -> None:
    assert summary([]) is None
    assert throughput([]) is None
    assert summaries([]) == {}


def test_groups_are_kept_apart_and_failures_left_out() -> None:
    found = summaries(
        [a_turn(total_s=1), a_turn(total_s=3), a_turn("bypassed", 0.9), a_turn(total_s=99, error="timeout")]
    )
    assert {group: told["end_to_end"].mean for group, told in found.items()} == {"first": 2.0, "bypassed": 0.9}
    assert found["first"]["end_to_end"].count == 2


def test_tokens_per_second_are_those_after_the_first() -> None:
    assert a_turn(total_s=1.5).tokens_per_second == 10.0
    assert Turn("first", 0.0, 1.0, first_s=1.0, tokens=5).tokens_per_second is None
    assert Turn("first", 0.0, 1.0, first_s=0.5, tokens=1).tokens_per_second is None


def test_throughput_counts_from_the_first_question_to_the_last_answer() -> None:
    found = throughput([Turn("first", 1.0, 1.0, tokens=10), Turn("bypassed", 2.0, 3.0, tokens=20)])
    assert found is not None
    assert (found.turns_per_second, found.tokens_per_second) == (0.5, 7.5)


def test_errors_are_counted_by_kind_the_most_frequent_first() -> None:
    turns = [a_turn(error="timeout", message="late"), *[a_turn(error="429 rate_limited", message="wait")] * 2, a_turn()]
    assert list(errors(turns).items()) == [("429 rate_limited", (2, "wait")), ("timeout", (1, "late"))]


def test_answers_are_alike_or_it_is_said_how_often_each_came() -> None:
    alike, different = sameness(["a"] * 10), sameness(["a", "b", "a", "c"])
    assert alike is not None
    assert different is not None
    assert (alike.alike, alike.counts) == (True, (10,))
    assert (different.alike, different.counts) == (False, (2, 1, 1))
    assert sameness(["a"]) is None
