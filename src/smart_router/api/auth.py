"""Who is calling: a shared key, or anybody."""

import hashlib
import hmac

from smart_router.api.asgi import Scope
from smart_router.errors import Forbidden, Unauthorized
from smart_router.settings import Settings

ANYBODY = "anybody"


class Door:
    """Knows the shared key, if there is one. A caller is a digest: the key itself goes no further."""

    def __init__(self, settings: Settings) -> None:
        key = settings.api_key.get_secret_value().strip() if settings.api_key else ""
        self._digest = hashlib.sha256(key.encode()).digest() if key else None
        self._caller = self._digest.hex()[:16] if self._digest else ANYBODY

    @property
    def open(self) -> bool:
        return self._digest is None

    def caller(self, scope: Scope) -> str:
        """
        Raises:
            Unauthorized: the request carries the key neither as `Authorization: Bearer …` nor as `X-API-Key`.
        """
        if self._digest is None:
            return ANYBODY
        keys = [value for name, value in scope["headers"] if name == b"authorization"]
        if not keys:  # Anthropic's clients
            keys = [b"Bearer " + value for name, value in scope["headers"] if name == b"x-api-key"]
        scheme, _, key = keys[0].partition(b" ") if len(keys) == 1 else (b"", b"", b"")
        digest = hashlib.sha256(key.strip()).digest()
        if not hmac.compare_digest(digest, self._digest) or scheme.lower() != b"bearer":
            raise Unauthorized("send the router's key as `Authorization: Bearer <key>`")
        return self._caller

    def admin(self, scope: Scope) -> None:
        """
        Whoever has the shared key may administrate.

        Raises:
            Unauthorized: see `caller`.
            Forbidden: there is no key, so nobody can be told from anybody else.
        """
        if self._digest is None:
            raise Forbidden("only whoever has the key may do this, and no key is configured; set API_KEY")
        self.caller(scope)
