"""Do the router's clock and ours agree?"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from smart_router.doctor.checks.models import OLD
from smart_router.doctor.deployment import Answer, Deployment
from smart_router.doctor.finding import Finding, failed, passed, warned

NAME = "clock"
ACCURACY_S = 1.0  # of a Date header
WARN_S, FAIL_S = 5.0, 60.0
SYNCHRONISE = (
    "synchronise both machines, and a proxy's between them (`timedatectl`, `chronyc tracking`): the times in "
    "sessions, logs, traces and dashboards do not fit together, and certificates may be refused: docs/doctor.md#clock"
)


async def check(there: Deployment) -> list[Finding]:
    """By the Date header, which a proxy may have set, and the router's own word in `/health`."""
    answer = await there.get("/health")
    now = datetime.now(UTC)
    clocks = _clocks(answer)
    if not clocks:
        return [failed(NAME, "no answer tells the time", OLD)]
    off = {name: _off_s(told, now, answer.seconds) for name, told in clocks.items()}
    furthest = max(off, key=lambda name: abs(off[name]))
    return [_judged(furthest, off[furthest])]


def _judged(name: str, off_s: float) -> Finding:
    if abs(off_s) < WARN_S:
        return passed(NAME, "within seconds of ours")
    way = "ahead of" if off_s > 0 else "behind"
    seen = f"{name} is {abs(off_s):.0f} s {way} the clock here"
    return (failed if abs(off_s) >= FAIL_S else warned)(NAME, seen, SYNCHRONISE)


def _clocks(answer: Answer) -> dict[str, datetime]:
    found = {}
    if date := answer.headers.get("date"):
        found["the Date header"] = parsedate_to_datetime(date)
    if told := answer.json.get("timestamp"):
        found["the router's clock"] = datetime.fromisoformat(told)
    return found


def _off_s(told: datetime, now: datetime, took_s: float) -> float:
    """How far *told* is ahead of *now*, as far as neither the header's accuracy nor the answer's way explains it."""
    off_s = (told - now).total_seconds()
    slack_s = ACCURACY_S + took_s
    return 0.0 if abs(off_s) <= slack_s else off_s
