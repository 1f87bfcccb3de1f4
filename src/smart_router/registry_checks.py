"""
Whether the parts of a registry fit together: what they name exists, and what comes and goes finds its place.

Every check yields a line per mistake, with its YAML path, what is wrong and what would be right.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from smart_router.registry import Model, RegistryFile

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
BACKEND_OF = {"sleep": "vllm", "process": "vllm", "lora": "vllm", "ollama": "ollama"}  # a lifecycle needs it
WHOLE_SERVERS = ("sleep", "process")  # come and go with all that is there
# What says how a server is started is also for those that `smart-router up` starts.
OF_LIFECYCLES = {"sleep_level": ("sleep",), "process": ("process", "sleep", "always"), "lora": ("lora",)}


def mistakes_of(file: "RegistryFile", path: Path) -> Iterator[str]:
    yield from _broken_references(file)
    endpoints = list(_bad_endpoints(file))
    yield from endpoints
    yield from _beyond_backends(file)
    yield from _lifecycles(file)
    yield from _adapters(file)
    if not endpoints:
        yield from _processes(file)
        yield from _shared_servers(file)
    yield from _groups_without_room(file)
    yield from _missing_examples(file, path)


def _broken_references(file: "RegistryFile") -> Iterator[str]:
    models, use_cases = [model.id for model in file.models], [use_case.id for use_case in file.use_cases]
    yield from _repeats("models", models)
    yield from _repeats("use_cases", use_cases)
    if file.defaults.use_case not in use_cases:
        yield f"defaults.use_case: {_not_among(file.defaults.use_case, 'use cases', use_cases)}"
    for i, use_case in enumerate(file.use_cases):
        for j, name in enumerate(use_case.models):
            if name not in models:
                yield f"use_cases[{i}].models[{j}]: {_not_among(name, 'models', models)}"
    for i, model in enumerate(file.models):
        for j, name in enumerate(model.fallbacks):
            if name not in models:
                yield f"models[{i}].fallbacks[{j}]: {_not_among(name, 'models', models)}"
        if model.group and file.groups and model.group not in file.groups:
            yield f"models[{i}].group: {_not_among(model.group, 'groups', list(file.groups))}"


def _beyond_backends(file: "RegistryFile") -> Iterator[str]:
    """What a kind of server cannot do."""
    for i, model in enumerate(file.models):
        if model.backend != "ollama":
            continue
        if model.api != "chat":
            yield f"models[{i}].api: Ollama is asked by chat alone; write chat, or leave the key out"
        if beyond := [kind for kind in model.accepts if kind not in ("text", "image")]:
            yield f"models[{i}].accepts: Ollama takes text and image alone; take out {', '.join(beyond)}"


def _repeats(key: str, ids: list[str]) -> Iterator[str]:
    for i, name in enumerate(ids):
        if name in ids[:i]:
            yield f'{key}[{i}].id: "{name}" is already the id of {key}[{ids.index(name)}]'


def _not_among(name: str, what: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f'"{name}" is not among the {what}: {", ".join(known)}{hint}'


def _bad_endpoints(file: "RegistryFile") -> Iterator[str]:
    for i, model in enumerate(file.models):
        for j, endpoint in enumerate(model.endpoints):
            if mistake := _endpoint_mistake(endpoint):
                yield f'models[{i}].endpoints[{j}]: "{_without_secrets(endpoint)}" {mistake}, such as http://localhost:8000'


def _without_secrets(endpoint: str) -> str:
    """Keys are written into addresses, too."""
    return re.sub(r"//.*@", "//...@", re.sub(r"[?#].*", "?...", endpoint, flags=re.DOTALL), flags=re.DOTALL)


def _endpoint_mistake(endpoint: str) -> str | None:
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return "has no valid port; give an address"
    if parts.scheme == "dns+https":
        return "cannot be: a certificate names no bare address; write dns+http://, or one https:// for every server"
    if parts.scheme not in ("http", "https", "dns+http") or not parts.hostname or port == 0:
        return (
            "is not an http:// or https:// address, nor a dns+http://name:port that stands for all addresses of a "
            "name; give one"
        )
    if any(character.isspace() for character in endpoint):
        return "contains a space; give the server's address"
    if parts.username or parts.password:
        return "must not carry a name or a password; give the server's address alone"
    if any(not 0 < len(label) < 64 for label in parts.hostname.rstrip(".").split(".")):
        return "has no valid host name; give an address"
    if parts.query or parts.fragment:
        return "must not have a query or a fragment; give the server's address"
    return None


def _lifecycles(file: "RegistryFile") -> Iterator[str]:
    for i, model in enumerate(file.models):
        kind = model.lifecycle
        backend = BACKEND_OF.get(kind, model.backend)
        if backend != model.backend:
            yield f"models[{i}].lifecycle: {kind} needs backend: {backend} (it is {model.backend}); or write always"
        if kind == "lora" and model.lora is None:
            yield f"models[{i}].lora: required where lifecycle is lora; write lora: {{path: /folder, base: id}}"
        for key, needs in OF_LIFECYCLES.items():
            if kind not in needs and key in model.model_fields_set and getattr(model, key) is not None:
                those = " or ".join(needs)
                yield f"models[{i}].{key}: only for lifecycle: {those} (it is {kind}); write that, or leave {key} out"
        if kind == "always" and model.process is not None and model.backend != "vllm":
            yield f"models[{i}].process: only for backend: vllm (it is {model.backend}); leave it out"


def _adapters(file: "RegistryFile") -> Iterator[str]:
    models = {model.id: model for model in file.models}
    for i, model in enumerate(file.models):
        if model.lora is None:
            continue
        base = models.get(model.lora.base)
        if base is None:
            yield f"models[{i}].lora.base: {_not_among(model.lora.base, 'models', list(models))}"
        elif unfit := _unfit(base):
            yield f'models[{i}].lora.base: "{base.id}" {unfit}'
        else:
            yield from (f"models[{i}].{mistake}" for mistake in _beside_its_base(model, base))


def _unfit(base: "Model") -> str | None:
    """Why it cannot have adapters."""
    if base.lora is not None or base.lifecycle == "lora":
        return "is an adapter itself; name the model that its server serves"
    if base.lifecycle not in ("always", "sleep") or base.sleep_level == 2:
        level = f", sleep_level: {base.sleep_level}" if base.lifecycle == "sleep" else ""
        return (
            f"loses its adapters when it goes (lifecycle: {base.lifecycle}{level}); write always, or sleep with "
            "sleep_level: 1"
        )
    if base.backend != "vllm":
        return f"has backend: {base.backend}; only vllm takes adapters"
    return None


def _beside_its_base(model: "Model", base: "Model") -> Iterator[str]:
    if set(model.endpoints) != set(base.endpoints):
        yield f'endpoints: an adapter is where its base is; write those of "{base.id}": {", ".join(base.endpoints)}'
    if model.served_name == base.served_name:
        yield f'served_as: "{model.served_name}" is its base\'s name; an adapter needs a name of its own'


def _processes(file: "RegistryFile") -> Iterator[str]:
    ports: dict[int, str] = {}
    for i, model in enumerate(file.models):
        if model.lifecycle != "process":
            continue
        place, such = f"models[{i}].endpoints", "such as http://127.0.0.1:8000"
        parts = urlsplit(model.endpoints[0])
        if len(model.endpoints) > 1:
            yield f"{place}: lifecycle: process starts one server; give one address, {such}"
        elif parts.scheme != "http" or parts.hostname not in THIS_MACHINE or parts.port is None:
            yield f'{place}[0]: "{model.endpoints[0]}" is not a port of this machine to start a server at, {such}'
        elif parts.port in ports:
            yield f'{place}[0]: port {parts.port} is already that of "{ports[parts.port]}"; give another'
        else:
            ports[parts.port] = model.id


def _shared_servers(file: "RegistryFile") -> Iterator[str]:
    """What puts a whole server to sleep; adapters, and models of one Ollama, come and go one by one."""
    servers: dict[str, Model] = {}
    for i, model in enumerate(file.models):
        if model.lifecycle not in WHOLE_SERVERS:
            continue
        for j, endpoint in enumerate(model.endpoints):
            other = servers.setdefault(endpoint.rstrip("/"), model)
            if other is not model and {model.lifecycle, other.lifecycle} != {"process"}:  # those are told of ports
                yield (
                    f'models[{i}].endpoints[{j}]: {endpoint} is the server of "{other.id}" (lifecycle: '
                    f"{other.lifecycle}), too: one cannot sleep without the other; give each a server of its own, or "
                    "write lifecycle: always for both"
                )


def _groups_without_room(file: "RegistryFile") -> Iterator[str]:
    """What is always awake takes a place for ever. Groups that nobody declares have one."""
    for group in dict.fromkeys(chain(file.groups, (model.lane for model in file.models))):
        members = [model for model in file.models if model.lane == group]
        always = [model.id for model in members if not model.managed]
        managed = [model.id for model in members if model.managed]
        declared = file.groups.get(group)
        most = declared.max_resident if declared else 1
        if len(always) > most and (declared or managed):
            yield (
                f"groups.{group}: max_resident is {most}, but {len(always)} of its models are always awake: "
                f"{', '.join(always)}; raise it, or give them another lifecycle"
            )
        elif managed and len(always) == most:
            yield (
                f"groups.{group}: max_resident is {most}, and always awake are: {', '.join(always)}; that leaves no "
                f"room for {', '.join(managed)}; raise it, or give them another lifecycle"
            )


def _missing_examples(file: "RegistryFile", path: Path) -> Iterator[str]:
    for i, use_case in enumerate(file.use_cases):
        if use_case.examples and not (path.parent / use_case.examples).is_file():
            yield (
                f"use_cases[{i}].examples: no file {path.parent / use_case.examples}; write one, or leave the key out: "
                "then only an explicit `use_case` or an attachment leads there"
            )
    for key, name in (("conversations", file.conversations), ("out_of_scope", file.out_of_scope)):
        if name and not (path.parent / name).is_file():
            yield f"{key}: no file {path.parent / name}; write one, or leave the key out: the classifier learns without"
