"""Models that nobody asks for yet: woken early, at nobody's cost."""

from dataclasses import replace

import pytest
from hypothesis import given

from smart_router.decide.swap import RESIDENT, Occupant, Room, plan
from tests.decide.test_properties_swap import OCCUPANTS, ROOMS, taken
from tests.decide.test_swap import NEW, awake, draining, planned, room, sleeping

AHEAD = sleeping("next", foreseen=True)


def test_what_is_foreseen_is_woken_where_there_is_room() -> None:
    assert planned(AHEAD, awake("a", in_flight=1), within=room(2)) == {"wake": ("next",)}


def test_there_is_no_room_beyond_the_total() -> None:
    assert planned(AHEAD, awake("a", "gpu1", in_flight=1), within=room(total=1)) == {}


def test_an_idle_one_that_no_session_stands_with_goes_for_it_first() -> None:
    assert planned(AHEAD, awake("a", idle_s=5)) == {"sleep": ("a",)}
    assert planned(AHEAD, awake("a", "gpu1", idle_s=5), within=room(total=1)) == {"sleep": ("a",)}


@pytest.mark.parametrize(
    "needed",
    [
        awake("a", in_flight=1),
        awake("a", sessions=1),
        awake("a", awake_for_s=NEW),
        awake("a", kept=True),
        awake("a", wanted=True),
        awake("a", waiting=1),
        awake("a", foreseen=True),
    ],
    ids=["busy", "with a session", "new", "kept", "wanted", "waited for", "foreseen as well"],
)
def test_nobody_else_does(needed: Occupant) -> None:
    assert planned(AHEAD, needed) == {}


def test_the_one_that_is_worth_least_goes() -> None:
    models = AHEAD, awake("a", idle_s=5), awake("b", idle_s=9), awake("c", idle_s=99, sessions=1)
    assert planned(*models, within=room(3)) == {"sleep": ("b",)}


def test_one_that_leaves_for_it_goes_on_leaving() -> None:
    assert planned(AHEAD, draining("a"), awake("b", idle_s=99), within=room(2)) == {"sleep": ("a",)}


def test_one_that_is_asked_again_meanwhile_stays() -> None:
    assert planned(AHEAD, draining("a", waiting=1)) == {"resume": ("a",)}


def test_who_is_waited_for_or_wanted_comes_before_it() -> None:
    assert planned(AHEAD, sleeping("z", waits_s=0)) == {"wake": ("z",)}
    assert planned(AHEAD, sleeping("z", wanted=True)) == {"wake": ("z",)}
    assert planned(AHEAD, sleeping("z", waits_s=0), awake("a")) == {"sleep": ("a",)}


def test_what_is_foreseen_and_awake_makes_room_like_others() -> None:
    assert planned(awake("a", foreseen=True), sleeping("z", waits_s=0)) == {"sleep": ("a",)}


def test_it_is_looked_again_when_one_has_stayed_long_enough() -> None:
    models = [AHEAD, awake("a", awake_for_s=0.5), awake("b", awake_for_s=1.5, sessions=1)]
    assert plan(models, room(2, min_residency_s=2.0)).look_again_s == 1.5


def ahead(models: tuple[Occupant, ...]) -> tuple[Occupant, ...]:
    """Whose idle ones are foreseen, every other one."""
    return tuple(replace(model, foreseen=number % 2 == 0) for number, model in enumerate(models))


@given(OCCUPANTS, ROOMS)
def test_all_others_fare_as_if_nothing_were_foreseen(models: tuple[Occupant, ...], room: Room) -> None:
    without, found = plan(models, room), plan(ahead(models), room)
    assert found.wake[: len(without.wake)] == without.wake
    assert found.sleep[: len(without.sleep)] == without.sleep
    assert (found.drain, found.refuse) == (without.drain, without.refuse)
    more = set(found.sleep) - set(without.sleep)
    assert set(without.resume) - set(found.resume) <= more
    for model in ahead(models):
        if model.model in more:
            assert not (model.in_flight or model.waiting or model.wanted or model.kept or model.sessions)
            assert not model.foreseen
            assert model.state == "draining" or model.awake_for_s >= room.min_residency_s


@given(OCCUPANTS, ROOMS)
def test_what_is_foreseen_is_never_woken_beyond_the_room(models: tuple[Occupant, ...], room: Room) -> None:
    found = plan(ahead(models), room)
    after = taken(tuple(replace(m, state="waking") if m.model in found.wake else m for m in models))
    for model in models:
        if model.model in found.wake:
            assert model.state not in RESIDENT
            assert after[model.group] <= room.groups[model.group]
            assert after.total() <= room.total


@given(OCCUPANTS, ROOMS)
def test_no_more_leave_than_are_foreseen(models: tuple[Occupant, ...], room: Room) -> None:
    without, found = plan(models, room), plan(ahead(models), room)
    waits = [m for m in ahead(models) if m.foreseen and m.state not in RESIDENT and m.model not in found.wake]
    assert len(found.sleep) - len(without.sleep) <= len(waits)
