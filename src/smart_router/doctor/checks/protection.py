"""Do answers carry what protects browsers, and do keys travel unseen?"""

import asyncio

import httpx2

from smart_router.doctor.checks.door import is_loopback
from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, passed, warned

NAME = "security headers"
WANTED = ("X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy")
SERVE = (
    "run the router with `smart-router serve` rather than under another server, and have proxies pass its headers "
    "on: docs/security.md#in-browsers"
)
ENCRYPT = "put TLS in front, and give --url https://…: docs/deployment.md#https"


async def check(there: Deployment) -> list[Finding]:
    answer = await there.get("/livez")
    found = [_headers(answer.headers)]
    url = httpx2.URL(there.url)
    if there.key and url.scheme == "http" and not await asyncio.to_thread(is_loopback, url.host):
        found.append(warned("encryption", f"the key goes to {url.host} in the clear", ENCRYPT))
    return found


def _headers(headers: httpx2.Headers) -> Finding:
    if lacking := [name for name in WANTED if name not in headers]:
        return warned(NAME, f"answers lack {', '.join(lacking)}", SERVE)
    return passed(NAME, ", ".join(WANTED))
