"""Where requests wait for a place at a model whose replicas are all at their limits."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from smart_router.decide.replica import AllBusy, NoReplica
from smart_router.decide.turns import Turns
from smart_router.errors import Overloaded

LOOK_AGAIN_S = 0.1  # for a replica that became fit; one that has room again tells at once


class Place(Protocol):
    def release(self) -> None: ...


P = TypeVar("P", bound=Place)


class _Waiting(Generic[P]):
    __slots__ = ("place", "take")

    def __init__(self, take: Callable[[], P], place: "asyncio.Future[P]") -> None:
        self.take = take
        self.place = place


class Queue(Generic[P]):
    """Of one model, for one event loop."""

    __slots__ = ("_timer", "_turns", "model")

    def __init__(self, model: str, most: int) -> None:
        self.model = model
        self._turns: Turns[_Waiting[P]] = Turns(most)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._turns)

    def bound(self, most: int) -> None:
        """Who waits already may stay."""
        self._turns.most = most

    async def wait(self, caller: str, take: Callable[[], P], within_s: float) -> P:
        """
        What *take*, which raises as `decide.replica.pick` does, gives when it is *caller*'s turn.

        Raises:
            Overloaded: too many wait, or it was not its turn in time.
            NoReplica: no replica is left.
        """
        if self._turns.full:
            raise Overloaded(f"{len(self)} requests wait for {self.model} already; try again shortly", "queue_full")
        loop = asyncio.get_running_loop()
        place: asyncio.Future[P] = loop.create_future()
        waiting = _Waiting(take, place)
        self._turns.add(caller, waiting)
        self._look_again_soon(loop)
        try:
            async with asyncio.timeout(within_s):
                return await place
        except TimeoutError:
            _give_back(place)
            message = f"{self.model} had no room within {within_s:.3g} s; try again shortly"
            raise Overloaded(message, "queue_timeout") from None
        except BaseException:
            _give_back(place)
            raise
        finally:
            self._turns.leave(caller, waiting)

    def serve(self) -> None:
        """There may be room: to those whose turn it is."""
        while (waiting := self._turns.first()) is not None:
            if not waiting.place.done():
                try:
                    waiting.place.set_result(waiting.take())
                except AllBusy:
                    return
                except NoReplica as exc:
                    waiting.place.set_exception(exc)
            self._turns.served()

    def _look_again_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._timer = loop.call_later(LOOK_AGAIN_S, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self.serve()
        if self._turns:
            self._look_again_soon(loop)


def _give_back(place: "asyncio.Future[P]") -> None:
    """What came when nobody waited for it any more."""
    if place.done() and not place.cancelled() and place.exception() is None:
        place.result().release()
