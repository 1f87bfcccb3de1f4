"""Where are the sessions?"""

from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, failed, passed, warned

NAME = "redis"
GONE = (
    "bring Redis back, or correct REDIS_URL; routers find it again without a restart, and a restart now would lose "
    "the sessions: docs/operations.md#smartrouterredisdegraded"
)
ALONE = (
    "nothing for one router that may forget; set REDIS_URL where there are several, or where sessions must survive a "
    "restart: docs/configuration.md"
)


async def check(there: Deployment) -> list[Finding]:
    """By the word that `/health` has for it."""
    state = there.facts.health["bypass_router"]
    if state == "connected":
        return [passed(NAME, "connected: sessions are shared by all routers and survive a restart")]
    if state == "embedded":
        return [warned(NAME, "embedded: sessions live in the router's process and end with it", ALONE)]
    return [failed(NAME, f"{state}: Redis does not answer; sessions go on in the process, without what was said", GONE)]
