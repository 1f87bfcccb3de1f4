"""The paths by which a server is watched, put to sleep and woken."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from smart_router.simulate import metrics
from smart_router.simulate.engine import PARTS, SleepMode
from smart_router.simulate.errors import Invalid, Problem
from smart_router.simulate.fields import Fields
from smart_router.simulate.simulation import simulation

VERSION = "0.32.0+simulated"  # the vLLM that is imitated
OWNER = "smart-router-simulator"
DEEPEST_SLEEP = 2

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
    model = simulation(request).model
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
    card = {
        "id": model.id,
        "object": "model",
        "created": _STARTED,
        "owned_by": OWNER,
        "root": model.id,
        "parent": None,
        "max_model_len": model.max_model_len,
        "permission": [permission],
    }
    return JSONResponse({"object": "list", "data": [card]})


async def is_sleeping(request: Request) -> Response:
    return JSONResponse({"is_sleeping": simulation(request).engine.sleep_level is not None})


async def sleep(request: Request) -> Response:
    """`level` 0 to 2 (default 1), `mode` abort (default), wait or keep: what becomes of running requests."""
    query = Fields(dict(request.query_params), "query")
    given = query.integer("level")
    mode = query.choice("mode", ("abort", "wait", "keep")) or "abort"
    query.check()
    level = 1 if given is None else given
    _check_level(level)
    await simulation(request).engine.sleep(level, _mode(mode))
    return JSONResponse({"status": "sleeping", "level": level})


async def wake_up(request: Request) -> Response:
    """Wakes everything, or only the parts named by `tags` (weights, kv_cache)."""
    tags = request.query_params.getlist("tags")
    awake = simulation(request).engine.wake_up(frozenset(tags) or PARTS)
    return JSONResponse({"status": "awake" if awake else "sleeping", "tags": tags or None})


def _check_level(level: int) -> None:
    if level < 0:
        raise Invalid([_out_of_range("greater_than_equal", "greater than or equal to 0", level)])
    if level > DEEPEST_SLEEP:
        raise Invalid([_out_of_range("less_than_equal", f"less than or equal to {DEEPEST_SLEEP}", level)])


def _out_of_range(type: str, bound: str, level: int) -> Problem:
    return Problem(type, "query.level", f"Input should be {bound}", level)


def _mode(word: str) -> SleepMode:
    return "wait" if word == "wait" else "keep" if word == "keep" else "abort"
