"""A place at a replica, from its choice until its request is over."""

import asyncio
from typing import TYPE_CHECKING, Any

from smart_router.errors import UpstreamError
from smart_router.registry import Model
from smart_router.upstream.base import Upstream
from smart_router.upstream.replicas import Server

if TYPE_CHECKING:
    from smart_router.upstream.fleet import Fleet


class Lease:
    """
    A place at a replica. Release it exactly once, whatever happened; a second time does nothing. It stays good when
    the replica leaves the fleet.
    """

    __slots__ = ("_fleet", "_held", "_server", "_task", "since", "taken_back")

    def __init__(self, server: Server, fleet: "Fleet") -> None:
        self._server = server
        self._fleet = fleet
        self._held = True
        self._task: asyncio.Task[Any] | None = None
        self.since = 0.0
        self.taken_back = False
        server.in_flight += 1

    @property
    def model(self) -> Model:
        return self._server.model

    @property
    def endpoint(self) -> str:
        return self._server.endpoint

    @property
    def upstream(self) -> Upstream:
        return self._server.upstream

    def ask(self) -> None:
        """This task waits for the replica's answer to begin, until `asked()`. `take_back` cancels it."""
        self._task, self.since = asyncio.current_task(), self._fleet.now()
        self._server.opening.add(self)

    def asked(self) -> None:
        self._server.opening.discard(self)

    def take_back(self) -> None:
        """The replica sleeps: nothing will come."""
        if self._task is not None and not self.taken_back:
            self.taken_back = True
            self._task.cancel()

    def answered(self) -> None:
        """The replica did its work."""
        self._fleet.answered(self._server)

    def blame(self, error: UpstreamError) -> None:
        """The replica did not; what follows depends on *error*: see `Replicas.blamed`."""
        self._fleet.blamed(self._server, error)

    def release(self) -> None:
        if self._held:
            self._held = False
            self._server.in_flight -= 1
            queue = self._server.replicas.queue
            if queue:
                queue.serve()
