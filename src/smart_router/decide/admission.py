"""
How many requests a caller may make: the generic cell rate algorithm (ITU-T I.371), a leaky bucket that keeps one
number, the theoretical arrival time (TAT): when the next request would come if all came evenly and none too soon.

In whole microseconds, as Redis tells the time: `sessions/rate.lua` does the same there.
"""

from smart_router.types import Admission, Rate

MINUTE_US = 60_000_000
SECOND_US = 1_000_000


def interval_us(rate: Rate) -> int:
    """Between requests that come evenly."""
    return MINUTE_US // rate.per_minute


def admit(tat_us: int | None, now_us: int, rate: Rate) -> tuple[Admission, int]:
    """
    *tat_us* as it was kept, None of a caller who has not been seen for a while; *now_us* on the same clock. Returns the
    one to keep.
    """
    interval = interval_us(rate)
    room = rate.burst * interval
    # It is later than a whole burst only if the clock was set back since: that is no reason to wait longer.
    start = now_us if tat_us is None else min(max(tat_us, now_us), now_us + room)
    ahead = start - now_us + interval
    if ahead > room:
        return admission(rate, False, 0, start - now_us, ahead - room), start
    return admission(rate, True, (room - ahead) // interval, ahead, 0), now_us + ahead


def admission(rate: Rate, admitted: bool, remaining: int, reset_us: int, retry_after_us: int) -> Admission:
    """From microseconds."""
    return Admission(rate, admitted, remaining, reset_us / SECOND_US, retry_after_us / SECOND_US)
