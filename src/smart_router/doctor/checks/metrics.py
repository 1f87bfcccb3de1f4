"""Can Prometheus read the metrics, and are those there that dashboards and alerts live on?"""

from smart_router.doctor.checks.models import OLD
from smart_router.doctor.deployment import NO_KEY, Answer, Deployment
from smart_router.doctor.finding import Finding, failed, passed, warned

NAME = "metrics"
PREFIX = "smart_router_"
WANTED = (
    *("requests", "bypass", "routing_seconds", "overhead_seconds", "time_to_first_token_seconds", "inference_seconds"),
    *("tokens", "in_flight", "replica_healthy", "upstream_failures", "limited", "redis_degraded", "model_state"),
)
BEHIND_A_KEY = (
    "give Prometheus a key of its own (`smart-router keys create --name prometheus --scope metrics`) in "
    "`authorization: {credentials_file: …}`, and doctor one with --key to look at them: "
    "docs/security.md#who-may-use-the-router"
)
KEPT_INSIDE = (
    "right where a proxy keeps them inside, as the compose file's does: then look from Prometheus' side "
    "(`/targets`); else pass the path on: docs/operations.md#metrics"
)
UNREADABLE = (
    "does a proxy change the text? `curl -s $ROUTER/metrics | promtool check metrics`: docs/operations.md#metrics"
)


async def check(there: Deployment) -> list[Finding]:
    """Without a key, as a Prometheus that has none would come, then with ours."""
    answer, how = await there.ask("GET", "/metrics", key=NO_KEY), "open to all"
    if answer.status in (401, 403) and there.key:
        answer, how = await there.get("/metrics"), "for keys only, ours among them"
    if answer.status in (401, 403):
        return [warned(NAME, f"behind a key: {answer.status}, {answer.told}", BEHIND_A_KEY)]
    if answer.status == 404:
        return [warned(NAME, "not at this address: /metrics answers 404", KEPT_INSIDE)]
    if answer.status != 200:
        return [failed(NAME, f"/metrics answers {answer.status}: {answer.told}", KEPT_INSIDE)]
    return [_judged(answer, how)]


def _judged(answer: Answer, how: str) -> Finding:
    from prometheus_client.parser import text_string_to_metric_families as families

    try:
        names = {family.name for family in families(answer.body.decode())}
    except ValueError as exc:
        return failed(NAME, f"cannot be parsed: {exc}", UNREADABLE)
    if lacking := [PREFIX + name for name in WANTED if PREFIX + name not in names]:
        return failed(NAME, f"{len(names)} families, but not {', '.join(lacking)}", OLD)
    return passed(NAME, f"{len(names)} families, {how}")
