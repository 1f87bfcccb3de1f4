"""Are router and command of one version?"""

import re

from smart_router import __version__
from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, passed, warned

NAME = "versions"
UPDATE = (
    "update the older of the two: docs/deployment.md#updating (router), `pip install -U smart-router` (this command)"
)
UNTOLD = (
    "it may be an older one, or a proxy keeps /openapi.json inside; `smart-router --help` works all the same: "
    "docs/deployment.md#updating"
)
SERVERS = "what the model servers run, they tell by themselves (`curl <endpoint>/version`)"


async def check(there: Deployment) -> list[Finding]:
    """By `info.version` of its API description."""
    answer = await there.get("/openapi.json")
    if answer.status != 200:
        return [warned(NAME, f"the router does not tell: /openapi.json answers {answer.status}", UNTOLD)]
    theirs = str(answer.json["info"]["version"])
    if theirs == __version__:
        return [passed(NAME, f"{theirs}, router and this command alike; {SERVERS}")]
    older = "the router is older" if _parts(theirs) < _parts(__version__) else "this command is older"
    return [warned(NAME, f"router {theirs[:40]}, this command {__version__}: {older}", UPDATE)]


def _parts(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d{1,9}", version)[:4]]
