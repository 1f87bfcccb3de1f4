"""Does the door stay shut for others?"""

import asyncio
import secrets
import socket
from ipaddress import ip_address

import httpx2

from smart_router.doctor.checks.key import A_KEY_PATH
from smart_router.doctor.deployment import NO_KEY, Deployment
from smart_router.doctor.finding import Finding, failed, passed, warned

NAME = "invalid key"
LET_IN = (
    "something in front answers in the router's place, or adds a key of its own to every request: find out which, "
    "before others do: docs/security.md#who-may-use-the-router"
)
OPEN = (
    "set API_KEY (for example to what `openssl rand -hex 32` prints) or API_KEYS_FILE, and restart the router; is it "
    "meant so, see that a firewall keeps others away: docs/security.md#who-may-use-the-router"
)


async def check(there: Deployment) -> list[Finding]:
    """An invented key and none at all are refused with 401; a router without keys must be out of others' reach."""
    invented = await there.ask("GET", A_KEY_PATH, key=f"sr-doctor-{secrets.token_hex(16)}")
    without = await there.ask("GET", A_KEY_PATH, key=NO_KEY)
    if (invented.status, without.status) == (401, 401):
        return [passed(NAME, "refused with 401, as is none at all")]
    if invented.status == without.status == 200:
        return [await _open(there)]
    return [failed(NAME, f"answered with {invented.status}, none at all with {without.status}; 401 is right", LET_IN)]


async def _open(there: Deployment) -> Finding:
    host = httpx2.URL(there.url).host
    if await asyncio.to_thread(is_loopback, host):
        return passed(NAME, "any is accepted, as none is configured: for whoever is on this machine")
    return warned(NAME, f"any is accepted: whoever reaches {host} can use the router", OPEN)


def is_loopback(host: str) -> bool:
    """Whether all addresses that *host* stands for can only be reached from this machine."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
