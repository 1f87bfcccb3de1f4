"""Two failures in a row make a replica unhealthy, one success heals it."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.health import FIRST_PAUSE_S, LONGEST_PAUSE_S, Health, failed, succeeded, tried

HEALTHY = succeeded(Health(), 0.01)


def after(failures: int, health: Health = HEALTHY, now: float = 100.0) -> Health:
    for _ in range(failures):
        health = failed(health, now, "refused")
    return health


def test_a_replica_that_has_never_been_asked_may_be() -> None:
    assert Health().usable(0.0)


def test_one_failure_of_a_healthy_replica_may_be_an_accident() -> None:
    found = after(1)
    assert found.usable(100.0)
    assert found.trouble == "refused"


def test_two_failures_in_a_row_make_it_unhealthy() -> None:
    found = after(2)
    assert found.healthy is False
    assert not found.usable(100.0)


def test_a_success_in_between_starts_the_count_again() -> None:
    assert after(1, succeeded(after(1), 0.02)).healthy


def test_a_replica_that_has_never_answered_is_unhealthy_at_once() -> None:
    assert failed(Health(), 100.0, "refused").healthy is False


def test_an_unhealthy_replica_may_be_tried_again_after_its_pause() -> None:
    found = after(2)
    assert not found.usable(found.retry_at - 0.001)
    assert found.usable(found.retry_at)


def test_while_one_request_tries_it_others_leave_it_alone() -> None:
    found = tried(after(2), 200.0)
    assert not found.usable(200.0)
    assert found.usable(200.0 + FIRST_PAUSE_S)
    assert (found.healthy, found.failures, found.trouble) == (False, 2, "refused")


def test_the_pause_doubles_up_to_the_longest() -> None:
    pauses = [after(count).retry_at - 100.0 for count in range(2, 9)]
    assert pauses == [2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_one_success_heals_and_forgets_the_trouble() -> None:
    found = succeeded(after(5), 0.25)
    assert found == Health(healthy=True, response_time_s=0.25)


@given(st.lists(st.booleans(), max_size=40))
def test_the_pause_is_bounded_and_health_follows_the_last_answers(answers: list[bool]) -> None:
    health, now = Health(), 0.0
    for ok in answers:
        now += 1
        health = succeeded(health, 0.01) if ok else failed(health, now, "refused")
    assert health.retry_at - now <= LONGEST_PAUSE_S
    if answers[-1:] == [True]:
        assert health.healthy
    if answers[-2:] == [False, False]:
        assert health.healthy is False
