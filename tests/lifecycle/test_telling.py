"""What the planner is told."""

from smart_router.lifecycle.agreement import Known
from smart_router.lifecycle.residence import Residence
from smart_router.lifecycle.telling import occupant
from tests.fakes import Clock
from tests.lifecycle.fakes import Servers, a_sleeper


def awake_for_s(here_s: float, known_s: float | None) -> float:
    clock = Clock()
    residence = Residence(a_sleeper("a"), Servers(), clock, 60.0)
    residence.opened()
    clock.now += here_s
    residence.known = Known(awake_for_s=known_s)
    return occupant(residence, 0).awake_for_s


def test_a_model_has_been_awake_for_as_long_as_anybody_knows() -> None:
    assert awake_for_s(5.0, None) == 5.0
    assert awake_for_s(5.0, 60.0) == 60.0


def test_a_clock_that_was_set_back_keeps_nobody_awake_who_has_been_so_for_long() -> None:
    """A moment that is to come, by Redis's clock, is no time ago until it has come."""
    assert awake_for_s(3600.0, 0.0) == 3600.0
