"""What can be routed to?"""

from smart_router.doctor import refusals
from smart_router.doctor.checks.models import OLD
from smart_router.doctor.deployment import Deployment, Odd
from smart_router.doctor.finding import Finding, passed, warned

NAME = "use cases"
TELLS = ("id", "modalities", "models", "available", "default")


async def check(there: Deployment) -> list[Finding]:
    answer = await there.get("/use-cases")
    found = answer.json["use_cases"]
    lacking = sorted({name for use_case in found for name in TELLS if name not in use_case})
    if lacking or not found:
        raise Odd(f"/use-cases lacks {', '.join(lacking) or 'any entry'}: {OLD}")
    there.facts.use_cases = found
    names = ", ".join(use_case["id"] for use_case in found)
    away = [use_case["id"] for use_case in found if not use_case["available"]]
    return [
        warned(NAME, f"{names}; not available: {', '.join(away)}", refusals.SERVER) if away else passed(NAME, names)
    ]
