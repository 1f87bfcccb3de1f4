"""
Is a link one that a model server may be made to follow?

Whoever names a link has a server inside the operator's network ask for it. So a host must be written as all readers
read it alike, and be public: a name with a dot that is not a private network's, or an address that the internet
routes. What reads an address otherwise than as four decimal numbers (`127.1`, `0x7f.1`, `2130706433`) is refused
whatever it means.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from smart_router.types import ANY

MOST_OF_A_URL = 8192  # characters

MOST_FRAMES = 128  # of a video sent as pictures in one data: URL

AS_DATA = "or send the file as a data: URL"
NOT_PUBLIC = f"must lead to a public host; use a public link, {AS_DATA}"

# As all readers read them alike: no user, no backslash, no percent sign, nothing beyond ASCII.
_URL = re.compile(r"(?i:https?)://(?P<authority>[^/?#]*)[^\\\x00-\x20\x7f-\xa0\u2028\u2029]*")
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Last labels of names that mean something else in every network.
_PRIVATE_NAMES = frozenset({
    "localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan", "svc",
})  # fmt: skip
_PRIVATE_ZONES = (".home.arpa", ".in-addr.arpa", ".ip6.arpa")

# The IANA's special-purpose registries, multicast, reserved, and the address at which Azure's hosts serve their guests.
_NOT_PUBLIC_V4 = tuple(map(IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)))  # fmt: skip
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_MAPPED, _NAT64, _6TO4 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")


@dataclass(frozen=True, slots=True)
class Refused:
    """*why*: what is wrong with the link, and what to send instead."""

    why: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Nothing is wrong with the link itself; it depends on the addresses of its *host*."""

    host: str


def judged(url: str, hosts: Sequence[str]) -> Refused | Lookup | None:
    """
    *hosts*: those that links may lead to, as `media_hosts` gives them.

    1. A data: URL is no link; but a server decodes each of its pictures.
    2. No hosts: no link is taken.
    3. What readers may read differently is refused.
    4. Hosts are listed: the link's is among them, whatever its addresses.
    5. Any public host: an address is judged, a name too, and what it resolves to is still to be seen.
    """
    if url[:5].lower() == "data:":
        return _frames(url)  # 1
    if not hosts:
        return Refused("links are not taken here; send the file as a data: URL")  # 2
    host = host_of(url)
    if isinstance(host, Refused):
        return host  # 3
    if ANY in hosts:
        return _public(host)  # 5
    if any(_covers(allowed, host) for allowed in hosts):
        return None  # 4
    return Refused(f"links are taken to {', '.join(hosts)} alone; use one of these, {AS_DATA}")


def leads_inside(addresses: Iterable[str]) -> bool:
    """Whether any of what a name resolves to is not the internet's."""
    return not all(is_public(ip_address(found.partition("%")[0])) for found in addresses)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """An IPv4 address inside one of IPv6 (mapped, NAT64, 6to4) counts as itself."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address in _MAPPED or address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _6TO4:
        return is_public(IPv4Address(int(address) >> 80 & 0xFFFFFFFF))
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def media_hosts(entries: Iterable[str]) -> tuple[str, ...]:
    """
    The setting: `*` for any public host, `none` for none, or names, `*.example.com` and addresses.

    Raises:
        ValueError: an entry is none of these.
    """
    found = tuple(entry.strip().lower() for entry in entries if entry.strip())
    if len(found) == 1 and found[0] in (ANY, "none"):
        return (ANY,) if found[0] == ANY else ()
    for entry in found:
        if _read(entry.removeprefix("*.")) is None:
            raise ValueError(f"must be *, none, or hosts such as cdn.example.org, *.example.com; {entry!r} is no host")
    return found


def host_of(url: str) -> str | Refused:
    """The host, in lower case and without a last dot, that all readers agree on."""
    if len(url) > MOST_OF_A_URL:
        return Refused(f"must have at most {MOST_OF_A_URL} characters; use a shorter link, {AS_DATA}")
    found = _URL.fullmatch(url)
    if found is None:
        return Refused(f"must be an http:// or https:// address without spaces and backslashes; use one, {AS_DATA}")
    authority = found["authority"]
    if "@" in authority:
        return Refused(f"must not hold a user or password; use a link without, {AS_DATA}")
    parts = _AUTHORITY.fullmatch(authority)
    host = _read(parts["v6"] or parts["host"].lower()) if parts else None
    if host is None:
        return Refused(f"has a host that is not plainly written; write its name in ASCII (xn--…), {AS_DATA}")
    return host


def _frames(url: str) -> Refused | None:
    if url.count(",") <= MOST_FRAMES:
        return None
    return Refused(f"must hold at most {MOST_FRAMES} pictures; send fewer")


def _read(host: str) -> str | None:
    """None: not a name, nor an address in its usual form."""
    if ":" in host or _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        try:
            return str(ip_address(host))
        except ValueError:
            return None
    name = host.removesuffix(".")
    return name if len(name) < 254 and _NAME.fullmatch(name) else None


def _public(host: str) -> Refused | Lookup | None:
    inside = Refused(NOT_PUBLIC)
    try:
        return None if is_public(ip_address(host)) else inside
    except ValueError:
        name, last = host, host.rpartition(".")[2]
    if "." not in name or last in _PRIVATE_NAMES or f".{name}".endswith(_PRIVATE_ZONES):
        return inside
    return Lookup(name)


def _covers(allowed: str, host: str) -> bool:
    if allowed.startswith("*."):
        return host.endswith(allowed[1:])
    return host == _read(allowed)
