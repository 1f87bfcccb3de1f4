"""The front door looks a path up, and leaves the rest to the control plane."""

from typing import Any

import pytest

from smart_router.api.asgi import Handler
from smart_router.front import Front


@pytest.mark.parametrize(
    ("scope", "who"),
    [
        ({"type": "http", "path": "/route"}, "data"),
        ({"type": "http", "path": "/route/"}, "control"),
        ({"type": "http", "path": "/health"}, "control"),
        ({"type": "lifespan"}, "control"),
        ({"type": "websocket", "path": "/route"}, "control"),
    ],
)
async def test_only_the_data_planes_own_paths_skip_the_control_plane(scope: dict[str, Any], who: str) -> None:
    called: list[str] = []

    def handler(name: str) -> Handler:
        async def handle(scope: Any, receive: Any, send: Any) -> None:
            called.append(name)

        return handle

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nobody reads or writes here")

    await Front({"/route": handler("data")}, handler("control"))(scope, nothing, nothing)
    assert called == [who]
