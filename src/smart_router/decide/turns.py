"""Whose turn it is, of those who wait for the same thing."""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Turns(Generic[T]):
    """
    A bounded queue with fair turns: callers take turns, and each caller's own come in the order in which they were
    added. So one caller's flood delays another's next by one turn at most (fair queueing, Nagle 1985, RFC 970).
    """

    __slots__ = ("_callers", "_length", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._callers: dict[str, dict[T, None]] = {}  # both in order; who is next comes first; none is empty
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def full(self) -> bool:
        return self._length >= self.most

    def add(self, caller: str, waiting: T) -> None:
        """To be asked for `full` before."""
        self._callers.setdefault(caller, {})[waiting] = None
        self._length += 1

    def first(self) -> T | None:
        """Whose turn it is; None if nobody waits."""
        return next(iter(next(iter(self._callers.values())))) if self._callers else None

    def served(self) -> None:
        """The first one is done; its caller's next comes after one of each of the others."""
        caller = next(iter(self._callers))
        own = self._callers.pop(caller)
        del own[next(iter(own))]
        self._length -= 1
        if own:
            self._callers[caller] = own

    def leave(self, caller: str, waiting: T) -> None:
        """It does not wait any more; does nothing if it was served."""
        own = self._callers.get(caller)
        if own is None or waiting not in own:
            return
        del own[waiting]
        self._length -= 1
        if not own:
            del self._callers[caller]
