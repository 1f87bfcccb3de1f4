"""What hostile users send. Each must be refused with a 4xx; anything else is the router's fault."""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from loadtests.asking import CHAT, ROUTE

Header = tuple[str, str]

JSON: Header = ("Content-Type", "application/json")
HUGE = 33 * 1024 * 1024  # bytes, a little more than MAX_BODY_BYTES allows by default
ANSWERED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Attack:
    """*needs_key*: means something only where the router asks for a key; it does not show the right one."""

    name: str
    path: str
    body: bytes = b""
    headers: tuple[Header, ...] = (JSON,)
    method: str = "POST"
    needs_key: bool = False


def attacks(router_has_key: bool) -> tuple[Attack, ...]:
    return tuple(attack for attack in ATTACKS if router_has_key or not attack.needs_key)


def send(attack: Attack, url: str, key: str) -> int:
    """
    The status of the answer. Paths and headers go out as they stand, which most HTTP clients would not do.

    Raises:
        OSError, http.client.HTTPException: there was no answer.
    """
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=ANSWERED_WITHIN_S)
    try:
        connection.putrequest(attack.method, attack.path, skip_accept_encoding=True)
        for header in _headers(attack, key):
            connection.putheader(*header)
        connection.endheaders(attack.body)
        return connection.getresponse().status
    finally:
        connection.close()


def _headers(attack: Attack, key: str) -> tuple[Header, ...]:
    own = () if any(name in LENGTHS for name, _ in attack.headers) else (("Content-Length", str(len(attack.body))),)
    shown = (("Authorization", f"Bearer {key}"),) if key and not attack.needs_key else ()
    return (*own, *shown, *attack.headers)


LENGTHS = {"Content-Length", "Transfer-Encoding"}


def _say(**fields: object) -> bytes:
    return json.dumps(fields).encode()


_QUERY = _say(query="Write a haiku about rain", max_tokens=4)
_CHAT = _say(model="auto", messages=[{"role": "user", "content": "Write a haiku"}], max_tokens=4)
_PICTURE = {"type": "image", "media_type": "image/png"}

ATTACKS = (
    Attack("broken JSON", ROUTE, b'{"query": "Write a haiku'),
    Attack("broken JSON", CHAT, b'{"model": "auto", "messages": ['),
    Attack("not UTF-8", ROUTE, b'{"query": "\xff\xfe"}'),
    Attack("nothing at all", ROUTE),
    Attack("a list", CHAT, b"[1, 2, 3]"),
    Attack("deep nesting", ROUTE, b'{"query": "x", "context": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}"),
    Attack("unknown field", ROUTE, _say(query="Write a haiku", tenant="admin", is_admin=True)),
    Attack("wrong types", ROUTE, _say(query=["Write a haiku"], max_tokens="many")),
    Attack("empty query", ROUTE, _say(query="   ")),
    Attack("endless query", ROUTE, _say(query="haiku " * 200_000)),  # 1.2 MB
    Attack("session id with line breaks", ROUTE, _say(query="Write a haiku", session_id="a\r\nSet-Cookie: b=c")),
    Attack("NUL character", ROUTE, _say(query="Write a haiku\0")),
    Attack("no base64", ROUTE, _say(query="Look", attachments=[_PICTURE | {"data": "%%%"}])),
    Attack("local file", ROUTE, _say(query="Look", attachments=[{"type": "image", "url": "file:///etc/passwd"}])),
    Attack("unknown model", CHAT, _say(model="gpt-99", messages=[{"role": "user", "content": "Hello"}])),
    Attack("unknown use case", ROUTE, _say(query="Write a haiku", use_case="root")),
    Attack("claims to be huge", ROUTE, b"{}", (JSON, ("Content-Length", str(HUGE)))),
    Attack("another media type", ROUTE, b"<query/>", (("Content-Type", "application/xml"),)),
    Attack("claims to be compressed", ROUTE, _QUERY, (JSON, ("Content-Encoding", "gzip"))),
    Attack("wrong key", ROUTE, _QUERY, (JSON, ("Authorization", "Bearer not-the-key")), needs_key=True),
    Attack("wrong key", CHAT, _CHAT, (JSON, ("X-API-Key", "not-the-key")), needs_key=True),
    Attack("no key", ROUTE, _QUERY, needs_key=True),
    Attack("path out of the table", "/v1/../metrics"),
    Attack("encoded path trick", "/v1/%2e%2e/%2e%2e/etc/passwd"),
    Attack("upstream's sleep", "/sleep?level=2"),
    Attack("upstream's own call", "/v1/collective_rpc", _say(method="shutdown")),
    Attack("doubled slash", "//route", _QUERY),
    Attack("two lengths", ROUTE, _QUERY, (JSON, ("Content-Length", "1"), ("Content-Length", "2"))),
    Attack("length and chunks", ROUTE, b"0\r\n\r\n", (JSON, ("Content-Length", "5"), ("Transfer-Encoding", "chunked"))),
    Attack("wrong method", ROUTE, method="PUT"),
)  # fmt: skip
