"""What `model` may be: `auto`, the use cases and the models, each with what it resolves to."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from smart_router.access.keyring import ANYBODY
from smart_router.api.auth import Door
from smart_router.api.openai import AUTO
from smart_router.chooser import Chooser
from smart_router.errors import Forbidden, UnknownModel
from smart_router.lifecycle.standing import Standing
from smart_router.registry import Model, Registry
from smart_router.types import Grant
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
    """What there is for a key, and what of it can answer now."""

    def __init__(self, registry: Registry, chooser: Chooser, fleet: Fleet, standing: Standing) -> None:
        self._registry = registry
        self._chooser = chooser
        self._fleet = fleet
        self._standing = standing

    def entries(self, grant: Grant) -> Iterator[ModelOut]:
        """`auto`, whatever the key is for; else only what it may ask for."""
        registry, use_cases = self._registry, dict(self._use_cases(grant))
        every = {model.id: model for models in use_cases.values() for model in models}
        yield self._entry(AUTO, "auto", "The use case that the words and media of a turn say", list(every.values()))
        for id, models in use_cases.items():
            use_case = registry.use_cases[id]
            yield self._entry(id, "use_case", use_case.description, models, list(use_case.modalities))
        for model in registry.models.values():
            if model.id not in registry.use_cases and self._chooser.serving(grant, model.id):
                fallbacks = (registry.models[name] for name in model.fallbacks)
                may = [other for other in fallbacks if grant.models is None or other.id in grant.models]
                yield self._entry(model.id, "model", ", ".join(model.capabilities), [model, *may], list(model.accepts))

    def entry(self, id: str, grant: Grant) -> ModelOut:
        """
        Raises:
            UnknownModel: nothing is called that, or nothing that the key may ask for.
        """
        found = {entry.id: entry for entry in self.entries(grant)}
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

    def _use_cases(self, grant: Grant) -> Iterator[tuple[str, tuple[Model, ...]]]:
        """Those that the key is for, each with the models that may answer it."""
        for id in self._registry.use_cases:
            with suppress(Forbidden):
                yield id, self._chooser.permitted(grant, id)

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
        """What a request's `model` may be: `auto`, and the use cases and models that the key is for."""
        grant = door.enter(request.scope)
        response.headers["X-Request-ID"] = uuid.uuid4().hex
        return ModelList(data=list(catalogue.entries(grant)))

    @routes.get("/v1/models/{model_id:path}")
    async def read_model(request: Request, model_id: str) -> ModelOut:
        """One of them. What the key is not for is as unknown as what does not exist."""
        return catalogue.entry(model_id, door.enter(request.scope))

    @routes.get("/api/healthz")
    async def healthz() -> dict[str, Any]:
        """
        Whether the chat can be used; needs no key. `gpu_available`: as far as a model tells that answers, or can be
        woken; `model_loaded`: without being woken first.
        """
        entries = list(catalogue.entries(ANYBODY))
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
