"""Errors of the control plane, in the same envelope as the data plane's."""

import uuid

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from smart_router.errors import RouterError, StoreUnavailable


def install_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RouterError)
    async def ours(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, RouterError)
        headers = {"WWW-Authenticate": "Bearer"} if exc.status == 401 else {}
        return _envelope(exc.status, exc.message, exc.code, headers)

    @app.exception_handler(StoreUnavailable)
    async def store(request: Request, exc: Exception) -> JSONResponse:
        message = "the session store does not answer; try again shortly"
        return _envelope(503, message, "store_unavailable", {"Retry-After": "1"})

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, RequestValidationError)
        first = exc.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        return _envelope(400, f"{place}: {first['msg']}", "bad_request")

    @app.exception_handler(HTTPException)
    async def http(request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, HTTPException)
        code = {404: "not_found", 405: "method_not_allowed"}.get(exc.status_code, "bad_request")
        message = f"{request.method} {request.url.path}: {exc.detail}; see /docs for what there is"
        return _envelope(exc.status_code, message, code, dict(exc.headers or {}))


def _envelope(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> JSONResponse:
    body = {"success": False, "error_message": message, "error_code": code, "request_id": uuid.uuid4().hex}
    return JSONResponse(body, status, headers)
