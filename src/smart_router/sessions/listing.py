"""Which sessions of an owner there are in this process, by when they were last used."""

from collections import OrderedDict
from itertools import islice

from smart_router.sessions.base import Key, Position

_NOBODYS: OrderedDict[str, int] = OrderedDict()


class Listing:
    """Touching and dropping a session takes constant time, whoever else has how many."""

    def __init__(self) -> None:
        self._owners: dict[str, OrderedDict[str, int]] = {}  # id -> microseconds since the epoch, the latest last

    def touch(self, key: Key, accessed: float) -> None:
        """*key* was used at *accessed*: after all others of its owner, whatever the clock says."""
        ids = self._owners.get(key.owner)
        if ids is None:
            ids = self._owners[key.owner] = OrderedDict()
        latest = next(reversed(ids.values()), 0)
        ids[key.id] = max(latest + 1, int(accessed * 1e6))
        ids.move_to_end(key.id)

    def drop(self, key: Key) -> None:
        ids = self._owners[key.owner]
        del ids[key.id]
        if not ids:
            del self._owners[key.owner]

    def clear(self) -> None:
        self._owners.clear()

    def positions(self, owner: str, after: Position | None, most: int) -> list[Position]:
        """At most so many of those that come after *after*, the last used first."""
        ids = self._owners.get(owner, _NOBODYS)
        beyond = (after.at_us, after.id) if after is not None else None
        following = (
            Position(at_us, id) for id, at_us in reversed(ids.items()) if beyond is None or (at_us, id) < beyond
        )
        return list(islice(following, most))
