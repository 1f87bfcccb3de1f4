"""
URLs that name several servers: `sentinel://` and `cluster://`, with an s at the end or `?tls=true` for TLS.

The other options are those of `redis://` URLs (`rediss://` with TLS), and hold for every server.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec
from msgspec.structs import replace

from smart_router.errors import ConfigurationError
from smart_router.sessions.address import Address

SENTINEL_PORT, REDIS_PORT = 26379, 6379  # where a URL says none
OF_SENTINELS = ("sentinel_username", "sentinel_password")  # options
YES, NO = ("true", "1", "yes"), ("false", "0", "no")
FORMS = {
    "sentinel": "sentinel://[user:password@]host:port[,host:port...]/master-name[/db]",
    "cluster": "cluster://[user:password@]host:port[,host:port...]",
}

_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:@\s]+)(?::([0-9]{1,5}))?")


class Sentinels(msgspec.Struct, frozen=True):
    """Whom to ask for the master called *name*; *master* is its address but for host and port."""

    sentinels: tuple[Address, ...]
    name: str
    master: Address


def read_sentinels(url: str) -> Sentinels:
    """
    Raises:
        ConfigurationError: it is no such URL.
    """
    read = _Read.of(url, "sentinel", SENTINEL_PORT)
    name, _, db = read.path.strip("/").partition("/")
    if not name:
        _refuse("sentinel", "the master's name is missing")
    if db and not db.isdecimal():
        _refuse("sentinel", "the database is no number")
    sentinels = tuple(replace(one, greeting=_credentials(one)) for one in read.addresses(read.sentinel_user))
    return Sentinels(sentinels, unquote(name), read.addresses(read.user, f"/{db}")[0])


def read_cluster(url: str) -> tuple[Address, ...]:
    """
    Nodes to begin with.

    Raises:
        ConfigurationError: it is no such URL.
    """
    read = _Read.of(url, "cluster", REDIS_PORT)
    addresses = read.addresses(read.user)
    if read.path.strip("/") not in ("", "0") or any(command[0] == "SELECT" for command in addresses[0].greeting):
        _refuse("cluster", "a cluster has only database 0")
    return addresses


class _Read(NamedTuple):
    """A URL's parts. What follows `//` up to `@` is kept as it came, with the `@`: percent-encoded."""

    kind: str
    tls: bool
    user: str
    sentinel_user: str
    places: list[tuple[str, int]]
    path: str
    options: dict[str, str]

    @classmethod
    def of(cls, url: str, kind: str, port: int) -> "_Read":
        try:
            parts = urlsplit(url)
        except ValueError:  # of brackets
            _refuse(kind, "a host is not a name or an address")
        options = dict(reversed(parse_qsl(parts.query, keep_blank_values=True)))  # the first one counts
        tls = _is_yes(kind, options.pop("tls", "false")) or parts.scheme.endswith("s")
        user, at, hosts = parts.netloc.rpartition("@")
        places = [_place(kind, text, port) for text in hosts.split(",")]
        sentinel_user = _sentinel_user(options, user + at)
        rest = {name: value for name, value in options.items() if name not in OF_SENTINELS}
        return cls(kind, tls, user + at, sentinel_user, places, parts.path, rest)

    def addresses(self, user: str, path: str = "") -> tuple[Address, ...]:
        scheme = "rediss" if self.tls else "redis"
        query = f"?{urlencode(self.options)}" if self.options else ""
        try:
            return tuple(Address.of(f"{scheme}://{user}{host}:{port}{path}{query}") for host, port in self.places)
        except ValueError as exc:  # an option's value, say
            raise ConfigurationError(f"REDIS_URL: {exc}") from None


def _is_yes(kind: str, value: str) -> bool:
    if value.lower() not in YES + NO:
        _refuse(kind, "tls is true or false")
    return value.lower() in YES


def _place(kind: str, text: str, default_port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found[2] or default_port) if found else 0
    if not found or not 0 < port < 65536:  # the text is not shown: it may be a password
        _refuse(kind, "a host or its port cannot be read; percent-encode special characters of the password")
    return found[1], port


def _sentinel_user(options: Mapping[str, str], user: str) -> str:
    """Who we are to the sentinels: the same as to the master, unless an option says otherwise; an empty one: nobody."""
    if not any(name in options for name in OF_SENTINELS):
        return user
    name, password = (quote(options.get(option, ""), safe="") for option in OF_SENTINELS)
    return f"{name}:{password}@" if name or password else ""


def _credentials(address: Address) -> tuple[tuple[str | int, ...], ...]:
    """A sentinel has no databases."""
    return tuple(command for command in address.greeting if command[0] == "AUTH")


def _refuse(kind: str, reason: str) -> NoReturn:
    raise ConfigurationError(f"REDIS_URL: {reason}; it must look like {FORMS[kind]}")
