"""One probe at a time, ever more seldom up to a bound; who was slow must prove itself."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.breaker import LONGEST_PAUSE_S, MOST_PROOFS, PAUSE_S, SLOW_PROOFS, STEADY_S, Breaker

NOW = 100.0


def closed(now: float = NOW) -> Breaker:
    breaker = Breaker()
    assert breaker.probe(now)
    breaker.succeeded(now)
    return breaker


def well_again(breaker: Breaker, now: float) -> float:
    """When the probe that was due had succeeded."""
    now += breaker.wait_s(now)
    assert breaker.probe(now)
    breaker.succeeded(now)
    return now


def test_at_first_a_probe_is_due() -> None:
    breaker = Breaker()
    assert (breaker.state, breaker.wait_s(NOW), breaker.proofs) == ("open", 0.0, 1)
    assert breaker.probe(NOW)


def test_while_a_probe_is_under_way_no_other_begins() -> None:
    breaker = Breaker()
    breaker.probe(NOW)
    assert breaker.state == "half-open"
    assert not breaker.probe(NOW + 1000)


def test_while_it_is_closed_no_probe_begins() -> None:
    breaker = closed()
    assert breaker.state == "closed"
    assert not breaker.probe(NOW + 1000)


def test_a_probe_that_fails_is_followed_by_another_when_it_is_due() -> None:
    breaker = Breaker()
    breaker.probe(NOW)
    breaker.failed()
    assert breaker.state == "open"
    assert not breaker.probe(NOW + PAUSE_S - 0.001)
    assert breaker.probe(NOW + PAUSE_S)


def test_pauses_double_up_to_a_bound() -> None:
    breaker, now, pauses = Breaker(), NOW, []
    for _ in range(7):
        assert breaker.probe(now)
        breaker.failed()
        pauses.append(round(breaker.wait_s(now), 6))
        now += breaker.wait_s(now)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 0.8, 0.8, 0.8]
    assert LONGEST_PAUSE_S < 1.0


def test_a_probe_that_took_longer_than_the_pause_is_followed_at_once() -> None:
    breaker = Breaker()
    breaker.probe(NOW)
    breaker.failed()
    assert breaker.wait_s(NOW + 1.0) == 0.0


def test_a_probe_that_somebody_waits_for_is_due_at_once() -> None:
    breaker = Breaker()
    breaker.probe(NOW)
    breaker.hurry()
    assert not breaker.probe(NOW), "one is under way"
    breaker.failed()
    assert not breaker.probe(NOW)
    breaker.hurry()
    assert breaker.probe(NOW)


def test_a_success_begins_the_pauses_anew() -> None:
    breaker, now = Breaker(), NOW
    for _ in range(5):
        breaker.probe(now)
        breaker.failed()
        now += breaker.wait_s(now)
    now = well_again(breaker, now)
    breaker.lost(now + STEADY_S)
    breaker.probe(now + STEADY_S)
    breaker.failed()
    assert round(breaker.wait_s(now + STEADY_S), 6) == PAUSE_S


def test_who_went_away_is_tried_at_once_and_believed_at_its_first_answer() -> None:
    breaker = closed()
    breaker.lost(NOW + 60)
    assert (breaker.state, breaker.wait_s(NOW + 60), breaker.proofs) == ("open", 0.0, 1)


def test_who_goes_away_over_and_over_is_tried_no_more_often_than_the_pause_allows() -> None:
    breaker = closed()
    breaker.lost(NOW + 0.01)
    assert round(breaker.wait_s(NOW), 6) == PAUSE_S
    again = well_again(breaker, NOW + 0.01)
    breaker.lost(again + 0.01)
    assert round(breaker.wait_s(again), 6) == PAUSE_S


def test_who_was_slow_must_answer_several_times_in_a_row() -> None:
    breaker = closed()
    breaker.slow(NOW + 60)
    assert (breaker.state, breaker.proofs) == ("open", SLOW_PROOFS)
    assert not breaker.probe(NOW + 60)
    assert breaker.probe(NOW + 60 + PAUSE_S)


def test_who_is_soon_slow_again_must_prove_itself_twice_as_long_up_to_a_bound() -> None:
    breaker, now, wanted = closed(), NOW, []
    for _ in range(7):
        breaker.slow(now)
        wanted.append(breaker.proofs)
        now = well_again(breaker, now)
    assert wanted == [4, 8, 16, 32, 64, 64, 64]
    assert wanted[-1] == MOST_PROOFS


def test_who_is_lost_soon_after_it_was_slow_is_not_trusted_for_that() -> None:
    breaker = closed()
    breaker.slow(NOW + 60)
    again = well_again(breaker, NOW + 60)
    breaker.lost(again + 1)
    assert breaker.proofs == SLOW_PROOFS


def test_who_was_in_time_for_long_is_trusted_as_before() -> None:
    breaker, now = closed(), NOW
    for _ in range(3):
        breaker.slow(now)
        now = well_again(breaker, now)
    breaker.slow(now + STEADY_S)
    assert breaker.proofs == SLOW_PROOFS
    now = well_again(breaker, now + STEADY_S)
    breaker.lost(now + STEADY_S)
    assert breaker.proofs == 1


@given(st.lists(st.tuples(st.sampled_from(["lost", "slow", "failed"]), st.floats(0.0, 100.0)), max_size=50))
def test_whatever_happened_the_next_probe_is_due_within_a_second(history: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(), NOW
    for what, passed_s in history:
        now += passed_s
        if breaker.state == "closed":
            getattr(breaker, "slow" if what == "failed" else what)(now)
        elif what == "failed":
            now += breaker.wait_s(now)
            breaker.probe(now)
            breaker.failed()
        else:
            now = well_again(breaker, now)
        assert 1 <= breaker.proofs <= MOST_PROOFS
        assert breaker.wait_s(now) < 1.0
