"""What `model` may be: `auto`, the use cases and the models, each with what it resolves to."""

import uuid
from collections.abc import Iterator
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from smart_router.api.auth import Door
from smart_router.api.openai import AUTO
from smart_router.errors import UnknownModel
from smart_router.lifecycle.standing import Standing
from smart_router.registry import Model, Registry
from smart_router.upstream.fleet import Fleet

CREATED = 1_767_225_600  # of every entry, as the API wants one: 2026-01-01, seconds since the epoch


class ModelOut(BaseModel):
    """An entry of OpenAI's list; from `kind` on, ours. `resolves_to`: the models that may answer, in order."""

    id: str
    object: Literal["model"] = "model"
    created: int = CREATED
    owned_by: Literal["smart-router"] = "smart-router"
    kind: Literal["auto", "use_case", "model"]
    description: str
    resolves_to: list[str]
    modalities: list[str]
    available: bool


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]


class Catalogue:
    """What there is, and what of it can answer now."""

    def __init__(self, registry: Registry, fleet: Fleet, standing: Standing) -> None:
        self._registry = registry
        self._fleet = fleet
        self._standing = standing

    def entries(self) -> Iterator[ModelOut]:
        registry = self._registry
        every = {m.id: m for name in registry.use_cases for m in registry.candidates(name)}
        yield self._entry(AUTO, "auto", "The use case that the words and media of a turn say", list(every.values()))
        for use_case in registry.use_cases.values():
            found = registry.candidates(use_case.id)
            yield self._entry(use_case.id, "use_case", use_case.description, found, list(use_case.modalities))
        for model in registry.models.values():
            if model.id not in registry.use_cases:
                fallbacks = [registry.models[name] for name in model.fallbacks]
                yield self._entry(
                    model.id, "model", ", ".join(model.capabilities), [model, *fallbacks], list(model.accepts)
                )

    def entry(self, id: str) -> ModelOut:
        """
        Raises:
            UnknownModel: nothing is called that.
        """
        found = {entry.id: entry for entry in self.entries()}
        if id not in found:
            raise UnknownModel(f"model: there is no {id[:100]!r} here; there are {', '.join(found)}")
        return found[id]

    def waiting(self) -> int:
        """Requests that wait now until a model is awake, or for a place there."""
        return sum(self._standing.waiting(model) for model in self._registry.models)

    def loaded(self) -> bool:
        """A model that some use case leads to answers without being woken first."""
        awake = {report.id for report in self._standing.models() if report.state == "awake"}
        return any(model.id in awake for name in self._registry.use_cases for model in self._registry.candidates(name))

    def _entry(
        self,
        id: str,
        kind: Literal["auto", "use_case", "model"],
        description: str,
        models: list[Model] | tuple[Model, ...],
        modalities: list[str] | None = None,
    ) -> ModelOut:
        return ModelOut(
            id=id,
            kind=kind,
            description=description,
            resolves_to=[model.id for model in models],
            modalities=sorted({m for model in models for m in model.accepts}) if modalities is None else modalities,
            available=any(self._fleet.can_answer(model.id) for model in models),
        )


def model_routes(catalogue: Catalogue, door: Door) -> APIRouter:
    routes = APIRouter(tags=["models"])

    @routes.get("/v1/models")
    @routes.get("/api/models", operation_id="chat_models")
    async def list_models(request: Request, response: Response) -> ModelList:
        """What a request's `model` may be."""
        door.enter(request.scope)
        response.headers["X-Request-ID"] = uuid.uuid4().hex
        return ModelList(data=list(catalogue.entries()))

    @routes.get("/v1/models/{model_id:path}")
    async def read_model(request: Request, model_id: str) -> ModelOut:
        """One of them."""
        door.enter(request.scope)
        return catalogue.entry(model_id)

    @routes.get("/api/healthz")
    async def healthz() -> dict[str, Any]:
        """
        Whether the chat can be used; needs no key. `gpu_available`: as far as a model tells that answers, or can be
        woken; `model_loaded`: without being woken first.
        """
        entries = list(catalogue.entries())
        answering = entries[0].available
        return {
            "status": "ok" if answering else "unavailable",
            "gpu_available": answering,
            "model_loaded": catalogue.loaded(),
            "upstream_healthy": answering,
            "queue_size": catalogue.waiting(),
            "details": {"models": {e.id: e.available for e in entries if e.kind == "model"}},
        }

    return routes
