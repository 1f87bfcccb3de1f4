"""Who makes room for whom: the router's own planner, parts of it left out, and what one would take from a textbook."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from smart_router.decide.swap import RESIDENT, Occupant, Plan, Room, plan

Policy = Callable[[Sequence[Occupant], Room], Plan]


def without_costs(models: Sequence[Occupant], room: Room) -> Plan:
    return plan([replace(model, wake_s=1.0) for model in models], room)


def without_sessions(models: Sequence[Occupant], room: Room) -> Plan:
    return plan([replace(model, sessions=0) for model in models], room)


def without_weights(models: Sequence[Occupant], room: Room) -> Plan:
    return plan([replace(model, sessions=0, wake_s=1.0) for model in models], room)


def without_residency(models: Sequence[Occupant], room: Room) -> Plan:
    return plan(models, replace(room, min_residency_s=0.0))


def plain_lru(models: Sequence[Occupant], room: Room) -> Plan:
    """Who was asked least recently of those that are idle; nobody is told to become idle, nor stays for a while."""
    return _textbook(models, room, lambda model: model.idle_s)


def first_in_first_out(models: Sequence[Occupant], room: Room) -> Plan:
    """Who was woken first of those that are idle."""
    return _textbook(models, room, lambda model: model.awake_for_s)


def clairvoyant(models: Sequence[Occupant], room: Room) -> Plan:
    """Ours, for a world that tells when each model is asked next, in place of when it was asked last."""
    return without_sessions(models, room)


def _textbook(models: Sequence[Occupant], room: Room, age: Callable[[Occupant], float]) -> Plan:
    """For models of one group. Who waits longest is served first, here as well."""
    free = room.groups[models[0].group] - sum(model.state in RESIDENT for model in models)
    waiting = sorted((m for m in models if m.waiting and m.state == "sleeping"), key=lambda m: -m.waiting_for_s)
    idle = sorted((m for m in models if m.state == "awake" and not m.in_flight), key=lambda m: (-age(m), m.model))
    lack = max(0, len(waiting) - free - sum(model.state == "draining" for model in models))
    return Plan(wake=tuple(m.model for m in waiting[: max(0, free)]), sleep=tuple(m.model for m in idle[:lack]))


POLICIES: Mapping[str, Policy] = {
    "ours": plan,
    "… without sessions": without_sessions,
    "… without costs": without_costs,
    "… without either": without_weights,
    "… without residency": without_residency,
    "plain LRU": plain_lru,
    "first in, first out": first_in_first_out,
    "clairvoyant": clairvoyant,
}
