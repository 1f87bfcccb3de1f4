"""The paths by which a server is put to sleep and woken, which vLLM has in its development mode."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from smart_router.simulate.engine import SleepMode
from smart_router.simulate.errors import Invalid, Problem, Refused, worker_failed
from smart_router.simulate.exchange import nothing
from smart_router.simulate.faults import OF_SLEEP, OF_WAKING
from smart_router.simulate.fields import Fields
from smart_router.simulate.simulation import simulation

DEEPEST_SLEEP = 2


async def is_sleeping(request: Request) -> Response:
    return JSONResponse({"is_sleeping": await simulation(request).engine.is_sleeping()})


async def sleep(request: Request) -> Response:
    """`level` 0 to 2 (default 1), `mode` abort (default), wait or keep: what becomes of running requests."""
    query = Fields(dict(request.query_params), "query")
    given = query.integer("level")
    mode = query.choice("mode", ("abort", "wait", "keep")) or "abort"
    query.check()
    level = 1 if given is None else given
    _check_level(level)
    here = simulation(request)
    here.received.sleeps += 1
    if here.faults.strike(OF_SLEEP) is None:
        await here.engine.sleep(level, _mode(mode))
    return JSONResponse({"status": "sleeping", "level": level})


async def wake_up(request: Request) -> Response:
    """Wakes everything, or only the parts named by `tags` (weights, kv_cache)."""
    here, tags = simulation(request), request.query_params.getlist("tags")
    here.received.wakes += not tags or "weights" in tags
    if here.faults.strike(OF_WAKING) == "wake-hangs":
        return await nothing(request.receive)
    awake = await here.engine.wake_up(frozenset(tags))
    return JSONResponse({"status": "awake" if awake else "sleeping", "tags": tags or None})


async def collective_rpc(request: Request) -> Response:
    """Of the methods of vLLM's workers, only `reload_weights` is simulated."""
    here = simulation(request)
    method = _method(await request.body())
    if method != "reload_weights":
        raise worker_failed("collective_rpc", f"'Worker' object has no attribute '{method}'")
    here.received.reloads += 1
    if not await here.engine.reload_weights():
        raise worker_failed(
            "collective_rpc", "the memory for the weights is not mapped: wake it up with tags=weights first"
        )
    return JSONResponse({"results": [None]})


def _method(raw: bytes) -> str:
    try:
        body = json.loads(raw)
    except ValueError as exc:
        raise _bad_call(f"JSON decode error: {exc}") from exc
    if not isinstance(body, dict):
        raise _bad_call("Request body must be a JSON object")
    if body.get("method") is None:
        raise _bad_call("Missing 'method' in request body")
    return str(body["method"])


def _bad_call(why: str) -> Refused:
    return Refused(why, type="Bad Request")


def _check_level(level: int) -> None:
    if level < 0:
        raise Invalid([_out_of_range("greater_than_equal", "greater than or equal to 0", level)])
    if level > DEEPEST_SLEEP:
        raise Invalid([_out_of_range("less_than_equal", f"less than or equal to {DEEPEST_SLEEP}", level)])


def _out_of_range(type: str, bound: str, level: int) -> Problem:
    return Problem(type, "query.level", f"Input should be {bound}", level)


def _mode(word: str) -> SleepMode:
    return "wait" if word == "wait" else "keep" if word == "keep" else "abort"
