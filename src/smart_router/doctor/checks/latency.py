"""What does the router itself cost a follow-up?"""

from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, passed, warned

NAME = "latency"
SLOW_ROUTING_S = 0.1  # as the alert SmartRouterOverheadHigh has it
SLOW_WAY_S = 1.0
ROUTING = (
    "is it Redis (routing waits for the session), or a full core? docs/operations.md#smartrouteroverheadhigh, "
    "docs/operations.md#smartrouterredisslow"
)
WAY = "the way there takes the rest: network, TLS, or a proxy that holds answers back: docs/kubernetes.md#let-people-in"


async def check(there: Deployment) -> list[Finding]:
    """By the times in the answer to a follow-up, and ours."""
    record = there.facts.follow_up
    routing_s, total_s, way_s = record["routing_time"], record["total_time"], there.facts.follow_up_s
    share = f" ({routing_s / total_s:.1%})" if total_s else ""
    seen = (
        f"deciding took {routing_s * 1000:.2f} ms of {total_s * 1000:.0f}{share}; seen from here {way_s * 1000:.0f} ms"
    )
    if routing_s > SLOW_ROUTING_S:
        return [warned(NAME, seen, ROUTING)]
    return [warned(NAME, seen, WAY) if way_s - total_s > SLOW_WAY_S else passed(NAME, seen)]
