"""
How many retries the traffic can bear: when every request fails, retries must not multiply the load that made it fail.

The model is Finagle's RetryBudget (percentCanRetry 0.2, ttl 10 s, minRetriesPerSec); unlike there, the minimum is not
added to the share but stands in for it where the share is smaller, so that a busy router never exceeds the share.
"""

WINDOW_S = 10  # Finagle's ttl
FLOOR = 10  # retries per window that a quiet router may make, whatever the share


class RetryBudget:
    """
    Of the last ten seconds, counted in whole seconds of the caller's clock: retries are at most *share* (0..1) of the
    requests, or `FLOOR` where that is more; none at all where *share* is 0.
    """

    __slots__ = ("_first", "_firsts", "_retries", "_retry", "_second", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._second = 0  # the one that is being counted
        self._first, self._retry = [0] * WINDOW_S, [0] * WINDOW_S  # by second, round and round
        self._firsts = self._retries = 0  # their sums

    def first(self, now: float) -> None:
        """A request begins."""
        second = int(now)
        if second != self._second:
            self._forget(second)
        self._first[second % WINDOW_S] += 1
        self._firsts += 1

    def retry(self, now: float) -> bool:
        """May one more attempt be made? If so, it is counted."""
        second = int(now)
        if second != self._second:
            self._forget(second)
        if self._retries + 1 > self._most():
            return False
        self._retry[second % WINDOW_S] += 1
        self._retries += 1
        return True

    def _most(self) -> float:
        return max(FLOOR, self._share * self._firsts) if self._share else 0

    def _forget(self, second: int) -> None:
        """Seconds that have left the window give their places to new ones."""
        for passed in range(max(self._second, second - WINDOW_S) + 1, second + 1):
            place = passed % WINDOW_S
            self._firsts -= self._first[place]
            self._retries -= self._retry[place]
            self._first[place] = self._retry[place] = 0
        self._second = max(second, self._second)
