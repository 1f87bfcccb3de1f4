"""What the harness must not overlook, and what it must not call wrong."""

from dataclasses import replace

import pytest

from tests.chaos.faults import NOTHING, REDIS_KILLED, REPLICAS_KILLED, Fault
from tests.chaos.load import ROUTE, Asked, Turn
from tests.chaos.trial import Sample, Trial, Usage
from tests.chaos.verdict import MIB, judge, slopes_mib_per_hour, verdict

STRUCK, OVER, WELL = 100.0, 110.0, 111.0
AWAY = (STRUCK, WELL)


def a_turn(use_case: str = "agent", at: float = 105.0, router: int = 1, explicit: str | None = None) -> Turn:
    asked = Asked("s", 1, ROUTE, "why?", explicit, streamed=True, max_tokens=8)
    return Turn(asked, at, at + 0.5, 0.01, "answered", "", use_case, f"model of {use_case}", "session", router)


def a_trial(*turns: Turn, fault: Fault = NOTHING, well: float | None = WELL, left: float = 0) -> Trial:
    usage = Usage(STRUCK, (1, 2, 3), 300 * MIB, 1.0, 0)
    later = replace(usage, at=OVER)
    return Trial(fault, turns, STRUCK, OVER, well, left, (replace(usage, at=90.0), usage), (usage, later), later)


def test_answers_alone_are_no_complaint() -> None:
    found = verdict(a_trial(a_turn(), a_turn()))
    assert (found.requests, found.failed, found.sessions, found.complaints) == (2, 0, 1, ())


@pytest.mark.parametrize(
    ("trial", "complaint"),
    [
        (a_trial(), "nobody asked anything"),
        (a_trial(replace(a_turn(), end="failed", trouble="503")), "1 of 1 requests failed"),
        (a_trial(replace(a_turn(), end="cut")), "1 of 1 requests failed"),
        (a_trial(a_turn(), a_turn("tts")), "1 times a session changed its model or use case without cause"),
        (a_trial(a_turn(), well=None), "the routers do not find Redis and their replicas again"),
        (a_trial(a_turn(), left=2), "gauges are not back at zero: 2"),
    ],
)
def test_whatever_must_not_be_is_a_complaint(trial: Trial, complaint: str) -> None:
    assert verdict(trial).complaints == (complaint,)


def test_a_stream_is_cut_with_cause_if_it_was_under_way_when_a_replica_was_killed() -> None:
    before, after = a_turn(at=STRUCK - 0.2), a_turn(at=STRUCK + 5)
    killed = a_trial(replace(before, end="cut"), replace(after, end="cut"), fault=REPLICAS_KILLED)
    assert (verdict(killed).cut, verdict(killed).failed) == (1, 1)


def test_a_choice_that_the_caller_or_the_answer_explains_stands() -> None:
    told = [a_turn(), a_turn("tts", explicit="tts"), a_turn("tts"), replace(a_turn(), reason="switched"), a_turn()]
    assert judge(told, None).changed == ()


def test_a_choice_whose_answer_was_lost_may_stand_or_not() -> None:
    lost = replace(a_turn("tts", explicit="tts"), end="failed")
    assert judge([a_turn(), lost, a_turn("tts")], None).changed == judge([a_turn(), lost, a_turn()], None).changed == ()


def test_a_session_that_moves_and_comes_back_has_changed_twice() -> None:
    assert len(judge([a_turn(), a_turn("tts"), a_turn()], None).changed) == 2


def test_a_router_that_could_not_know_a_session_while_redis_was_away_forks_it() -> None:
    found = judge([a_turn("tts", router=1), a_turn("agent", router=2), a_turn("tts", router=1)], AWAY)
    assert (found.changed, found.forked) == ((), True)


def test_a_router_that_served_the_session_has_no_excuse() -> None:
    known = [a_turn("tts", STRUCK - 2, router=1), a_turn("tts", STRUCK - 1, router=2), a_turn("agent", router=2)]
    assert judge(known, AWAY).changed == (known[2],)
    chose = [a_turn("tts", router=1), replace(a_turn("tts", router=2), reason="classified"), a_turn("agent", router=2)]
    assert judge(chose, AWAY).changed == (chose[2],)


def test_a_router_that_went_by_an_earlier_choice_of_the_same_does_not_know_the_standing_one() -> None:
    """Router 2 knows the first choice of agent. Redis, once it is back, tells it the choice of tts that followed."""
    before = [a_turn("agent", STRUCK - 3, router=2), a_turn("tts", STRUCK - 2, router=1, explicit="tts")]
    again = a_turn("agent", router=1, explicit="agent")
    found = judge([*before, again, a_turn("agent", router=2), a_turn("tts", router=2)], AWAY)
    assert (found.changed, found.forked) == ((), True)


def test_with_redis_there_no_router_has_an_excuse() -> None:
    late = [a_turn("tts", WELL + 1, router=1), a_turn("agent", WELL + 2, router=2)]
    assert judge(late, AWAY).changed == (late[1],)
    assert verdict(a_trial(*late, fault=NOTHING)).changed == 1


def test_what_follows_soon_after_redis_is_back_may_still_be_a_fork() -> None:
    turns = [a_turn("tts", router=1), a_turn("agent", WELL + 1, router=2)]
    assert verdict(a_trial(*turns, fault=REDIS_KILLED)).forked == 1


def test_it_is_slow_until_the_last_second_whose_median_is_over_twice_that_of_before() -> None:
    calm = [a_turn(at=95.0)] * 5
    slow = [replace(a_turn(at=103.2), waited_s=0.2)] * 5
    found = verdict(a_trial(*calm, *slow, *[a_turn(at=107.0)] * 5))
    assert found.slow_s == 4


def test_only_the_second_half_of_a_soak_counts_for_its_slope() -> None:
    filling = [Sample(60.0 * minute, (minute * MIB, 50 * MIB)) for minute in range(10)]
    full = [Sample(600.0 + 360.0 * step, (100 * MIB + step * MIB, 50 * MIB)) for step in range(11)]
    growing, flat = slopes_mib_per_hour([*filling, *full])
    assert growing == pytest.approx(10)
    assert flat == 0
