"""One OpenAPI schema over both planes: the data plane's paths are declared from the wire's own types."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from smart_router.api import wire

_REF = "#/components/schemas/{name}"
_TYPES = (
    wire.RouteRequest, wire.RouteResponse, wire.ClassifyResponse, wire.ErrorResponse, wire.RouteEvent, wire.Delta
)  # fmt: skip
_ERRORS = {
    "400": "The request is at fault; the message says what to send.",
    "401": "The key is missing or wrong.",
    "404": "No such use case.",
    "413": "The body is too large.",
    "415": "Not JSON.",
    "502": "The model server broke.",
    "503": "No model is available, or all are busy; see Retry-After.",
    "504": "The model server was too slow.",
}


def install_schema(app: FastAPI) -> None:
    """Make `app.openapi()` describe `/route` and `/classify` too."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _add_data_plane(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own documented way


def _add_data_plane(schema: dict[str, Any]) -> None:
    refs, components = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    request, response, classified, error, *_ = refs
    schema.setdefault("components", {}).setdefault("schemas", {}).update(components)
    schema["paths"]["/route"] = {"post": _operation(
        "Route a query, keep its session, and answer it",
        "With `stream: true` the answer is `text/event-stream`: `event: route` with the decision, `data` lines with "
        "`delta`, then `event: done` with the record, or `event: error`.",
        request, {"application/json": {"schema": response}, "text/event-stream": {"schema": {"type": "string"}}}, error,
    )}  # fmt: skip
    schema["paths"]["/classify"] = {"post": _operation(
        "The decision alone, without side effects", "The fields of `/route`; inside a live session the session counts.",
        request, {"application/json": {"schema": classified}}, error,
    )}  # fmt: skip


def _operation(summary: str, text: str, request: Any, answers: Any, error: Any) -> dict[str, Any]:
    errors = {
        status: {"description": meaning, "content": {"application/json": {"schema": error}}}
        for status, meaning in _ERRORS.items()
    }
    return {
        "tags": ["routing"],
        "summary": summary,
        "description": text,
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {"200": {"description": "The answer.", "content": answers}, **errors},
    }
