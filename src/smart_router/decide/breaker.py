"""
May a server be called, and when is it tried again? One probe at a time finds out; callers never do.

    closed      calls are made
    open        none is made, nor a probe before it is due
    half-open   none is made; one probe is under way

A server that was away is believed as soon as it answers. One that was too slow may be so again: it must answer in time
several times in a row, and more often if it did not last the last time. So latency that hovers near the deadline does
not open and close the breaker over and over.
"""

from typing import Literal

PAUSE_S = 0.1  # at least, from the beginning of a probe to that of the next
LONGEST_PAUSE_S = 0.8  # at most, so that who is back is found within a second
STEADY_S = 5.0  # who is in time for so long is trusted as before
SLOW_PROOFS = 4  # answers in time that are wanted of who was too slow, twice as many each time that it does not last
MOST_PROOFS = 64


class Breaker:
    """Open at first, with a probe due: nothing is known yet. *now*: seconds of one monotonic clock."""

    __slots__ = ("_closed_at", "_due_at", "_pause_s", "_probed_at", "proofs", "state")

    def __init__(self) -> None:
        self.state: Literal["closed", "open", "half-open"] = "open"
        self._pause_s = PAUSE_S
        self._probed_at = self._due_at = self._closed_at = float("-inf")
        self.proofs = 1  # answers in a row that a probe must get in time

    def wait_s(self, now: float) -> float:
        """Until the next probe is due."""
        return max(0.0, self._due_at - now)

    def probe(self, now: float) -> bool:
        """May a probe begin? If so, it has begun."""
        if self.state != "open" or now < self._due_at:
            return False
        self.state, self._probed_at = "half-open", now
        return True

    def hurry(self) -> None:
        """The next probe is due at once: somebody waits for it."""
        self._due_at = float("-inf")

    def succeeded(self, now: float) -> None:
        """The probe did."""
        self.state, self._closed_at, self._pause_s = "closed", now, PAUSE_S

    def failed(self) -> None:
        """The probe did."""
        self.state, self._due_at = "open", self._probed_at + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)

    def lost(self, now: float) -> None:
        """The server went away: it is tried again at once, unless that was just done."""
        if now - self._closed_at >= STEADY_S:
            self.proofs = 1
        self._open(self._probed_at + PAUSE_S)

    def slow(self, now: float) -> None:
        """An answer did not come in time."""
        lasted = now - self._closed_at >= STEADY_S
        self.proofs = SLOW_PROOFS if lasted else min(MOST_PROOFS, max(SLOW_PROOFS, 2 * self.proofs))
        self._open(now + PAUSE_S)

    def _open(self, due_at: float) -> None:
        self.state, self._due_at = "open", due_at
