"""How the model servers are, as the router sees them: one finding per group of `/health`."""

from typing import Any

from smart_router.doctor import refusals
from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, failed, passed, warned

NAME = "model servers"
WAIT = "the first health checks are under way: look again in a few seconds (HEALTH_INTERVAL)"
SOME = (
    "others answer for it meanwhile; see `trouble` of the replica in /health and its server's log: "
    "docs/operations.md#smartrouterreplicadown"
)
# What a trouble speaks of, and what helps; in this order, else the server is not there.
MENDS = (
    ("served_as", refusals.MISSING),
    ("ollama pull", refusals.MISSING),
    ("api_key", refusals.LOCKED),
    ("asleep", refusals.WAKING),
    ("awake", refusals.WAKING),
    ("wake_up", refusals.WAKING),
)
NONE = "the registry names no model: docs/configuration.md"


async def check(there: Deployment) -> list[Finding]:
    groups: dict[str, dict[str, Any]] = there.facts.health["model_endpoints"]
    return [_finding(f"{NAME}: {name}", group) for name, group in groups.items()] or [failed(NAME, "none", NONE)]


def _finding(name: str, group: dict[str, Any]) -> Finding:
    status, replicas = group["status"], group.get("replicas", [])
    models = ", ".join(dict.fromkeys(replica["model"] for replica in replicas))
    if status == "healthy":
        asleep = all(replica["status"] == "asleep" for replica in replicas)
        return passed(name, f"{models} at {group['endpoint']} {'sleeps, and can be woken' if asleep else 'is healthy'}")
    if status == "degraded":
        return warned(name, f"{models}: {_troubles(replicas)}", SOME)
    if status == "unknown":
        return warned(name, f"{models} at {group['endpoint']}: not known yet", WAIT)
    troubles = _troubles(replicas)
    return failed(name, f"{models or group['endpoint']}: {troubles}", _advice(troubles))


def _troubles(replicas: list[dict[str, Any]]) -> str:
    told = (f"{replica['endpoint']} {trouble}" for replica in replicas if (trouble := _trouble(replica)))
    return "; ".join(told) or "no address is known for it"


def _trouble(replica: dict[str, Any]) -> str:
    """Empty where there is none."""
    if trouble := replica.get("trouble"):
        return str(trouble)
    return "asked to be left alone" if replica.get("resting") else "fails requests" if replica.get("ejected") else ""


def _advice(troubles: str) -> str:
    return next((advice for word, advice in MENDS if word in troubles), refusals.SERVER)
