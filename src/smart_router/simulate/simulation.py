"""One simulated server's state, and how a request reaches it."""

import json
import re
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from smart_router.simulate.engine import Engine
from smart_router.simulate.errors import Invalid, Problem, UnknownModel, Unreadable, WrongContentType
from smart_router.simulate.faults import Fault, FaultName, Faults
from smart_router.simulate.metrics import Metrics
from smart_router.simulate.model import SimulatedModel
from smart_router.simulate.tokens import Vocabulary

REMEMBERED_REQUESTS = 200
_HALF = re.compile(r"(?P<whole>\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_SECRET_HEADERS = {"authorization", "x-api-key", "cookie"}


@dataclass(slots=True)
class Received:
    """How often a server was asked to change, whatever came of it."""

    wakes: int = 0  # a wake in two parts is one
    sleeps: int = 0
    reloads: int = 0  # of weights
    loads: int = 0  # of adapters
    unloads: int = 0


class Simulation:
    """What the routes of one server share."""

    def __init__(self, model: SimulatedModel) -> None:
        self.model = model
        self.metrics = Metrics(model.id)
        self.engine = Engine(model, self.metrics)
        self.vocabulary = Vocabulary()
        self.faults = Faults(model.seed)
        if model.fault is not None:
            self.faults.set(Fault(model.fault, model.fault_rate))
        self.adapters: dict[str, str] = {}  # names, and where they were loaded from
        self.received = Received()
        self.requests: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_REQUESTS)

    def model_for(self, asked: str | None) -> SimulatedModel:
        """
        What answers: this server's model, also to who names none, or one of its adapters.

        Raises:
            UnknownModel: neither.
        """
        if not asked or asked == self.model.id:
            return self.model
        if asked in self.adapters:
            return replace(self.model, id=asked)
        raise UnknownModel(asked, self.model.id)

    def strike(self) -> FaultName | None:
        return self.faults.strike()

    def note(self, request: Request, body: Any) -> None:
        """Remember *request* for `GET /simulate/requests`; secrets only by their presence."""
        headers = {name: "(hidden)" if name in _SECRET_HEADERS else text for name, text in request.headers.items()}
        self.requests.append({"method": request.method, "path": request.url.path, "headers": headers, "body": body})


def simulation(request: Request) -> Simulation:
    found = request.app.state.simulation
    assert isinstance(found, Simulation)
    return found


async def read_json(request: Request) -> dict[str, Any]:
    """
    The body, noted as received.

    Raises:
        Invalid, Unreadable: it is no JSON object, or does not say that it is JSON.
    """
    raw = await request.body()
    if "json" not in request.headers.get("content-type", "").partition(";")[0]:
        simulation(request).note(request, raw.decode(errors="replace"))
        raise WrongContentType
    try:
        body = parse(raw)
    except Invalid:
        simulation(request).note(request, raw.decode())
        raise
    simulation(request).note(request, body)
    if body is None:
        raise Invalid([Problem("missing", "body", "Field required")])
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise Invalid([Problem("model_attributes_type", "body", message, body)])
    return body


def parse(raw: bytes) -> Any:
    """
    The JSON value of a body, None when there is none.

    Raises:
        Invalid: no JSON.
        Unreadable: no text.
    """
    try:
        return json.loads(_mended(raw.decode())) if raw else None
    except (UnicodeDecodeError, RecursionError) as exc:
        raise Unreadable from exc
    except json.JSONDecodeError as exc:
        raise Invalid([Problem("json_invalid", f"body.{exc.pos}", f"JSON decode error: {exc.msg}", {})]) from exc


def _mended(text: str) -> str:
    """*text* without escaped halves of characters, which could be received but never sent again."""
    return _HALF.sub(lambda found: found[0] if found["whole"] else "?", text)
