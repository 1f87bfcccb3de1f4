"""Rates of callers, kept in this process."""

import time
from collections.abc import Callable

from smart_router.decide.admission import admit
from smart_router.types import Admission, Rate

MOST_CALLERS = 10_000  # then those whose burst is whole again are forgotten


class LocalRates:
    """Knows the last request of each caller."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._arrivals: dict[str, int] = {}

    def admit(self, owner: str, rate: Rate) -> Admission:
        now_us = self._monotonic_ns() // 1000
        found, self._arrivals[owner] = admit(self._arrivals.get(owner), now_us, rate)
        if len(self._arrivals) > MOST_CALLERS:
            self._arrivals = {owner: arrival for owner, arrival in self._arrivals.items() if arrival > now_us}
        return found
