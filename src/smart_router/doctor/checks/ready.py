"""Would a load balancer send requests here?"""

from smart_router.doctor import refusals
from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, failed, passed

NAME = "ready"
STOPS = (
    "it was told to stop and ends after DRAIN_DELAY; ask another router, or start it again: "
    "docs/operations.md#start-and-stop"
)


async def check(there: Deployment) -> list[Finding]:
    answer = await there.get("/ready")
    if answer.status == 200:
        return [passed(NAME, "takes requests")]
    why = str(answer.json.get("status", answer.told))
    return [failed(NAME, f"{answer.status}: {why}", STOPS if why == "about to stop" else refusals.SERVER)]
