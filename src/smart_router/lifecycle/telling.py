"""What the planner, other routers and people are told of a model that comes and goes."""

import time
from collections.abc import Sequence

from smart_router.decide.swap import RESIDENT, Occupant
from smart_router.lifecycle.agreement import Told
from smart_router.lifecycle.base import ModelReport
from smart_router.lifecycle.residence import Residence


def occupant(residence: Residence, in_flight: int, *, foreseen: bool = False) -> Occupant:
    """
    For the planner. Who takes room although it is not awake has to go for others; who did not fall asleep is left alone
    for a while, as if it were busy, and so is whom others ask directly; who did not wake is not tried again for a
    while; an adapter waits for its base. Who is missed comes back as if foreseen: at nobody's cost. Of two words on how
    long it has been awake the longer one counts: a Redis whose clock was set back knows of no past.
    """
    told, state, base = residence.known.told, residence.state, residence.base
    known_awake_s, tried = residence.known.awake_for_s, residence.may_wake and (base is None or base.awake)
    stays = residence.others_stay or residence.staying.left_s(residence.now()) > 0
    return Occupant(
        residence.id,
        residence.model.lane,
        "awake" if residence.holds and state not in RESIDENT else state,
        in_flight=max(in_flight + told.in_flight, 1 if stays else 0),
        waiting=residence.waiting + told.waiting if tried else 0,
        waiting_for_s=max(residence.waiting_for_s, told.waiting_for_s),
        wanted=residence.kept and tried,
        kept=residence.kept,
        idle_s=min(residence.idle_s, residence.idle_s if told.idle_s is None else told.idle_s),
        awake_for_s=max(residence.awake_for_s, known_awake_s or 0.0),
        sessions=residence.visits.live() + told.sessions,
        wake_s=residence.usual_wake_s,
        foreseen=(foreseen or residence.missed) and tried and not residence.left_out,
    )


def told(residence: Residence, in_flight: int) -> Told:
    """For other routers."""
    idle_s = None if residence.visits.used_at is None else residence.idle_s
    return Told(idle_s, residence.visits.live(), in_flight, residence.waiting, residence.waiting_for_s)


def report(residence: Residence, in_flight: int, beside: Sequence[str] = ()) -> ModelReport:
    """For people; who is kept *beside* it leaves it no room."""
    past, used_at, awake_at = time.time() - residence.now(), residence.visits.used_at, residence.awake_at
    crowded = f"no room beside {', '.join(beside)}, which are kept awake" if beside else ""
    troubles = (residence.unmanageable, residence.trouble, residence.stays, crowded)
    places = (place.trouble for place in residence.places.values())
    return ModelReport(
        residence.id,
        residence.model.lane,
        residence.model.lifecycle,
        residence.state,
        endpoints=tuple(residence.places) or residence.model.endpoints,
        pinned=residence.pinned,
        preloaded=residence.preloaded,
        in_flight=in_flight,
        waiting=len(residence.waiters),
        sessions=residence.visits.live() + residence.known.told.sessions,
        last_used=None if used_at is None else past + used_at,
        awake_since=None if awake_at is None else past + awake_at,
        wakes=residence.wakes,
        evictions=residence.evictions,
        last_wake_s=residence.wake_s,
        trouble=next(filter(None, (*troubles, *places)), ""),
    )
