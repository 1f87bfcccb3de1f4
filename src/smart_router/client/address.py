"""Which router is meant, and with which key."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from smart_router import __version__
from smart_router.client.errors import BadInput

DEFAULT_URL = "http://localhost:8001"
URL_VARIABLE = "SMART_ROUTER_URL"
KEY_VARIABLE = "API_KEY"
_SENDABLE = re.compile(r"[\x21-\x7e]+")  # what a header can carry without spaces


class Address(Struct, frozen=True):
    """A router's *url*, without a slash at its end, and the *key* to it."""

    url: str
    key: str | None = None

    @classmethod
    def of(cls, url: str | None, key: str | None, environment: Mapping[str, str] = os.environ) -> "Address":
        """
        What is given, else what the *environment* says, else a router on this machine.

        Raises:
            BadInput: the address is none, or no header can carry the key.
        """
        url = (url or environment.get(URL_VARIABLE) or DEFAULT_URL).strip()
        key = (key or environment.get(KEY_VARIABLE) or "").strip() or None
        _check_url(url)
        if key is not None and not _SENDABLE.fullmatch(key):
            raise BadInput("key: has characters in it that no header can carry; give it as it was made")
        return cls(url.rstrip("/"), key)

    def __repr__(self) -> str:
        return f"Address({self.url!r})"

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        own = {"User-Agent": f"smart-router-client/{__version__}"}
        return own | ({"Authorization": f"Bearer {self.key}"} if self.key else {})


def _check_url(url: str) -> None:
    """A password would take the key's place in requests, and stand in every message."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise BadInput("url: has a user name or a password in it; leave them out, and give the router's key as key")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise BadInput(f"url: {url!r} is no address of a router; give one such as {DEFAULT_URL}")
    if parts.query or parts.fragment:
        raise BadInput(f"url: {url!r} has more to it than an address; leave out what follows ? or #")
