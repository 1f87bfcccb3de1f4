"""Where requests wait for a place at models whose replicas are all at their limits."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from smart_router.decide.replica import AllBusy, NoReplica
from smart_router.decide.turns import Turns
from smart_router.errors import Overloaded

LOOK_AGAIN_S = 0.1  # for a replica that became fit; one that has room again tells at once


class Place(Protocol):
    def release(self) -> None: ...


P = TypeVar("P", bound=Place)


class _Waiting(Generic[P]):
    """One request, in *hopes* queues."""

    __slots__ = ("hopes", "place")

    def __init__(self, place: "asyncio.Future[P]", hopes: int) -> None:
        self.place = place
        self.hopes = hopes

    def dashed(self, trouble: NoReplica) -> None:
        """In one of its queues there is nothing to wait for."""
        self.hopes -= 1
        if not self.hopes:
            self.place.set_exception(trouble)


class _Turn(Generic[P]):
    """In one queue."""

    __slots__ = ("take", "waiting")

    def __init__(self, waiting: _Waiting[P], take: Callable[[], P]) -> None:
        self.waiting = waiting
        self.take = take


class Queue(Generic[P]):
    """Of one model, for one event loop."""

    __slots__ = ("_timer", "_turns", "model")

    def __init__(self, model: str, most: int) -> None:
        self.model = model
        self._turns: Turns[_Turn[P]] = Turns(most)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def full(self) -> bool:
        return self._turns.full

    def bound(self, most: int) -> None:
        """Who waits already may stay."""
        self._turns.most = most

    def join(self, caller: str, turn: _Turn[P]) -> None:
        self._turns.add(caller, turn)
        self._look_again_soon(asyncio.get_running_loop())

    def leave(self, caller: str, turn: _Turn[P]) -> None:
        self._turns.leave(caller, turn)

    def serve(self) -> None:
        """There may be room: to those whose turn it is. Where all replicas rest, or are gone, nobody need wait."""
        while (turn := self._turns.first()) is not None:
            if not turn.waiting.place.done():
                try:
                    turn.waiting.place.set_result(turn.take())
                except AllBusy as exc:
                    if exc.full:
                        return
                    turn.waiting.dashed(exc)
                except NoReplica as exc:
                    turn.waiting.dashed(exc)
            self._turns.served()

    def _look_again_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._timer = loop.call_later(LOOK_AGAIN_S, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self.serve()
        if self._turns:
            self._look_again_soon(loop)


async def wait(queues: Sequence[tuple[Queue[P], Callable[[], P]]], caller: str, within_s: float) -> P:
    """
    The place that the first of *queues* gives when it is *caller*'s turn there: what the callable beside it takes,
    which raises as `decide.replica.pick` does.

    Raises:
        Overloaded: too many wait in each, or it was not its turn in time.
        AllBusy, NoReplica: there is nothing to wait for (any more): all replicas rest, or are gone.
    """
    names = " or ".join(queue.model for queue, _ in queues)
    joined = [(queue, take) for queue, take in queues if not queue.full]
    if not joined:
        raise Overloaded(f"too many requests wait for {names} already; try again shortly", "queue_full")
    place: asyncio.Future[P] = asyncio.get_running_loop().create_future()
    waiting = _Waiting(place, len(joined))
    turns = [(queue, _Turn(waiting, take)) for queue, take in joined]
    for queue, turn in turns:
        queue.join(caller, turn)
    try:
        async with asyncio.timeout(within_s):
            return await place
    except TimeoutError:
        _give_back(place)
        message = f"{names} had no room within {within_s:.3g} s; try again shortly"
        raise Overloaded(message, "queue_timeout") from None
    except BaseException:
        _give_back(place)
        raise
    finally:
        for queue, turn in turns:
            queue.leave(caller, turn)


def _give_back(place: "asyncio.Future[P]") -> None:
    """What came when nobody waited for it any more."""
    if place.done() and not place.cancelled() and place.exception() is None:
        place.result().release()
