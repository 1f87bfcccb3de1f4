"""What is decided together of models that share room, and which of them are awake from the start."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smart_router.decide.swap import Room

ALL = "all"  # the name of the arena where there is only one


@dataclass(frozen=True, slots=True)
class Tenant:
    """A model of a group; one that is not *managed* is always awake."""

    model: str
    group: str
    managed: bool


@dataclass(frozen=True, slots=True)
class Arena:
    """*models* that come and go, whose room is given away in one decision."""

    name: str
    models: tuple[str, ...]
    room: Room


def arenas(tenants: Sequence[Tenant], most: Mapping[str, int], total: int, min_residency_s: float) -> tuple[Arena, ...]:
    """
    One per group where no group can take another's share of *total*, else a single one. *most*: how many of a group may
    be awake, 1 where it is not named; who is always awake takes room there for ever.
    """
    left, managed = rooms(tenants, most), [tenant for tenant in tenants if tenant.managed]
    room = Room(left, total, min_residency_s)
    counts = Counter(tenant.group for tenant in managed)
    if sum(min(left[group], count) for group, count in counts.items()) > total:
        return (Arena(ALL, tuple(tenant.model for tenant in managed), room),)
    return tuple(
        Arena(group, tuple(tenant.model for tenant in managed if tenant.group == group), room) for group in counts
    )


def preloaded(tenants: Sequence[Tenant], most: Mapping[str, int], total: int) -> tuple[str, ...]:
    """Those that come and go, in their order, as many as there is room for."""
    left, found = rooms(tenants, most), list[str]()
    for tenant in tenants:
        if tenant.managed and left[tenant.group] > 0 and len(found) < total:
            left[tenant.group] -= 1
            found.append(tenant.model)
    return tuple(found)


def rooms(tenants: Sequence[Tenant], most: Mapping[str, int]) -> dict[str, int]:
    """For how many that come and go each group has room."""
    taken = Counter(tenant.group for tenant in tenants if not tenant.managed)
    return {tenant.group: max(0, most.get(tenant.group, 1) - taken[tenant.group]) for tenant in tenants}
