"""Does anybody answer at the address?"""

import ssl

import httpx2

from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, failed, passed

NAME = "reachable"
START = (
    "start one with `smart-router serve` (`smart-router demo --stay` to try it out), or give its address with --url "
    "or SMART_ROUTER_URL; for other machines it needs `serve --host 0.0.0.0`: docs/operations.md#start-and-stop"
)
CERTIFICATE = "mend the certificate, or name its authority with SSL_CERT_FILE: docs/deployment.md#https"
SCHEME = "is it http:// rather than https://, or the other way round? docs/deployment.md#https"


async def check(there: Deployment) -> list[Finding]:
    """A 200 or any other answer: somebody is there."""
    try:
        answer = await there.get("/livez")
    except httpx2.ConnectTimeout:
        return [failed(NAME, f"{there.url} takes no connection", f"a firewall, or another address? {START}")]
    except httpx2.ConnectError as exc:
        advice = CERTIFICATE if _is_about_a_certificate(exc) else START
        return [failed(NAME, f"nobody at {there.url}: {exc}", advice)]
    except httpx2.ProtocolError as exc:
        return [failed(NAME, f"{there.url} does not speak HTTP: {exc}", SCHEME)]
    return [passed(NAME, f"{there.url} answers in {answer.seconds * 1000:.0f} ms")]


def _is_about_a_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
