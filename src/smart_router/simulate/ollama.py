"""
A simulated Ollama: its own API as far as models are looked at, loaded and let go of, and its `/v1` chat.

One server has several models: the one it was started with, and those that `POST /api/pull` adds at once. A model that
is not in memory is loaded by its first request, and goes again after `keep_alive`.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from smart_router.simulate.control import faults, received
from smart_router.simulate.errors import Invalid, Refused, Unreadable
from smart_router.simulate.model import SimulatedModel
from smart_router.simulate.ollama_chat import chat
from smart_router.simulate.simulation import Simulation, parse, simulation

VERSION = "0.32.9-simulated"  # the Ollama that is imitated
KEEP_ALIVE_S = 300.0
TRAINED_TOKENS = 32_768
_DURATION = re.compile(r"(-?\d{1,9}(?:\.\d+)?)(ms|s|m|h|)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_DETAILS = {"format": "gguf", "family": "simulated", "parameter_size": "0B", "quantization_level": "none"}


class Models:
    """What one server has, and holds in memory. Names are as Ollama reads them: without a tag, `latest`."""

    def __init__(self, here: Simulation) -> None:
        self._here = here
        self.pulled = {tagged(here.model.id): None}  # in order
        self._until: dict[str, float] = {}  # in memory, until this moment of a monotonic clock
        self._keeps: dict[str, float] = {}  # seconds, where a request said so

    def find(self, name: object) -> str:
        """
        Raises:
            Refused: it has no such model.
        """
        found = tagged(name) if isinstance(name, str) and name else ""
        if found not in self.pulled:
            raise Refused(f"model '{name}' not found", 404, type="not_found_error")
        return found

    def load(self, name: str, keep_alive_s: float | None = None) -> None:
        """Have it in memory, or there for longer; None leaves what was said before, or the default."""
        if keep_alive_s is not None:
            self._keeps[name] = keep_alive_s
        self._until[name] = time.monotonic() + self._keeps.get(name, KEEP_ALIVE_S)

    def unload(self, name: str) -> None:
        """Once nothing runs any more."""
        if name in self._until:
            self._until[name] = 0.0
        self._keeps.pop(name, None)

    def in_memory(self) -> Iterator[tuple[str, float]]:
        """Each with the seconds that it still stays."""
        now = time.monotonic()
        if not self._here.engine.running:
            self._until = {name: until for name, until in self._until.items() if until > now}
        for name, until in self._until.items():
            yield name, max(0.0, until - now)


def create_ollama(model: SimulatedModel) -> Starlette:
    """The application; whoever serves it labels its answers."""
    handlers: dict[Any, Any] = dict.fromkeys((Refused, Invalid, Unreadable, HTTPException), _refuse)
    app = Starlette(routes=list(_routes()), exception_handlers=handlers)
    app.state.simulation = Simulation(model)
    app.state.models = Models(app.state.simulation)
    return app


def tagged(name: str) -> str:
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _routes() -> Iterator[Route]:
    yield Route("/", _root)
    yield Route("/api/version", _version)
    yield Route("/api/tags", _tags)
    yield Route("/api/ps", _ps)
    yield Route("/api/show", _show, methods=["POST"])
    yield Route("/api/generate", _generate, methods=["POST"])
    yield Route("/api/pull", _pull, methods=["POST"])
    yield Route("/api/delete", _delete, methods=["DELETE"])
    yield Route("/v1/models", _models)
    yield Route("/v1/chat/completions", _chat_completions, methods=["POST"])
    yield Route("/simulate/faults", faults, methods=["GET", "POST", "DELETE"])
    yield Route("/simulate/requests", received, methods=["GET", "DELETE"])


async def _root(request: Request) -> Response:
    return PlainTextResponse("Ollama is running (simulated)")


async def _version(request: Request) -> Response:
    return JSONResponse({"version": VERSION})


async def _tags(request: Request) -> Response:
    return JSONResponse({"models": [_entry(name) | {"modified_at": _moment()} for name in _here(request).pulled]})


async def _ps(request: Request) -> Response:
    context = simulation(request).model.max_model_len
    loaded = [
        _entry(name) | {"expires_at": _moment(left), "size_vram": 0, "context_length": context}
        for name, left in _here(request).in_memory()
    ]
    return JSONResponse({"models": loaded})


async def _show(request: Request) -> Response:
    _here(request).find((await _body(request)).get("model"))
    info = {"general.architecture": "simulated", "simulated.context_length": TRAINED_TOKENS}
    return JSONResponse({"modelfile": "# simulated", "parameters": "", "details": _DETAILS, "model_info": info})


async def _generate(request: Request) -> Response:
    """Without a prompt, which is all that is simulated: loads a model, or lets go of it."""
    body, models = await _body(request), _here(request)
    name, keep_alive = models.find(body.get("model")), body.get("keep_alive")
    if body.get("prompt"):
        raise Refused("The simulated Ollama answers prompts at /v1/chat/completions alone.", type="api_error")
    keep_alive_s = None if keep_alive is None else _seconds(keep_alive)
    if keep_alive_s == 0:
        models.unload(name)
    else:
        models.load(name, keep_alive_s)
    reason = "unload" if keep_alive_s == 0 else "load"
    done = {"response": "", "done": True, "done_reason": reason}
    return JSONResponse({"model": body["model"], "created_at": _moment()} | done)


async def _pull(request: Request) -> Response:
    _here(request).pulled[tagged(str((await _body(request)).get("model")))] = None
    return JSONResponse({"status": "success"})


async def _delete(request: Request) -> Response:
    models = _here(request)
    name = models.find((await _body(request)).get("model"))
    models.unload(name)
    del models.pulled[name]
    return Response()


async def _models(request: Request) -> Response:
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": "library"} for name in _here(request).pulled]
    return JSONResponse({"object": "list", "data": listed})


async def _chat_completions(request: Request) -> Response:
    here, models, body = simulation(request), _here(request), await _body(request)
    fault = here.strike()
    name = models.find(body.get("model"))
    models.load(name)
    return chat(request, here.engine, replace(here.model, id=str(body["model"])), body, fault)


def _here(request: Request) -> Models:
    found = request.app.state.models
    assert isinstance(found, Models)
    return found


async def _body(request: Request) -> dict[str, Any]:
    """
    Of any content type, as Ollama reads it.

    Raises:
        Refused: it is no JSON object.
    """
    try:
        body = parse(await request.body())
    except Invalid as exc:
        raise Refused(str(exc), type="invalid_request_error") from exc
    simulation(request).note(request, body)
    if not isinstance(body, dict):
        raise Refused("missing request body", type="invalid_request_error")
    return body


def _seconds(keep_alive: object) -> float:
    """Seconds, or a duration such as 5m; below zero is for ever."""
    found = _DURATION.fullmatch(str(keep_alive))
    if found is None:
        raise Refused(f'time: invalid duration "{keep_alive}"', type="invalid_request_error")
    seconds = float(found[1]) * _UNITS[found[2]]
    return inf if seconds < 0 else seconds


def _entry(name: str) -> dict[str, Any]:
    return {"name": name, "model": name, "size": 0, "digest": "simulated", "details": _DETAILS}


def _moment(in_s: float = 0.0) -> str:
    """For ever is three hundred years."""
    return (datetime.now(UTC) + timedelta(seconds=min(in_s, 300 * 365 * 86400.0))).isoformat()


async def _refuse(request: Request, exc: Exception) -> Response:
    """Under `/v1` as OpenAI says it, else in Ollama's own way."""
    status, message, kind = 400, str(exc), "invalid_request_error"
    headers: dict[str, str] = {}
    if isinstance(exc, Refused):
        status, message, kind, headers = exc.status, exc.message, exc.type, exc.headers
    elif isinstance(exc, HTTPException):
        status, message, kind = exc.status_code, f"{exc.status_code} {exc.detail}", "api_error"
    if not request.url.path.startswith("/v1/"):
        return JSONResponse({"error": message}, status, headers)
    error = {"message": message, "type": kind, "param": None, "code": None}
    return JSONResponse({"error": error}, status, headers)
