"""How long to leave alone what failed again and again."""

LONGEST_S = 30.0


class Backoff:
    """Nothing for the first *free* failures in a row, then 1, 2, 4 … 30 seconds. Times are of one monotonic clock."""

    __slots__ = ("_free", "failures", "until")

    def __init__(self, free: int = 0) -> None:
        self._free = free
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float) -> None:
        self.failures += 1
        exponent = self.failures - self._free - 1
        self.until = now + min(LONGEST_S, 2.0**exponent) if exponent >= 0 else now

    def clear(self) -> None:
        self.failures, self.until = 0, 0.0

    def left_s(self, now: float) -> float:
        return max(0.0, self.until - now)
