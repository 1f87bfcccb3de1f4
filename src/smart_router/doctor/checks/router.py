"""Is it a smart-router that answers?"""

from smart_router.doctor.deployment import Answer, Deployment, Odd
from smart_router.doctor.finding import Finding, failed, passed

NAME = "router"
OTHER = (
    "give the router's address with --url or SMART_ROUTER_URL: it listens on ROUTER_PORT, 8001 unless set, the model "
    "servers on 8000, 8002 and 8003: docs/configuration.md"
)
BEHIND = "start the router behind that proxy, or correct where the proxy sends requests: docs/deployment.md#https"
MOVED = "give --url the address that it redirects to"
TELLS = ("status", "bypass_router", "model_endpoints")


async def check(there: Deployment) -> list[Finding]:
    """`/health` has the fields of ours."""
    answer = await there.get("/health")
    if answer.status in (502, 503, 504):
        return [failed(NAME, f"a proxy{_named(answer)} answers {answer.status}: no router behind it", BEHIND)]
    if 300 <= answer.status < 400:
        return [failed(NAME, f"redirects to {answer.headers.get('location', 'nowhere')}", MOVED)]
    health = _health(answer)
    if health is None:
        return [failed(NAME, f"another service{_named(answer)}: /health answers {answer.status}, {answer.told}", OTHER)]
    there.facts.health = health
    return [passed(NAME, f"a smart-router, {health['status']}")]


def _health(answer: Answer) -> dict[str, object] | None:
    try:
        health = answer.json
    except Odd:
        return None
    return health if answer.status == 200 and all(name in health for name in TELLS) else None


def _named(answer: Answer) -> str:
    server = answer.headers.get("server", "")
    return f" ({server[:60]})" if server else ""
