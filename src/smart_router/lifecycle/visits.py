"""Which sessions stand with a model: it answered them last of its group, and they may go on."""

from collections.abc import Callable

LIVE_S = (
    300.0  # as simulated, docs/model-lifecycle.md: who pauses for longer mostly comes no more, and keeps others out
)
MOST = 4096  # sessions of a model that are told apart; with more, the oldest count as gone


class Visits:
    """Noting one is on the path of every request: it is a few operations on a dict, the latest at its end."""

    __slots__ = ("_ended_s", "_last", "_now", "used_at")

    def __init__(self, now: Callable[[], float], ended_s: float) -> None:
        """A session is over *ended_s* after its last request, and counts as over after `LIVE_S`, if that is sooner."""
        self._now = now
        self._ended_s = min(ended_s, LIVE_S)
        self._last: dict[str, float] = {}
        self.used_at: float | None = None

    def note(self, session: str) -> bool:
        """It answers *session* now; whether that is news."""
        last = self._last
        new = last.pop(session, None) is None
        last[session] = self.used_at = self._now()
        if len(last) > MOST:
            del last[next(iter(last))]
        return new

    def forget(self, session: str) -> None:
        """Another model of the group answers it."""
        self._last.pop(session, None)

    def live(self) -> int:
        """How many sessions are not over."""
        over = self._now() - self._ended_s
        while self._last and self._last[oldest := next(iter(self._last))] <= over:
            del self._last[oldest]
        return len(self._last)
