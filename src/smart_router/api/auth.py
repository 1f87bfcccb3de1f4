"""The door: what a request's key opens."""

from smart_router.access.keyring import KeyRing
from smart_router.api.asgi import Scope as Request
from smart_router.errors import Forbidden, Unauthorized
from smart_router.types import Grant, Scope


class Door:
    """Lets in whoever has a key, or anybody where there is none."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def enter(self, request: Request, *scopes: Scope) -> Grant:
        """
        What the caller may do, of which one of *scopes* is asked for here; without any, a key is enough.

        Raises:
            Unauthorized: the request carries no key that is known, as `Authorization: Bearer …` or `X-API-Key`.
            Forbidden: the key is known, but not for this.
        """
        grant = self._keys.anybody if self._keys.open else self._known(request)
        if scopes and grant.scopes.isdisjoint(scopes):
            raise Forbidden(self._not_for(grant, scopes))
        return grant

    def metrics(self, request: Request) -> None:
        """
        Open to all unless keys have scopes.

        Raises:
            Unauthorized, Forbidden
        """
        if self._keys.filed:
            self.enter(request, "metrics", "admin")

    def _known(self, request: Request) -> Grant:
        keys = [value for name, value in request["headers"] if name == b"authorization"]
        if not keys:  # Anthropic's clients
            keys = [b"Bearer " + value for name, value in request["headers"] if name == b"x-api-key"]
        scheme, _, key = keys[0].partition(b" ") if len(keys) == 1 else (b"", b"", b"")
        grant = self._keys.find(key.strip())
        if grant is None or scheme.lower() != b"bearer":
            raise Unauthorized("send the router's key as `Authorization: Bearer <key>`")
        return grant

    def _not_for(self, grant: Grant, scopes: tuple[Scope, ...]) -> str:
        if self._keys.open:
            return "only whoever has the key may do this, and no key is configured; set API_KEY or API_KEYS_FILE"
        return f"this key may {', '.join(sorted(grant.scopes))} only; use one with the scope {' or '.join(scopes)}"
