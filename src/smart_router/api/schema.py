"""One OpenAPI schema over both planes: the data plane's paths are declared from the wire's own types."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from smart_router.api import wire
from smart_router.api.openai import APIS, CHAT, CHAT_PATH, Api
from smart_router.api.schema_fields import FIELDS
from smart_router.types import RESPONSE_ID

_REF = "#/components/schemas/{name}"
_TYPES = (
    wire.RouteRequest, wire.RouteResponse, wire.ClassifyResponse, wire.ErrorResponse, wire.RouteEvent, wire.Delta
)  # fmt: skip
_ERRORS = {
    "400": "The request is at fault; the message says what to send.",
    "401": "The key is missing or wrong.",
    "403": "The key, or a rule of the operator's, does not allow it.",
    "404": "No such use case.",
    "413": "The body is too large.",
    "415": "Not JSON.",
    "429": "A limit of the caller is reached; see Retry-After.",
    "502": "The model server broke.",
    "503": "No model is available, or all are busy; see Retry-After.",
    "504": "The model server was too slow.",
}


_HEADERS = {
    name: {"description": meaning, "schema": {"type": "string"}}
    for name, meaning in {
        "X-Session-ID": "The session.",
        "X-Route-Use-Case": "The use case that was decided on.",
        "X-Route-Model": "The model that answers.",
        "X-Route-Fallback": "Only where another model answers: the one that should have.",
        "X-Route-Reason": "Why that use case.",
        "X-Route-Bypass": "`true` where the session's standing choice was used again.",
        "X-Route-Confidence": "Of the decision, a probability.",
    }.items()
}


def install_schema(app: FastAPI) -> None:
    """Make `app.openapi()` describe the data plane too."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _add_data_plane(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own documented way


def _add_data_plane(schema: dict[str, Any]) -> None:
    _correct_errors(schema)
    refs, components = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    request, response, classified, error, *_ = refs
    schema.setdefault("components", {}).setdefault("schemas", {}).update(components)
    schema["paths"]["/route"] = {"post": _operation(
        "Route a query, keep its session, and answer it",
        "With `stream: true` the answer is `text/event-stream`: `event: route` with the decision, `data` lines with "
        "`delta`, then `event: done` with the record, or `event: error`.",
        request, {"application/json": {"schema": response}, "text/event-stream": {}}, error,
    )}  # fmt: skip
    schema["paths"]["/route"]["post"]["responses"]["200"]["headers"] = _HEADERS
    schema["paths"]["/classify"] = {"post": _operation(
        "The decision alone, without side effects", "The fields of `/route`; inside a live session the session counts.",
        request, {"application/json": {"schema": classified}}, error,
    )}  # fmt: skip
    for path, api in {**APIS, CHAT_PATH: CHAT}.items():
        schema["paths"][path] = {"post": _passed_on(path, api)}
    schema["paths"]["/v1/responses/{response_id}"] = {"get": _stored("Read a stored response")}
    schema["paths"]["/v1/responses/{response_id}/cancel"] = {"post": _stored("Cancel a response in the background")}


def _correct_errors(schema: dict[str, Any]) -> None:
    """The framework says 422 of what is refused here with 400, and knows nothing of our other errors."""
    for operation in (operation for path in schema["paths"].values() for operation in path.values()):
        operation["responses"].pop("422", None)
        operation["responses"] |= {"4XX": _error("Refused; the message says why."), "5XX": _error("See Retry-After.")}
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": _ANY_OBJECT}


_ID = {
    "name": "response_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{RESPONSE_ID}$"},
}
_ANY_OBJECT = {"application/json": {"schema": {"type": "object"}}}
_REFUSALS = {
    "4XX": {"description": "Ours in OpenAI's envelope (Anthropic's under `/v1/messages`), or the server's own."},
    "5XX": {"description": "No model server answered; see Retry-After."},
}


def _passed_on(path: str, api: Api) -> dict[str, Any]:
    """The body is the model server's business, apart from the few fields that routing reads."""
    required = ["model"] if path != CHAT_PATH else []
    body = {"type": "object", "properties": FIELDS[path], "required": required, "additionalProperties": True}
    media_type = "multipart/form-data" if api.upload else "application/json"
    return {
        "tags": ["OpenAI-style"],
        "summary": f"Route to {api.path} of a model server",
        "description": "Passed on byte for byte, apart from `model`: `auto`, a use case, or a model.",
        "requestBody": {"required": True, "content": {media_type: {"schema": body}}},
        "responses": {
            "200": {"description": "The model server's answer, or its stream.", "headers": _HEADERS},
            **_REFUSALS,
        },
    }


def _stored(summary: str) -> dict[str, Any]:
    return {
        "tags": ["OpenAI-style"],
        "summary": summary,
        "parameters": [_ID],
        "responses": {"200": {"description": "As the model server says.", "content": _ANY_OBJECT}, **_REFUSALS},
    }


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
