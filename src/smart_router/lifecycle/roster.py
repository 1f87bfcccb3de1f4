"""Which servers of a registry are started on this machine by `smart-router up`, and why others are left alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from smart_router.errors import ConfigurationError, LifecycleFailed
from smart_router.lifecycle.program import Program, is_here, program_for
from smart_router.registry import Model, Registry
from smart_router.settings import Settings


@dataclass(frozen=True)
class Entry:
    """A server to start; *crowded*: put to sleep as soon as it is up, as not all can be awake at once."""

    model: Model
    program: Program
    crowded: bool = False


@dataclass(frozen=True)
class Roster:
    """In the registry's order; *left* and *failed* tell why, for people, *failed* by model."""

    entries: tuple[Entry, ...]
    left: tuple[str, ...]
    failed: Mapping[str, str]


def roster_of(registry: Registry, settings: Settings) -> Roster:
    """Asks the system's resolver whether endpoints are on this machine."""
    entries: list[Entry] = []
    left: list[str] = []
    failed: dict[str, str] = {}
    taken: dict[str, str] = {}  # endpoint -> model
    bases = {model.lora.base for model in registry.models.values() if model.lora is not None}
    for model, endpoint in _endpoints(registry):
        if why := _why_not(model, endpoint, taken):
            left.append(f"{model.id}: {why}")
            continue
        taken[endpoint] = model.id
        try:
            program = program_for(model, endpoint, settings, keeps_adapters=model.id in bases)
        except LifecycleFailed as exc:
            failed[model.id] = str(exc)
        else:
            entries.append(Entry(model, program, _is_crowded(model, registry, settings)))
    return Roster(tuple(entries), tuple(left), failed)


def refuse_processes(registry: Registry) -> None:
    """
    Where several worker processes serve *registry*: each would start servers of its own.

    Raises:
        ConfigurationError
    """
    if ids := [model.id for model in registry.models.values() if model.lifecycle == "process"]:
        raise ConfigurationError(
            f"{registry.source}: each of several workers would start a server of its own for {', '.join(ids)} "
            "(lifecycle: process); serve with one worker, or start these servers yourself and write lifecycle: always"
        )


def _endpoints(registry: Registry) -> Iterator[tuple[Model, str]]:
    return ((model, endpoint) for model in registry.models.values() for endpoint in model.endpoints)


def _why_not(model: Model, endpoint: str, taken: Mapping[str, str]) -> str:
    """Empty: it is started."""
    if model.lifecycle == "process":
        return "is started when it is needed"
    if model.lora is not None:
        return f"is loaded by the server of {model.lora.base}"
    if model.backend != "vllm":
        return f"left alone: its backend is {model.backend}"
    if endpoint in taken:
        return f"left alone: {endpoint} is the server of {taken[endpoint]}"
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or parts.path.strip("/"):
        return f"left alone: {endpoint} is not of the form http://localhost:8000"
    if not is_here(parts.hostname or ""):
        return f"left alone: {endpoint} is not on this machine"
    return ""


def _is_crowded(model: Model, registry: Registry, settings: Settings) -> bool:
    if model.lifecycle != "sleep":
        return False
    others = registry.models.values()
    lane = sum(other.lane == model.lane for other in others)
    managed = sum(other.managed for other in others)
    return lane > registry.max_resident(model.lane) or managed > settings.max_concurrent_models
