"""The front door: the data plane's paths go straight to their handlers, all others to the control plane."""

from collections.abc import Mapping

from smart_router.api.asgi import Handler, Receive, Scope, Send


class Front:
    def __init__(self, data_plane: Mapping[str, Handler], control_plane: Handler) -> None:
        self._data_plane = data_plane
        self._control_plane = control_plane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._data_plane.get(scope["path"]) if scope["type"] == "http" else None
        await (handler or self._control_plane)(scope, receive, send)
