"""Requests that wait until a model is awake."""

import asyncio
from collections.abc import Callable

from smart_router.errors import ModelNotReady, Overloaded, RouterError


class Waiters:
    """Of one model, in the order in which they came. Whoever stops waiting counts no more."""

    __slots__ = ("_now", "_since")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since: dict[asyncio.Future[None], float] = {}

    def __len__(self) -> int:
        return len(self._since)

    @property
    def longest_s(self) -> float:
        """For how long the first has waited."""
        return self._now() - next(iter(self._since.values())) if self._since else 0.0

    async def wait(self, model: str, most: int | None, within_s: float, retry_after_s: Callable[[], float]) -> None:
        """
        Return when the model is awake. One at least may always wait, or it would never be woken.

        Raises:
            Overloaded: *most* wait already.
            ModelNotReady: it is not awake in time.
            RouterError: what `fail` was told.
        """
        if most is not None and len(self) >= max(1, most):
            raise Overloaded(f"too many requests wait for {model} already; try again shortly", "queue_full")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._since[turn] = self._now()
        try:
            async with asyncio.timeout(within_s):
                await turn
        except TimeoutError:
            message = f"{model} was not ready within {within_s:.3g} s; try again shortly"
            raise ModelNotReady(message, retry_after_s=retry_after_s()) from None
        finally:
            self._since.pop(turn, None)
            if turn.done() and not turn.cancelled():
                turn.exception()  # has been heard of, even if this was cancelled meanwhile

    def go_on(self) -> None:
        """It is awake."""
        for turn in self._taken():
            turn.set_result(None)

    def fail(self, trouble: Callable[[], RouterError]) -> None:
        """It will not be; each gets an error of its own."""
        for turn in self._taken():
            turn.set_exception(trouble())

    def _taken(self) -> list[asyncio.Future[None]]:
        found, self._since = [turn for turn in self._since if not turn.done()], {}
        return found
