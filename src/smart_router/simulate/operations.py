"""The paths by which a server is watched."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from smart_router.simulate import metrics
from smart_router.simulate.simulation import simulation

VERSION = "0.32.0+simulated"  # the vLLM that is imitated
OWNER = "smart-router-simulator"

_STARTED = int(time.time())


async def health(request: Request) -> Response:
    return Response()


async def version(request: Request) -> Response:
    return JSONResponse({"version": VERSION})


async def load(request: Request) -> Response:
    """The running requests, as the real server tells them with `--enable-server-load-tracking`."""
    return JSONResponse({"server_load": simulation(request).engine.running})


async def metrics_page(request: Request) -> Response:
    return Response(simulation(request).metrics.page(), headers={"content-type": metrics.CONTENT_TYPE})


async def models(request: Request) -> Response:
    """The model, and the adapters that are loaded."""
    here = simulation(request)
    model = here.model.id
    cards = [_card(model, model, None, here.model.max_model_len)]
    cards += [_card(name, path, model, None) for name, path in here.adapters.items()]
    return JSONResponse({"object": "list", "data": cards})


def _card(name: str, root: str, parent: str | None, max_model_len: int | None) -> dict[str, Any]:
    permission: dict[str, Any] = {
        "id": "modelperm-simulated",
        "object": "model_permission",
        "created": _STARTED,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    return {
        "id": name,
        "object": "model",
        "created": _STARTED,
        "owned_by": OWNER,
        "root": root,
        "parent": parent,
        "max_model_len": max_model_len,
        "permission": [permission],
    }
