"""Is a replica fit to be asked? Two failures in a row say no, or one before the first success; one success says yes."""

from dataclasses import dataclass, replace

FAILURES_UNTIL_UNHEALTHY = 2  # one may be an accident
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """`healthy` is None until the first answer; times are seconds of a monotonic clock."""

    healthy: bool | None = None
    failures: int = 0  # in a row
    retry_at: float = 0.0  # an unhealthy replica may be tried again from here on
    response_time_s: float | None = None
    trouble: str = ""

    def usable(self, now: float) -> bool:
        """Healthy, unknown, or due for another try."""
        return self.healthy is not False or now >= self.retry_at


def succeeded(health: Health, response_time_s: float | None = None, remark: str = "") -> Health:
    """*response_time_s* of a health check; an answer to a request does not measure it. *remark*: it works, but."""
    time_s = health.response_time_s if response_time_s is None else response_time_s
    return replace(health, healthy=True, failures=0, retry_at=0.0, response_time_s=time_s, trouble=remark)


def failed(health: Health, now: float, trouble: str) -> Health:
    failures = health.failures + 1
    if failures < FAILURES_UNTIL_UNHEALTHY and health.healthy:
        return replace(health, failures=failures, trouble=trouble)
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(16, failures - 1))
    return Health(healthy=False, failures=failures, retry_at=now + pause, trouble=trouble)


def tried(health: Health, now: float) -> Health:
    """A request goes to an unhealthy replica to find out; others leave it alone meanwhile."""
    return replace(health, retry_at=now + FIRST_PAUSE_S)
