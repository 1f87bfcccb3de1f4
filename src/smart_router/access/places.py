"""How many requests of a caller are under way at once, in this process."""

from smart_router.errors import TooManyRequests

RETRY_AFTER_S = 1.0  # nobody knows when one of them will be done


class Place:
    """To be left once."""

    __slots__ = ("_caller", "_taken")

    def __init__(self, taken: dict[str, int], caller: str) -> None:
        self._taken = taken
        self._caller = caller

    def leave(self) -> None:
        left = self._taken[self._caller] - 1
        if left:
            self._taken[self._caller] = left
        else:
            del self._taken[self._caller]


class Places:
    """Knows only callers who have one."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, caller: str, most: int) -> Place:
        """
        Raises:
            TooManyRequests: *most* are taken.
        """
        taken = self._taken.get(caller, 0)
        if taken >= most:
            raise TooManyRequests(
                f"too many requests at once: this key may have {most} under way; wait for one of them to end",
                "concurrency",
                retry_after_s=RETRY_AFTER_S,
            )
        self._taken[caller] = taken + 1
        return Place(self._taken, caller)
