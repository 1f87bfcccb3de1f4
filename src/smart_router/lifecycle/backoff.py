"""How long to leave alone what failed again and again."""

LONGEST_S = 30.0
SOUND_AFTER_S = 60.0  # of health: whatever went wrong before is over


class Backoff:
    """Nothing for the first *free* failures in a row, then 1, 2, 4 … 30 seconds. Times are of one monotonic clock."""

    __slots__ = ("_free", "failures", "until")

    def __init__(self, free: int = 0) -> None:
        self._free = free
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float, healthy_for_s: float = 0.0) -> float:
        """Returns for how long it is to be left alone."""
        self.failures = 1 if healthy_for_s >= SOUND_AFTER_S else self.failures + 1
        exponent = self.failures - self._free - 1
        self.until = now + min(LONGEST_S, 2.0 ** min(exponent, 10)) if exponent >= 0 else now
        return self.until - now

    def clear(self) -> None:
        self.failures, self.until = 0, 0.0

    def left_s(self, now: float) -> float:
        return max(0.0, self.until - now)
