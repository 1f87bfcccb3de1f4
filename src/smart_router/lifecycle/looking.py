"""Asks servers how their models stand: people and crashes change that behind our back."""

import asyncio
from collections.abc import Iterable

import structlog

from smart_router.errors import BackendUnreachable, LifecycleFailed, UpstreamError
from smart_router.lifecycle.base import Seen
from smart_router.lifecycle.gate import Gate
from smart_router.lifecycle.place import Place
from smart_router.lifecycle.residence import Residence
from smart_router.settings import Settings
from smart_router.upstream.fleet import Fleet, NoReplica

log = structlog.get_logger("lifecycle")

UNMANAGEABLE = "cannot be managed as the registry says: it gets requests only while its server passes health checks"


class Looker:
    def __init__(self, fleet: Fleet, gate: Gate, settings: Settings) -> None:
        self._fleet = fleet
        self._gate = gate
        self._settings = settings

    async def look(self, residences: Iterable[Residence]) -> None:
        """At all servers, at once; each has HEALTH_TIMEOUT to answer. What this router moves right now is left out."""
        found = [residence for residence in residences if residence.motion is None]
        for residence in found:
            self._gate.follow(residence)
        await asyncio.gather(*(self._look(residence, p) for residence in found for p in residence.places.values()))

    async def _look(self, residence: Residence, place: Place) -> None:
        moves = residence.moves
        found = await self._said(residence, place.endpoint)
        if residence.moves != moves or residence.motion is not None or place.coming is not None:
            return
        if isinstance(found, LifecycleFailed):
            await self._unmanageable(residence, place, str(found))
        elif isinstance(found, UpstreamError):
            place.silent(found.message, gone=isinstance(found, BackendUnreachable))
        else:
            self._note(residence, place, found)

    async def _said(self, residence: Residence, endpoint: str) -> Seen | UpstreamError | LifecycleFailed:
        try:
            async with asyncio.timeout(self._settings.health_timeout):
                return await residence.kind.look(residence.model, endpoint)
        except (UpstreamError, LifecycleFailed) as exc:
            return exc
        except TimeoutError:
            return UpstreamError("it does not say in time whether it sleeps")
        except Exception as exc:  # the others must be looked at
            log.error("looking at a model failed", model=residence.id, replica=endpoint, exc_info=exc)
            return UpstreamError("looking at it failed")

    def _note(self, residence: Residence, place: Place, seen: Seen) -> None:
        if place.unmanageable:
            place.unmanageable = ""
            log.info("can be managed", model=residence.id, replica=place.endpoint)
        if seen == "sleeping":
            self._gate.asleep(residence, place)
        elif place.backoff.failures and not place.open:
            place.became("awake")  # it has to prove itself
        else:
            self._gate.open(residence, place)

    async def _unmanageable(self, residence: Residence, place: Place, trouble: str) -> None:
        """It is left alone: it gets requests while it passes its health check, and keeps its room."""
        if place.unmanageable != trouble:
            place.unmanageable = trouble
            log.error(UNMANAGEABLE, model=residence.id, trouble=trouble)
        try:
            await self._fleet.upstream(residence.id).check(residence.model, place.endpoint)
        except (UpstreamError, NoReplica) as exc:
            place.silent(str(exc), gone=isinstance(exc, BackendUnreachable))
        else:
            self._gate.open(residence, place)
