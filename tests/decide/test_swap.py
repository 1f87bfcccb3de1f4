"""The numbered cases of `plan`."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from smart_router.decide.swap import Occupant, Plan, Room, State, plan, worth

NEW, OLD = 1.0, 100.0  # seconds awake, below and above the residency of `A_GPU`


def a_model(model: str, state: State, group: str = "gpu0", *, awake_for_s: float = OLD, **stands: float) -> Occupant:
    return replace(Occupant(model, group, state, awake_for_s=awake_for_s), **stands)  # type: ignore[arg-type]


def awake(model: str, group: str = "gpu0", **stands: float) -> Occupant:
    return a_model(model, "awake", group, **stands)


def sleeping(model: str, group: str = "gpu0", *, waits_s: float | None = None, **stands: float) -> Occupant:
    model_ = a_model(model, "sleeping", group, **stands)
    return model_ if waits_s is None else replace(model_, waiting=1, waiting_for_s=waits_s)


def draining(model: str, group: str = "gpu0", **stands: float) -> Occupant:
    return a_model(model, "draining", group, **stands)


def room(most: int = 1, total: int = 100, min_residency_s: float = 2.0, **groups: int) -> Room:
    return Room({"gpu0": most, **groups}, total, min_residency_s)


def planned(*occupants: Occupant, within: Room | None = None) -> Mapping[str, tuple[str, ...]]:
    """Who is named in the plan, without what is empty."""
    found = plan(occupants, within or room())
    named = {name: getattr(found, name) for name in ("wake", "sleep", "drain", "resume", "refuse")}
    return {name: models for name, models in named.items() if models}


def test_nothing_follows_from_nothing() -> None:
    assert plan([], room()) == Plan()


def test_who_sleeps_and_is_not_needed_sleeps_on() -> None:
    assert plan([awake("a"), sleeping("b")], room()) == Plan()


# 1: more are awake than there is room


def test_what_people_woke_beyond_the_room_is_made_good_though_nobody_waits() -> None:
    assert planned(awake("a", idle_s=5), awake("b", idle_s=9)) == {"sleep": ("b",)}


def test_beyond_the_total_the_cheapest_of_all_groups_goes() -> None:
    models = awake("a", idle_s=5), awake("b", "gpu1", idle_s=9)
    assert planned(*models, within=room(1, total=1, gpu1=1)) == {"sleep": ("b",)}


def test_beyond_the_room_a_busy_one_drains_and_a_kept_one_stays() -> None:
    assert planned(awake("a", kept=True, idle_s=99), awake("b", in_flight=2)) == {"drain": ("b",)}


def test_kept_ones_stay_though_they_are_more_than_there_is_room() -> None:
    assert planned(awake("a", kept=True), awake("b", kept=True), awake("c")) == {"sleep": ("c",)}


def test_what_wakes_takes_room_already() -> None:
    assert planned(awake("a"), a_model("b", "loading")) == {"sleep": ("a",)}


def test_a_group_that_is_not_named_holds_one() -> None:
    assert planned(awake("a", "odd", idle_s=1), awake("b", "odd", idle_s=2)) == {"sleep": ("b",)}


# 2: who is served first


def test_who_waits_longest_is_served_first() -> None:
    models = sleeping("a", waits_s=1), sleeping("b", waits_s=3), sleeping("c", waits_s=2)
    assert planned(*models, within=room(2)) == {"wake": ("b", "c")}


def test_of_those_that_wait_as_long_the_name_decides() -> None:
    assert planned(sleeping("b", waits_s=1), sleeping("a", waits_s=1)) == {"wake": ("a",)}


def test_requests_come_before_what_operators_want() -> None:
    assert planned(sleeping("a", wanted=True), sleeping("b", waits_s=0)) == {"wake": ("b",)}


def test_what_is_preloaded_comes_as_it_is_listed_and_before_what_is_only_wanted() -> None:
    listed = sleeping("c", wanted=True), sleeping("b", wanted=True, kept=True), sleeping("a", wanted=True, kept=True)
    assert planned(*listed, within=room(2)) == {"wake": ("b", "a")}


@pytest.mark.parametrize("state", ["sleeping", "failed", "unknown"])
def test_whatever_is_not_awake_is_woken_for_those_who_wait(state: State) -> None:
    assert planned(a_model("a", state, waiting=1)) == {"wake": ("a",)}


@pytest.mark.parametrize("state", ["waking", "loading"])
def test_what_wakes_is_not_woken_again(state: State) -> None:
    assert planned(a_model("a", state, waiting=1)) == {}


# 2a: kept ones fill the room


def test_what_kept_ones_leave_no_room_for_is_refused() -> None:
    assert planned(awake("a", kept=True), sleeping("b", waits_s=1)) == {"refuse": ("b",)}


def test_kept_ones_of_all_groups_fill_the_total() -> None:
    models = awake("a", kept=True), sleeping("b", "gpu1", waits_s=1)
    assert planned(*models, within=room(1, total=1, gpu1=1)) == {"refuse": ("b",)}


def test_a_kept_one_that_sleeps_takes_no_room() -> None:
    assert planned(sleeping("a", kept=True), sleeping("b", waits_s=1)) == {"wake": ("b",)}


def test_where_others_than_kept_ones_have_a_place_nobody_is_refused() -> None:
    models = awake("a", kept=True), awake("c", in_flight=1, awake_for_s=NEW), sleeping("b", waits_s=1)
    assert planned(*models, within=room(2)) == {}


def test_what_is_wanted_in_vain_is_not_refused_as_nobody_waits() -> None:
    assert planned(awake("a", kept=True), sleeping("b", wanted=True)) == {}


# 2b: there is room


def test_the_total_bounds_what_the_groups_would_hold() -> None:
    models = sleeping("a", waits_s=2), sleeping("b", "gpu1", waits_s=1)
    assert planned(*models, within=room(1, total=1, gpu1=1)) == {"wake": ("a",)}


def test_who_waits_for_a_full_group_does_not_hold_up_another_group() -> None:
    models = awake("a", in_flight=1), sleeping("b", waits_s=9), sleeping("c", "gpu1", waits_s=1)
    assert planned(*models, within=room(1, gpu1=1)) == {"wake": ("c",), "drain": ("a",)}


# 2c: who makes room


def test_who_was_used_least_recently_makes_room() -> None:
    models = awake("a", idle_s=5), awake("b", idle_s=9), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2)) == {"sleep": ("b",)}


def test_its_place_is_given_away_only_once_it_sleeps() -> None:
    assert planned(awake("a"), sleeping("b", waits_s=1)) == {"sleep": ("a",)}
    assert planned(draining("a"), sleeping("b", waits_s=1)) == {"sleep": ("a",)}
    assert planned(sleeping("a"), sleeping("b", waits_s=1)) == {"wake": ("b",)}


def test_who_has_sessions_that_will_come_back_stays_before_who_has_none() -> None:
    models = awake("a", idle_s=5), awake("b", idle_s=9, sessions=3), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2)) == {"sleep": ("a",)}


def test_who_is_dear_to_wake_stays_before_who_is_cheap() -> None:
    models = awake("a", idle_s=5, wake_s=1), awake("b", idle_s=9, wake_s=20), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2)) == {"sleep": ("a",)}


def test_with_time_also_the_dearest_becomes_worth_less_than_one_in_use() -> None:
    assert worth(awake("a", idle_s=1000, wake_s=20, sessions=3)) < worth(awake("b", idle_s=1, wake_s=1))


def test_of_equals_the_name_decides() -> None:
    assert planned(awake("b"), awake("a"), sleeping("c", waits_s=1), within=room(2)) == {"sleep": ("a",)}


def test_a_kept_one_makes_no_room() -> None:
    models = awake("a", idle_s=99, kept=True), awake("b"), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2)) == {"sleep": ("b",)}


def test_an_idle_one_goes_before_a_busy_one() -> None:
    models = awake("a", idle_s=9, in_flight=1), awake("b", idle_s=1, sessions=9), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2)) == {"sleep": ("b",)}


def test_where_all_are_busy_as_many_drain_as_are_needed() -> None:
    busy = awake("a", in_flight=1, idle_s=2), awake("b", in_flight=1, idle_s=1)
    assert planned(*busy, sleeping("c", waits_s=1), within=room(2)) == {"drain": ("a",)}
    two_wait = sleeping("c", waits_s=1), sleeping("d", waits_s=1)
    assert planned(*busy, *two_wait, within=room(2)) == {"drain": ("a", "b")}


def test_what_drains_already_goes_before_another_that_is_busy() -> None:
    models = awake("a", in_flight=1, idle_s=9), draining("b", in_flight=1), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2)) == {}


def test_what_became_idle_meanwhile_takes_the_place_of_what_still_drains() -> None:
    models = awake("a"), draining("b", in_flight=1), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2)) == {"sleep": ("a",), "resume": ("b",)}


def test_a_full_group_makes_room_itself() -> None:
    models = awake("a", idle_s=1), awake("b", "gpu1", idle_s=99), sleeping("c", waits_s=1)
    assert planned(*models, within=room(1, total=2, gpu1=1)) == {"sleep": ("a",)}


def test_where_only_the_total_is_full_any_group_makes_room() -> None:
    models = awake("a", idle_s=1), awake("b", "gpu1", idle_s=99), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2, total=2, gpu1=1)) == {"sleep": ("b",)}


def test_what_an_operator_wants_makes_room_for_requests_and_after_what_nobody_wants() -> None:
    assert planned(awake("a", wanted=True), sleeping("b", waits_s=1)) == {"sleep": ("a",)}
    models = awake("a", wanted=True, idle_s=99), awake("c", idle_s=1), sleeping("b", waits_s=1)
    assert planned(*models, within=room(2)) == {"sleep": ("c",)}


def test_of_two_that_operators_want_none_takes_the_place_of_the_other() -> None:
    assert planned(awake("a", wanted=True), sleeping("b", wanted=True)) == {}
    assert planned(awake("a"), sleeping("b", wanted=True)) == {"sleep": ("a",)}


def test_what_requests_wait_for_makes_room_only_for_those_that_have_waited_longer() -> None:
    models = draining("a", waiting=1, waiting_for_s=5.0), awake("b", kept=True)
    assert planned(*models, sleeping("c", waits_s=6), within=room(2)) == {"sleep": ("a",)}
    assert planned(*models, sleeping("c", waits_s=4), within=room(2)) == {"resume": ("a",)}


# 2d: who woke just now stays


@pytest.mark.parametrize("in_flight", [0, 1])
def test_who_woke_just_now_stays_and_it_is_said_for_how_long(in_flight: int) -> None:
    new = awake("a", awake_for_s=0.5, in_flight=in_flight), awake("b", awake_for_s=0.75, in_flight=in_flight)
    assert plan([*new, sleeping("c", waits_s=9)], room(2)) == Plan(look_again_s=1.25)


def test_who_woke_just_now_stays_also_beyond_the_room() -> None:
    assert plan([awake("a", awake_for_s=0.5), awake("b", awake_for_s=0.0)], room(1)) == Plan(look_again_s=1.5)


def test_who_was_awake_for_longer_goes_before_and_nothing_is_looked_for() -> None:
    models = [awake("a", idle_s=99, awake_for_s=NEW), awake("b", idle_s=1, awake_for_s=2.0), sleeping("c", waits_s=1)]
    assert plan(models, room(2)) == Plan(sleep=("b",))


def test_while_one_drains_it_is_looked_again_whether_a_new_one_is_idle_then() -> None:
    models = [awake("a", awake_for_s=NEW), awake("b", in_flight=1), sleeping("c", waits_s=1)]
    assert plan(models, room(2)) == Plan(drain=("b",), look_again_s=1.0)


def test_without_residency_whoever_is_idle_goes_at_once() -> None:
    assert planned(awake("a", awake_for_s=0), sleeping("b", waits_s=1), within=room(min_residency_s=0)) == {
        "sleep": ("a",)
    }


# 3: who need not leave


@pytest.mark.parametrize("in_flight", [0, 1])
def test_what_drains_for_nobody_any_more_is_resumed(in_flight: int) -> None:
    assert planned(draining("a", in_flight=in_flight), sleeping("b")) == {"resume": ("a",)}


def test_what_drains_and_is_waited_for_while_nobody_else_needs_the_place_is_resumed() -> None:
    assert planned(draining("a", waiting=2, waiting_for_s=1.0), sleeping("b")) == {"resume": ("a",)}


def test_what_drains_goes_on_while_somebody_needs_its_place() -> None:
    assert planned(draining("a", in_flight=1), sleeping("b", waits_s=1)) == {}


def test_what_drains_goes_on_also_where_it_is_not_known_for_how_long_it_was_awake() -> None:
    assert planned(draining("a", awake_for_s=0), sleeping("b", waits_s=1)) == {"sleep": ("a",)}


def test_what_drains_and_is_pinned_meanwhile_is_resumed() -> None:
    assert planned(draining("a", kept=True), sleeping("b", waits_s=1)) == {"resume": ("a",), "refuse": ("b",)}


def test_only_as_many_go_on_draining_as_are_needed() -> None:
    models = draining("a", in_flight=1, idle_s=1), draining("b", in_flight=1, idle_s=2), sleeping("c", waits_s=1)
    assert planned(*models, within=room(2)) == {"resume": ("a",)}
