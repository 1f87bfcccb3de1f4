"""The front door: the data plane's paths go straight to their handlers, all others to the control plane."""

from collections.abc import Mapping

from smart_router.api.asgi import Handler, Receive, Scope, Send


class Front:
    """*data_plane*: path -> handler; *prefixes*: the same for all paths that begin so."""

    def __init__(
        self, data_plane: Mapping[str, Handler], control_plane: Handler, prefixes: Mapping[str, Handler] | None = None
    ) -> None:
        self._data_plane = data_plane
        self._control_plane = control_plane
        self._prefixes = tuple((prefixes or {}).items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler(scope)(scope, receive, send)

    def _handler(self, scope: Scope) -> Handler:
        if scope["type"] != "http":
            return self._control_plane
        path = scope["path"]
        handler = self._data_plane.get(path)
        if handler is not None:
            return handler
        return next((handler for prefix, handler in self._prefixes if path.startswith(prefix)), self._control_plane)
