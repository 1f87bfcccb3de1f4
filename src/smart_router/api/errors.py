"""Errors of the control plane, in the same envelopes as the data plane's."""

import uuid
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from smart_router.api.envelopes import advice, envelope
from smart_router.errors import BadRequest, MethodNotAllowed, RouterError, StoreAway, StoreUnavailable, UnknownPath


def install_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RouterError)
    async def ours(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, RouterError)
        return _answer(request, exc)

    @app.exception_handler(StoreUnavailable)
    async def store(request: Request, exc: Exception) -> JSONResponse:
        return _answer(request, StoreAway("the session store does not answer; try again shortly"))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, RequestValidationError)
        first = exc.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        return _answer(request, BadRequest(f"{place}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def http(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, HTTPException)
        if exc.status_code == 405:
            allowed = (exc.headers or {}).get("Allow", "GET")
            return _answer(request, MethodNotAllowed(request.url.path, allowed))
        message = f"{request.method} {request.url.path}: {exc.detail}; see /docs for what there is"
        error: RouterError = UnknownPath(message) if exc.status_code == 404 else BadRequest(message)
        error.status = exc.status_code
        return _answer(request, error)


def _answer(request: Request, error: RouterError) -> JSONResponse:
    """Under `/v1/` as OpenAI says it. A path that nobody knows may be meant for either, and is told in both ways."""
    request_id = uuid.uuid4().hex
    body: dict[str, Any] = {}
    if isinstance(error, UnknownPath) or request.url.path.startswith("/v1/"):
        body |= msgspec.to_builtins(envelope(error, request_id, "openai"))
    if not request.url.path.startswith("/v1/"):
        body |= msgspec.to_builtins(envelope(error, request_id, "ours"))
    headers = {"X-Request-ID": request_id} | {name.decode(): value.decode() for name, value in advice(error)}
    return JSONResponse(body, error.status, headers)
