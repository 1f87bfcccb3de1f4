"""
Is a replica that answers its health check failing its requests? Then it is left alone for a while.

The method and its numbers are those of Envoy's outlier detection where not said otherwise
(envoy.config.cluster.v3.OutlierDetection).
"""

from collections import deque

FAILURES_IN_A_ROW = 5  # consecutive_5xx
OF_LAST = 20  # half of so many; Envoy's failure_percentage wants 50 requests of each of 5 hosts, more than we may have
WINDOW_S = 30.0  # that half must be this recent; Envoy looks at intervals of 10 s, but our requests are slow and few
BASE_S = 5.0  # base_ejection_time is 30 s there; a model has few replicas, and each is missed
LONGEST_S = 60.0  # max_ejection_time is 300 s there
MOST_EJECTED = 0.5  # max_ejection_percent is 10 % there, of clusters that are larger


class Record:
    """What requests met with at one replica of late. It is changed in place, as every request ends here."""

    __slots__ = ("_ejections", "_failures", "_in_a_row", "_outcomes", "ejected_until")

    def __init__(self) -> None:
        self.ejected_until = 0.0
        self._ejections = 0  # since the last success
        self._in_a_row = 0
        self._outcomes = 0
        self._failures: deque[tuple[int, float]] = deque(maxlen=OF_LAST // 2)  # outcomes at that time, and when

    def succeeded(self, now: float) -> None:
        self._in_a_row = 0
        self._outcomes += 1
        if self._ejections and now >= self.ejected_until:
            self._ejections = 0

    def failed(self, now: float) -> None:
        """What fails while it is ejected was on its way before and is counted by then."""
        if now >= self.ejected_until:
            self._in_a_row += 1
            self._outcomes += 1
            self._failures.append((self._outcomes, now))

    def is_outlier(self, now: float) -> bool:
        """
        1. `FAILURES_IN_A_ROW`, however long they took.
        2. Half of the last `OF_LAST`, if that half failed within the last `WINDOW_S`.
        """
        if self._in_a_row >= FAILURES_IN_A_ROW:  # 1
            return True
        if len(self._failures) < OF_LAST // 2:
            return False
        outcomes, at = self._failures[0]
        return outcomes > self._outcomes - OF_LAST and at >= now - WINDOW_S  # 2

    def eject(self, now: float) -> None:
        """Each time for longer, until a request succeeds after the return."""
        self.ejected_until = now + min(LONGEST_S, BASE_S * 2 ** min(16, self._ejections))
        self._ejections += 1
        self._in_a_row = 0
        self._failures.clear()

    def readmit(self) -> None:
        """Others need it to return before its time."""
        self.ejected_until = 0.0


def may_eject(ejected: int, healthy: int) -> bool:
    """One more of *healthy* replicas (the *ejected* among them), so that at least half of them, rounded up, stay?"""
    return excess(ejected + 1, healthy) == 0


def excess(ejected: int, healthy: int) -> int:
    """How many of *ejected* must return, now that only *healthy* answer their health check (they among them)."""
    return max(0, ejected - int(healthy * MOST_EJECTED))
