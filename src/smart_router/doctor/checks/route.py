"""Does each use case answer? A few tokens of each."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, cast

import httpx2

from smart_router.doctor import refusals
from smart_router.doctor.checks.models import OLD
from smart_router.doctor.deployment import Answer, Deployment, Media
from smart_router.doctor.finding import Finding, failed, passed, skipped, warned

NAME = "route"
AT_ONCE = 4
MOST = 40  # use cases that are asked; a deployment with more is asked for the first
ROUNDS = -(-MOST // AT_ONCE)
MAX_TOKENS = 8
FIELDS = (
    *("success", "result", "use_case", "selected_model", "confidence", "reason", "bypass_used", "context_changed"),
    *("session_id", "new_session", "routing_time", "inference_time", "total_time", "usage", "request_id"),
)
# What the shipped use cases are about; of any other, a file is attached where it takes no text alone.
ATTACHED: Mapping[str, Media] = {"multimodal": "image", "video": "video", "stt": "audio"}
QUERIES: Mapping[Media | None, str] = {
    None: "Say hello in one word.",
    "image": "What colour is the frame of this picture? One word.",
    "audio": "What can be heard here? One word.",
    "video": "What moves in this film? One word.",
}
ASLEEP = (
    "wake it with `smart-router models load ID`, then look again; doctor does not, as another model may have to make "
    "room: docs/model-lifecycle.md#states"
)


async def check(there: Deployment) -> list[Finding]:
    """One finding per use case of `/use-cases`."""
    places, sleepers = asyncio.Semaphore(AT_ONCE), _asleep(there.facts.health)

    async def one(use_case: dict[str, Any]) -> Finding:
        async with places:
            return await _asked(there, use_case, sleepers)

    return await asyncio.gather(*map(one, there.facts.use_cases[:MOST]))


async def _asked(there: Deployment, use_case: dict[str, Any], sleepers: set[str]) -> Finding:
    name = f"{NAME}: {use_case['id']}"
    if use_case["models"] and sleepers.issuperset(use_case["models"]):
        return skipped(name, f"{', '.join(use_case['models'])} sleeps", ASLEEP)
    try:
        async with asyncio.timeout(there.patience_s):
            answer = await there.post("/route", request_for(there, use_case))
    except TimeoutError:
        return failed(name, f"no answer within {there.patience_s:.3g} s", refusals.SLOW)
    except httpx2.HTTPError as exc:
        return failed(name, f"the connection broke: {exc!r}", refusals.GATEWAY)
    return _judged(there, name, use_case, answer)


def request_for(there: Deployment, use_case: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Words alone where the use case takes them."""
    kind = _kind(use_case)
    body = {"query": QUERIES[kind], "use_case": use_case["id"], "max_tokens": MAX_TOKENS, "remember": False}
    if kind is not None:
        data, media_type = there.samples[kind]()
        body["attachments"] = [{"type": kind, "data": base64.b64encode(data).decode(), "media_type": media_type}]
    return body | {"session_id": there.session()} | more


def _kind(use_case: dict[str, Any]) -> Media | None:
    takes = use_case["modalities"]
    known = ATTACHED.get(use_case["id"])
    if known in takes:
        return known
    return None if "text" in takes or not takes else cast(Media, takes[0])


def _judged(there: Deployment, name: str, use_case: dict[str, Any], answer: Answer) -> Finding:
    if answer.status != 200:
        return failed(name, refusals.seen(answer), refusals.advice(answer))
    record = answer.json
    if lacking := [field for field in FIELDS if field not in record]:
        return failed(name, f"the answer lacks {', '.join(lacking)}", OLD)
    if record["use_case"] != use_case["id"]:
        return failed(name, f"went to {record['use_case']}, though {use_case['id']} was asked for", OLD)
    there.facts.answered.append(use_case["id"])
    seen = f"{record['selected_model']} answered in {answer.seconds:.2f} s"
    if instead_of := record.get("fallback_from"):
        return warned(name, f"{seen}, in place of {instead_of}", refusals.SERVER)
    return passed(name, seen)


def _asleep(health: dict[str, Any]) -> set[str]:
    """Models of which every replica sleeps."""
    states: dict[str, set[str]] = {}
    for group in health["model_endpoints"].values():
        for replica in group.get("replicas", []):
            states.setdefault(replica["model"], set()).add(replica["status"])
    return {model for model, seen in states.items() if seen == {"asleep"}}
