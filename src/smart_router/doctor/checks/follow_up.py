"""Does a follow-up skip the classification?"""

from typing import Any

from smart_router.doctor import refusals
from smart_router.doctor.checks.route import request_for
from smart_router.doctor.deployment import Answer, Deployment
from smart_router.doctor.finding import Finding, failed, passed, warned

NAME = "follow-up bypass"
QUERY = "Please continue."  # without a word that could mean another use case
MAX_TOKENS = 8
STANDARD = (
    "ROUTING_MODE is standard: every turn is classified. Is it not meant so, set ROUTING_MODE=realtime: "
    "docs/configuration.md"
)
LOST = (
    "the session was not found again: routers behind one address must share a Redis (the same REDIS_URL), and "
    "SESSION_TIMEOUT and Redis' maxmemory must leave sessions alive: docs/operations.md#smartrouterbypassratelow"
)
ALARMED = (
    "see `because` of POST /classify; GUARD_THRESHOLD, or examples and `smart-router classifier train`: "
    "docs/operations.md#smartrouterbypassratelow"
)


async def check(there: Deployment) -> list[Finding]:
    """Two turns of one session; the second says nothing of its use case."""
    session = there.session()
    first = await there.post("/route", request_for(there, _use_case(there), session_id=session))
    if first.status != 200:
        return [failed(NAME, f"the first turn: {refusals.seen(first)}", refusals.advice(first))]
    body = {"query": QUERY, "session_id": session, "max_tokens": MAX_TOKENS, "remember": False}
    second = await there.post("/route", body)
    if second.status != 200:
        return [failed(NAME, f"the follow-up: {refusals.seen(second)}", refusals.advice(second))]
    record = there.facts.follow_up = second.json
    there.facts.follow_up_s = second.seconds
    return [_judged(record, await there.get(f"/sessions/{session}"))]


def _use_case(there: Deployment) -> dict[str, Any]:
    """The default one if it answered, else the first that did."""
    answered = [use_case for use_case in there.facts.use_cases if use_case["id"] in there.facts.answered]
    return min(answered, key=lambda use_case: not use_case["default"])


def _judged(record: dict[str, Any], session: Answer) -> Finding:
    took = f"{record['routing_time'] * 1000:.2f} ms"
    if record["bypass_used"]:
        return passed(NAME, f"stayed with {record['use_case']} without classification, decided in {took}")
    if record["new_session"] or session.status != 200:
        return failed(NAME, "was taken for a first turn", LOST)
    if session.json["bypass_enabled"] is False:
        return warned(NAME, f"is off: the follow-up was classified, in {took}", STANDARD)
    return warned(NAME, f"was classified, in {took}, though bypass is on: its words alarmed the guard", ALARMED)
