"""Who is calling: a shared key, or anybody."""

import hashlib
import hmac

from smart_router.api.asgi import Scope
from smart_router.errors import Unauthorized
from smart_router.settings import Settings

ANYBODY = "anybody"


class Door:
    """Knows the shared key, if there is one. A caller is a digest: the key itself goes no further."""

    def __init__(self, settings: Settings) -> None:
        key = settings.api_key.get_secret_value().strip() if settings.api_key else ""
        self._digest = hashlib.sha256(key.encode()).digest() if key else None

    @property
    def open(self) -> bool:
        return self._digest is None

    def caller(self, scope: Scope) -> str:
        """
        Raises:
            Unauthorized: the request does not carry the key as `Authorization: Bearer …`.
        """
        if self._digest is None:
            return ANYBODY
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, key = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        digest = hashlib.sha256(key.strip()).digest()
        if scheme.lower() != b"bearer" or not hmac.compare_digest(digest, self._digest):
            raise Unauthorized("send the router's key as `Authorization: Bearer <key>`")
        return digest.hex()[:16]
