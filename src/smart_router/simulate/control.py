"""The paths under /simulate, which no real server has: faults, and what was received."""

import json
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from smart_router.simulate.errors import Refused, refused_value
from smart_router.simulate.faults import FAULTS, Fault, Faults
from smart_router.simulate.fields import Fields
from smart_router.simulate.simulation import parse, simulation


async def faults(request: Request) -> Response:
    """
    GET tells the active faults. POST `{"fault", "rate", "count"}` switches one on (rate 1 and no end unless given;
    rate 0 switches it off), `{"fault": null}` all off. DELETE switches all off.
    """
    active = simulation(request).faults
    if request.method == "DELETE":
        active.clear()
    if request.method == "POST":
        _change(active, await _read(request))
    return JSONResponse({"active": [_told(fault) for fault in active.active], "known": FAULTS})


async def received(request: Request) -> Response:
    """The last requests that had a body, the latest last; DELETE forgets them."""
    requests = simulation(request).requests
    if request.method == "DELETE":
        requests.clear()
    told = {"count": len(requests), "requests": list(requests)}
    return Response(json.dumps(told), media_type="application/json")  # takes whatever json.loads let in


async def lifecycle(request: Request) -> Response:
    """How often the server was asked to wake, to sleep, to read its weights again, to load and unload adapters."""
    return JSONResponse(asdict(simulation(request).received))


def _change(active: Faults, body: dict[str, Any]) -> None:
    fields = Fields(body)
    name, rate, count = body.get("fault"), fields.number("rate"), fields.integer("count")
    fields.check()
    if name is None:
        active.clear()
        return
    if name not in FAULTS:
        raise refused_value(f"fault must be one of {', '.join(FAULTS)}.", "fault", name)
    if rate is not None and not 0 <= rate <= 1:
        raise refused_value("rate must be in 0..1.", "rate", rate)
    active.set(Fault(name, 1.0 if rate is None else rate, count))


async def _read(request: Request) -> dict[str, Any]:
    body = parse(await request.body())
    if not isinstance(body, dict):
        raise Refused("The body must be a JSON object.")
    return body


def _told(fault: Fault) -> dict[str, Any]:
    return {"fault": fault.name, "rate": fault.rate, "count": fault.count}
