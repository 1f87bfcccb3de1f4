"""Fair turns."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.turns import Turns


def queued(*callers: str, most: int = 100) -> Turns[str]:
    """Each caller's entries are numbered in the order in which they come."""
    turns: Turns[str] = Turns(most)
    count: Counter[str] = Counter()
    for caller in callers:
        count[caller] += 1
        turns.add(caller, f"{caller}{count[caller]}")
    return turns


def order(turns: Turns[str]) -> list[str]:
    served = []
    while (first := turns.first()) is not None:
        served.append(first)
        turns.served()
    return served


def test_one_callers_own_come_in_order() -> None:
    assert order(queued("a", "a", "a")) == ["a1", "a2", "a3"]


def test_a_flood_delays_another_caller_by_one_turn() -> None:
    assert order(queued(*"aaaaab"))[:3] == ["a1", "b1", "a2"]


def test_callers_take_turns() -> None:
    assert order(queued(*"aabbcc")) == ["a1", "b1", "c1", "a2", "b2", "c2"]


def test_who_leaves_is_passed_over() -> None:
    turns = queued(*"aab")
    turns.leave("a", "a1")
    assert len(turns) == 2
    assert order(turns) == ["a2", "b1"]


def test_the_last_of_a_caller_leaves_no_empty_turn() -> None:
    turns = queued("a", "b")
    turns.leave("a", "a1")
    assert order(turns) == ["b1"]


def test_leaving_after_being_served_does_nothing() -> None:
    turns = queued("a", "a")
    turns.served()
    turns.leave("a", "a1")
    turns.leave("nobody", "x")
    assert len(turns) == 1


def test_it_is_full_at_its_bound() -> None:
    turns = queued("a", "b", most=2)
    assert turns.full
    turns.served()
    assert not turns.full


def test_nobody_waits_in_an_empty_one() -> None:
    assert (Turns[str](0).first(), Turns[str](0).full) == (None, True)


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_nobody_is_lost_and_nobody_served_twice_before_another_once(callers: list[str]) -> None:
    served = order(queued(*callers))
    assert sorted(served) == sorted(order(queued(*sorted(callers))))
    remaining, taken = Counter(callers), Counter[str]()
    for one in served:
        caller = one[0]
        waiting = [other for other in remaining if remaining[other]]
        assert taken[caller] <= min(taken[other] for other in waiting), "somebody had a turn more"
        taken[caller] += 1
        remaining[caller] -= 1
