"""When nothing runs at a model any more."""

import asyncio

from smart_router.errors import UpstreamError
from smart_router.lifecycle.gate import Gate
from smart_router.lifecycle.residence import Residence
from smart_router.upstream.fleet import Fleet, NoReplica

PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5  # while only others have requests there: their page of metrics is long


class Quiet:
    def __init__(self, fleet: Fleet, gate: Gate) -> None:
        self._fleet = fleet
        self._gate = gate

    async def wait(self, residence: Residence) -> None:
        """
        Return when no router has a request at its servers, nor anybody else as far as they say. Callers bound the time
        by cancelling.
        """
        pause_s = PAUSE_S
        while True:
            ours = self._gate.in_flight(residence) + residence.known.told.in_flight
            residence.others_stay = not ours and await self._others(residence)
            if not ours and not residence.others_stay:
                return
            await asyncio.sleep(PAUSE_S if ours else pause_s)
            pause_s = PAUSE_S if ours else min(2 * pause_s, LONGEST_PAUSE_S)

    async def _others(self, residence: Residence) -> bool:
        """Somebody has requests at its servers. What several models share says nothing of one of them."""
        riders = {rider.id for rider in residence.riders}
        endpoints = [e for e in residence.places if self._fleet.models_at(e) - riders == {residence.id}]
        return any(await asyncio.gather(*(self._busy(residence.id, endpoint) for endpoint in endpoints)))

    async def _busy(self, model: str, endpoint: str) -> bool:
        try:
            load = await self._fleet.upstream(model).load(endpoint)
        except (UpstreamError, NoReplica):
            return False  # it does not say
        return load.running + load.waiting > 0
