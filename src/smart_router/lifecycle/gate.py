"""Who gets requests: what is known of a model's servers, told to the fleet."""

import structlog

from smart_router.lifecycle.base import ENDS_WITH_US
from smart_router.lifecycle.place import Place
from smart_router.lifecycle.residence import Residence
from smart_router.upstream.fleet import Fleet

log = structlog.get_logger("lifecycle")


class Gate:
    """Whoever learns something of a server says so here; a model's waiting requests go on once it gets any."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def follow(self, residence: Residence) -> None:
        """The model's servers are those that the fleet has now."""
        known = residence.places
        residence.places = {e: known.get(e) or Place(e) for e in self._fleet.endpoints(residence.id)}
        for gone in (place for endpoint, place in known.items() if endpoint not in residence.places):
            if gone.coming is not None:
                gone.coming.cancel()

    def in_flight(self, residence: Residence) -> int:
        """Requests of this router at its servers."""
        return sum(self._fleet.in_flight(one.id) for one in (residence, *residence.riders))

    def open(self, residence: Residence, place: Place) -> None:
        """It is awake. A router that is about to change it says when."""
        place.became("awake")
        place.backoff.clear()
        if residence.held_back:
            return
        place.open = True
        self._fleet.admit(residence.id, place.endpoint)
        residence.opened()

    def shut(self, residence: Residence) -> None:
        """No more requests, but those that are there go on."""
        for one in (residence, *residence.riders):
            for place in one.places.values():
                place.open = False
                self._fleet.shut(one.id, place.endpoint)

    def reopen(self, residence: Residence) -> None:
        """As far as it is awake."""
        for one in (residence, *residence.riders):
            for place in one.places.values():
                if place.seen == "awake":
                    self.open(one, place)

    def asleep(self, residence: Residence, place: Place) -> None:
        """Requests that wait there for their answers to begin are taken back."""
        if place.open:
            log.info("found asleep", model=residence.id, replica=place.endpoint)
            if residence.model.lifecycle == ENDS_WITH_US:  # nobody puts such a server to sleep but us
                residence.was_lost()
        place.became("sleeping")
        place.open = False
        self._fleet.found_asleep(residence.id, place.endpoint)
        if not residence.holds:
            residence.awake_at = None
