"""
Endpoints that stand for several: `dns+http://name:port` is `http://address:port` for every address of the name.

This is how replicas come and go without a restart: behind the name of a Kubernetes headless service, or of a Compose
service that is scaled, there is an address per server.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEME = "dns+http"

# Host and port in, addresses out. Raises OSError (socket.gaierror) when the name cannot be resolved now.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Name:
    """A name that stands for addresses; `path` is what every one of them gets after the port."""

    host: str
    port: int
    path: str = ""

    def endpoints(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Sorted, as name servers shuffle."""
        return tuple(f"http://{_bracketed(found)}:{self.port}{self.path}" for found in sorted(set(addresses)))


def name_of(endpoint: str) -> Name | None:
    """None for an endpoint that is an address itself."""
    parts = urlsplit(endpoint)
    if parts.scheme != SCHEME:
        return None
    return Name(parts.hostname or "", parts.port or 80, parts.path.rstrip("/"))


async def resolve(host: str, port: int) -> Sequence[str]:
    """IPv4 and IPv6, as the system resolves: hosts file, name server, search domains."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
