"""Does our key open the door?"""

from smart_router.doctor import refusals
from smart_router.doctor.deployment import NO_KEY, Deployment
from smart_router.doctor.finding import Finding, failed, passed

NAME = "key"
WRONG = (
    "compare --key or API_KEY with the router's API_KEY, or with `smart-router keys list --file` of its "
    "API_KEYS_FILE; a proxy in front must pass Authorization on: docs/security.md#who-may-use-the-router"
)
A_KEY_PATH = "/v1/models"  # wants a key of any scope
NOT_A_QUERY = {"doctor_asks": True}  # refused as it stands, after the key was looked at and before anything costs


async def check(there: Deployment) -> list[Finding]:
    """With it, what needs a key answers; without one, so it does where none is asked for."""
    listed = await there.get(A_KEY_PATH)
    if listed.status in (401, 403):
        if not there.key:
            return [failed(NAME, "the router wants a key, and none was given", refusals.KEY)]
        return [failed(NAME, f"refused with {refusals.seen(listed)}", WRONG)]
    routed = await there.post("/route", NOT_A_QUERY)
    if routed.status in (401, 403):
        return [failed(NAME, f"is known, but not for asking models: {routed.told}", refusals.SCOPE)]
    if (await there.ask("GET", A_KEY_PATH, key=NO_KEY)).status == 200:
        return [passed(NAME, "none is needed" + (": the one that was given is not looked at" if there.key else ""))]
    return [passed(NAME, "accepted, and may ask models")]
