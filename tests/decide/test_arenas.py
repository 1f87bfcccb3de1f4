"""Which groups are decided together, and who is awake from the start."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.arenas import Tenant, arenas, preloaded, rooms


def tenants(*named: str) -> list[Tenant]:
    """group/model; one that ends with ! is always awake."""
    found = (name.split("/") for name in named)
    return [Tenant(model.rstrip("!"), group, not model.endswith("!")) for group, model in found]


def names(*named: str, total: int, **most: int) -> dict[str, tuple[str, ...]]:
    return {arena.name: arena.models for arena in arenas(tenants(*named), most, total, 2.0)}


def test_groups_that_cannot_get_in_each_others_way_are_decided_apart() -> None:
    assert names("x/a", "y/b", "x/c", total=2) == {"x": ("a", "c"), "y": ("b",)}


def test_groups_that_share_what_is_left_of_the_total_are_decided_together() -> None:
    assert names("x/a", "y/b", "x/c", total=1) == {"all": ("a", "b", "c")}


def test_room_that_nobody_fills_is_not_counted() -> None:
    assert names("x/a", "y/b", total=2, x=8) == {"x": ("a",), "y": ("b",)}


def test_who_is_always_awake_takes_room_and_is_not_planned_for() -> None:
    assert names("x/a!", "x/b", "y/c", total=3, x=2) == {"x": ("b",), "y": ("c",)}
    assert rooms(tenants("x/a!", "x/b", "y/c", "z/d!", "z/e!"), {"x": 2}) == {"x": 1, "y": 1, "z": 0}


def test_without_models_that_come_and_go_there_is_nothing_to_decide() -> None:
    assert names("x/a!", total=3) == {}


def test_as_many_are_preloaded_as_fit_in_their_order() -> None:
    named = tenants("x/a!", "x/b", "x/c", "y/d", "y/e", "z/f")
    assert preloaded(named, {"x": 2, "y": 2}, 3) == ("b", "d", "e")
    assert preloaded(named, {"x": 2, "y": 2}, 2) == ("b", "d")


some = st.lists(st.builds(Tenant, st.uuids().map(str), st.sampled_from("xyz"), st.booleans()), max_size=12)
room = st.dictionaries(st.sampled_from("xyz"), st.integers(1, 4), max_size=3)


@given(some, room, st.integers(1, 8))
def test_every_model_that_comes_and_goes_is_in_one_arena_and_arenas_never_exceed_the_total(
    found: list[Tenant], most: dict[str, int], total: int
) -> None:
    formed = arenas(found, most, total, 2.0)
    placed = [model for arena in formed for model in arena.models]
    assert sorted(placed) == sorted(tenant.model for tenant in found if tenant.managed)
    if len(formed) > 1:
        groups = {tenant.model: tenant.group for tenant in found}
        fill = (min(arena.room.groups[groups[arena.models[0]]], len(arena.models)) for arena in formed)
        assert sum(fill) <= total


@given(some, room, st.integers(1, 8))
def test_what_is_preloaded_fits(found: list[Tenant], most: dict[str, int], total: int) -> None:
    chosen, left = preloaded(found, most, total), rooms(found, most)
    groups = {tenant.model: tenant.group for tenant in found}
    assert len(chosen) <= total
    for group, places in left.items():
        assert sum(groups[model] == group for model in chosen) <= places
