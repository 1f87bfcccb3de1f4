"""Can a client find out what it may ask for?"""

from smart_router.doctor import refusals
from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, failed, passed, warned

NAME = "model list"
AUTO = "auto"
OLD = (
    "an older router, or a proxy that answers in its place? compare `versions`; update the router: "
    "docs/deployment.md#updating"
)


async def check(there: Deployment) -> list[Finding]:
    """`GET /v1/models` has `auto`, use cases and models."""
    answer = await there.get("/v1/models")
    if answer.status != 200:
        return [failed(NAME, refusals.seen(answer), refusals.advice(answer))]
    entries = answer.json["data"]
    ids = [entry["id"] for entry in entries]
    if AUTO not in ids:
        return [failed(NAME, f"lists {', '.join(ids)[:200] or 'nothing'}, but not {AUTO}", OLD)]
    kinds = [entry["kind"] for entry in entries]
    seen = f"{AUTO}, {kinds.count('use_case')} use cases, {kinds.count('model')} models"
    away = [entry["id"] for entry in entries if not entry["available"]]
    return [warned(NAME, f"{seen}; not available: {', '.join(away)}", refusals.SERVER) if away else passed(NAME, seen)]
