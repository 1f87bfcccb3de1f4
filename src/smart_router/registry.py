"""
The registry: which use cases exist, which models serve them, and where.

Read from YAML with `${VAR:-default}` (which nests), validated whole, and refused with one line per mistake:
the YAML path, what is wrong and what would be right.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from smart_router.errors import ConfigurationError
from smart_router.kinds import imported
from smart_router.registry_checks import mistakes_of
from smart_router.rules import MOST_MESSAGE_CHARACTERS, MOST_OF_ANYTHING, MOST_PATTERN_CHARACTERS, searching
from smart_router.types import Api, MediaKind, Modality

Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")]
BACKENDS = ("vllm", "ollama", "openai")
Lifecycle = Literal["always", "sleep", "process", "lora", "ollama"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Denied(_Part):
    """Texts that contain *pattern*, a regular expression of RE2's, are refused with *message*."""

    pattern: str = Field(min_length=1, max_length=MOST_PATTERN_CHARACTERS)
    """A regular expression of RE2's; `(?i)` ignores case."""
    message: str = Field(min_length=1, max_length=MOST_MESSAGE_CHARACTERS)
    """What the client is told, with 403."""

    @field_validator("pattern")
    @classmethod
    def _is_one(cls, pattern: str) -> str:
        searching(pattern)
        return pattern


class Policy(_Part):
    """What requests may ask for; None: anything."""

    max_tokens: int | None = Field(None, ge=1, le=MOST_OF_ANYTHING)
    """The longest answer that may be asked for, in tokens; left out: any."""
    max_choices: int | None = Field(None, ge=1, le=MOST_OF_ANYTHING)
    """Answers to one request (`n`, `best_of`); left out: as many as `MAX_CHOICES`."""
    deny: tuple[Denied, ...] = ()
    """Texts that are refused."""


class Defaults(_Part):
    use_case: Id = "agent"
    """Where a query goes that the classifier is not sure of; one of `use_cases`."""
    max_tokens: int = Field(100, ge=1, le=1_000_000)
    """Of an answer to `/route`, where the request says nothing."""
    temperature: float = Field(0.7, ge=0, le=2)
    """Likewise; 0: always the likeliest token."""
    policy: Policy = Policy()
    """What requests may ask for, of all use cases: see [security](../security.md#policy)."""


class Process(_Part):
    """
    How a router starts the model's server on its own machine. *command* is what to run, `{host}` and `{port}` standing
    for those of the endpoint; left out: `vllm serve` with what the registry says.
    """

    command: tuple[str, ...] = ()
    """What to run; left out: `vllm serve` with what the registry says (backend `vllm` only)."""
    gpu_memory_fraction: float | None = Field(None, gt=0, le=1)
    """Share of its GPU's memory that the server may fill; left out: the server's own."""
    environment: dict[str, str] = Field({}, repr=False)
    """Variables for it, beside the router's own but for those that are the router's settings."""
    log: str = ""
    """The file for its output, `{port}` standing for its port; left out: one in `PROCESS_DIR`."""

    @field_validator("command", "environment", "log")
    @classmethod
    def _can_be_passed_on(cls, given: tuple[str, ...] | dict[str, str] | str) -> tuple[str, ...] | dict[str, str] | str:
        """As a system takes it."""
        if any("\0" in word for word in (*given, *(given.values() if isinstance(given, dict) else ()))):
            raise ValueError("must not contain a null character")
        if isinstance(given, dict) and any(not name or "=" in name for name in given):
            raise ValueError("a name of a variable must not be empty, nor contain =")
        return given

    def __hash__(self) -> int:
        return hash((self.command, self.gpu_memory_fraction, frozenset(self.environment.items()), self.log))


class Lora(_Part):
    """
    An adapter in the folder *path* of the server that serves *base*, another model of the registry. It takes a place in
    its own group, none in its base's: what memory it has there was set aside as the server started.
    """

    path: str = Field(min_length=1)
    """The adapter's folder, as its server sees it."""
    base: Id
    """The model, by its id, at whose endpoints the adapter is: `always` awake, or of `sleep` with `sleep_level: 1`."""


class Model(_Part):
    """One model and the servers that answer for it; every endpoint is a replica, or a name that stands for several."""

    id: Id
    """What people, requests and dashboards call it; unique."""
    backend: str = "vllm"
    """
    The kind of its servers: `vllm`, `ollama`, `openai`, or `module:Class` for one of your own: see
    [backends](../backends.md).
    """
    endpoints: tuple[str, ...] = Field(min_length=1)
    """
    Addresses of its servers, each a replica: `http://…`, `https://…`, or `dns+http://name:port` for every
    address behind a name.
    """
    served_as: str = ""
    """The name its servers know it by; left out: the id."""
    api_key: SecretStr | None = None
    """The bearer key that its servers want from the router, as `"${OPENAI_API_KEY}"`; empty: none."""
    capabilities: tuple[str, ...] = ()
    """
    What it can do, in words. Some count: where a request says `auto` and has no words to go by, a model with
    `embedding`, `rerank`, `score`, `speech_generation` or `speech_recognition` answers the paths for that.
    """
    accepts: tuple[Modality, ...] = ("text",)
    """What may be attached."""
    api: Api = "chat"
    """What `/route` calls there."""
    languages: tuple[str, ...] = ()
    """BCP 47 tags, for people who read the registry: nothing is decided by them."""
    performance: int = Field(50, ge=0, le=100)
    """Likewise."""
    max_in_flight: int = Field(64, ge=1, le=100_000)
    """Requests at once, per replica."""
    max_queue: int = Field(100, ge=0, le=100_000)
    """Requests that may wait for a place, per router, for `QUEUE_TIMEOUT` at most; 0: none."""
    group: str = ""
    """Models of a group share GPU memory, and a session's lane; left out: a group by itself."""
    lifecycle: Lifecycle = "always"
    """How it makes room for others of its group: see [models that come and go](../model-lifecycle.md#kinds)."""
    sleep_level: Literal[1, 2] = 1
    """Of `lifecycle: sleep`: 1 keeps the weights in CPU memory, 2 drops them."""
    process: Process | None = None
    """How the router, or `smart-router up`, starts its server."""
    lora: Lora | None = None
    """Of `lifecycle: lora`, and required there."""
    fallbacks: tuple[Id, ...] = ()
    """Ids of models that answer when none of its replicas does."""

    @field_validator("backend")
    @classmethod
    def _there_is_one(cls, backend: str) -> str:
        if backend in BACKENDS:
            return backend
        if ":" not in backend:
            raise ValueError(f"must be {', '.join(map(repr, BACKENDS))}, or module:Class for a kind of your own")
        try:
            imported(backend)
        except ConfigurationError as exc:
            raise ValueError(str(exc)) from None
        return backend

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None or not key.get_secret_value():
            return None
        if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
            raise ValueError("must be one word of plain ASCII, as it goes into a header")
        return key

    @property
    def managed(self) -> bool:
        """It comes and goes, as requests need it."""
        return self.lifecycle != "always"

    @property
    def served_name(self) -> str:
        return self.served_as or self.id

    @property
    def lane(self) -> str:
        """The backend group that a session keeps a lane for: the GPU group, else the model by itself."""
        return self.group or self.id


class Group(_Part):
    max_resident: int = Field(1, ge=1, le=1000)
    """Models awake at once, those that are always awake included."""


_UNDECLARED = Group()


class UseCase(_Part):
    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """What requests, sessions and metrics call it; lower case, unique."""
    description: str = ""
    """For people, in `/use-cases` and the web page."""
    models: tuple[Id, ...] = Field(min_length=1)
    """Ids of the models that answer, in order of preference."""
    modalities: tuple[Modality, ...] = ("text",)
    """What its queries come with: an attached image rules out use cases that do not list `image`."""
    examples: str | None = None
    """
    File of example queries, beside the registry; left out: words never lead here, only an explicit `use_case`
    or an attachment does.
    """
    threshold: float | None = Field(None, ge=0, le=1)
    """Probability below which a first turn goes to the default use case; left out: `CONFIDENCE_THRESHOLD`."""
    policy: Policy = Policy()
    """As under `defaults`, for this use case; the strictest counts."""


class RegistryFile(_Part):
    """What stands in the file; each part is right by itself."""

    version: Literal[1]
    """Of the file's format."""
    defaults: Defaults = Defaults()
    """What a request gets that does not say."""
    models: tuple[Model, ...] = Field(min_length=1)
    """The models and their servers."""
    groups: dict[str, Group] = {}
    """GPUs, or sets of GPUs, that models share, by name; a group that is not declared holds one model."""
    use_cases: tuple[UseCase, ...] = Field(min_length=1)
    """What queries can be routed to."""
    conversations: str | None = None
    """File with conversations that the classifier learns from, beside the registry; left out: it learns without."""
    out_of_scope: str | None = None
    """File with texts that belong to no use case; likewise."""


@dataclass(frozen=True)
class Registry:
    """A validated registry; *models* and *use_cases* keep the file's order."""

    source: Path
    defaults: Defaults
    models: Mapping[str, Model]
    groups: Mapping[str, Group]
    use_cases: Mapping[str, UseCase]
    conversations: str | None = None
    out_of_scope: str | None = None

    def candidates(self, use_case: str, attached: frozenset[MediaKind] = frozenset()) -> tuple[Model, ...]:
        """The models that may answer, in order: its own that accept what is attached, then their fallbacks."""
        own = [self.models[name] for name in self.use_cases[use_case].models]
        fallbacks = [self.models[name] for model in own for name in model.fallbacks]
        return tuple(model for model in dict.fromkeys([*own, *fallbacks]) if attached <= set(model.accepts))

    def max_resident(self, lane: str) -> int:
        """How many models of *lane* may be awake at once."""
        return self.groups.get(lane, _UNDECLARED).max_resident

    @property
    def comes_and_goes(self) -> bool:
        """Some model does."""
        return any(model.managed for model in self.models.values())

    @property
    def taught(self) -> tuple[str, ...]:
        """The use cases that have examples: only to these do words lead."""
        return tuple(use_case.id for use_case in self.use_cases.values() if use_case.examples)

    def examples_path(self, use_case: UseCase) -> Path | None:
        return self.beside(use_case.examples) if use_case.examples else None

    def beside(self, name: str) -> Path:
        """A file that the registry names."""
        return self.source.parent / name


@dataclass(frozen=True)
class Changes:
    """Ids of models, in the registry's order, and of all use cases there are now."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    use_cases: tuple[str, ...]


def changes(old: Registry, new: Registry) -> Changes:
    before, now = old.models, new.models
    return Changes(
        added=tuple(id for id in now if id not in before),
        removed=tuple(id for id in before if id not in now),
        changed=tuple(id for id, model in now.items() if id in before and before[id] != model),
        use_cases=tuple(new.use_cases),
    )


def default_registry_path() -> Path:
    """`config/model_registry.yaml` here, else in the source tree, else the copy inside the package."""
    package = Path(__file__).parent
    places = (Path("config"), package.parents[1] / "config", package / "config")
    return next((found for place in places if (found := place / "model_registry.yaml").exists()), places[-1])


def load_registry(path: Path, environ: Mapping[str, str]) -> Registry:
    """
    Read and check the registry at *path*; `${NAME}` stands for a variable of *environ*.

    Raises:
        ConfigurationError: a line per mistake, each with its YAML path and what would be right.
    """
    try:
        file = _parse(_interpolated(_read(path), environ, path), path)
    except RecursionError:
        raise ConfigurationError(f"{path}: contains itself; write the part out instead of an alias to it") from None
    if mistakes := list(mistakes_of(file, path)):
        raise ConfigurationError("\n".join(f"{path}: {mistake}" for mistake in mistakes))
    return Registry(
        source=path.resolve(),
        defaults=file.defaults,
        models={model.id: model for model in file.models},
        groups=file.groups,
        use_cases={use_case.id: use_case for use_case in file.use_cases},
        conversations=file.conversations,
        out_of_scope=file.out_of_scope,
    )


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such registry; set MODEL_REGISTRY to one, or unset it") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path}: cannot be read: {exc}") from None
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{path}: not YAML: {' '.join(_without_text(exc).split())}") from None


def _without_text(error: yaml.YAMLError) -> str:
    """Where it is wrong, but not what stands there: it may be a key."""
    if isinstance(error, yaml.MarkedYAMLError):
        for mark in (error.context_mark, error.problem_mark):
            if mark is not None:
                mark.buffer = None
    return str(error)


NEVER_SHOWN = re.compile(r"\.api_key\b|\.process(\.command|\.environment|$)")  # places where secrets stand
_OPENED = "\0{"  # stands for a "${" that came with a value
_INNERMOST = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^${}]*))?\}")


def _interpolated(node: Any, environ: Mapping[str, str], path: Path, place: str = "") -> Any:
    if isinstance(node, dict):
        return {k: _interpolated(v, environ, path, f"{place}.{k}" if place else str(k)) for k, v in node.items()}
    if isinstance(node, list):
        return [_interpolated(v, environ, path, f"{place}[{i}]") for i, v in enumerate(node)]
    return _substituted(node, environ, path, place) if isinstance(node, str) and "${" in node else node


def _substituted(text: str, environ: Mapping[str, str], path: Path, place: str) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = environ.get(name) or default
        if found is None:
            raise ConfigurationError(f"{path}: {place}: {name} is not set; set it or write ${{{name}:-default}}")
        return found.replace("${", _OPENED)

    for _ in range(8):  # defaults may nest; values from the environment are not looked into
        replaced = _INNERMOST.sub(value, text)
        if replaced == text:
            break
        text = replaced
    if "${" in text:
        shown = "what stands there" if NEVER_SHOWN.search(place) else repr(text)
        raise ConfigurationError(f"{path}: {place}: {shown} is not of the form ${{NAME}} or ${{NAME:-default}}")
    return text.replace(_OPENED, "${")


def _parse(data: Any, path: Path) -> RegistryFile:
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: must be a mapping with version, models and use_cases")
    try:
        return RegistryFile.model_validate(data)
    except ValidationError as exc:
        found: list[dict[str, Any]] = [dict(error) for error in exc.errors()]
        lines = (f"{path}: {_place(e['loc'])}: {_advice(e)}" for e in found if not _follows(e, found))
        raise ConfigurationError("\n".join(lines)) from None


def _follows(error: dict[str, Any], found: list[dict[str, Any]]) -> bool:
    """A list is too short only because what is in it is wrong."""
    place = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found
    )


def _place(loc: tuple[int | str, ...]) -> str:
    place = ""
    for step in loc:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    return place


def _advice(error: dict[str, Any]) -> str:
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        return f"unknown key; the keys known here are {', '.join(_known_keys(error['loc']))}"
    if kind == "missing":
        return "required and missing"
    message = message.removeprefix("Value error, ")
    hidden = isinstance(error["input"], dict | list | tuple) or NEVER_SHOWN.search(_place(error["loc"]))
    shown = "" if hidden else f" (it is {error['input']!r:.80})"
    return f"{message[0].lower()}{message[1:]}{shown}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    parts: dict[str, type[_Part]] = {"models": Model, "use_cases": UseCase, "defaults": Defaults, "groups": Group}
    inner: dict[str, type[_Part]] = {"process": Process, "lora": Lora}
    part = parts.get(str(loc[0]), RegistryFile) if len(loc) > 1 else RegistryFile
    if part is Model and len(loc) > 3:
        part = inner.get(str(loc[2]), Model)
    if part in (UseCase, Defaults) and "policy" in loc[:-1]:
        part = Denied if "deny" in loc[:-1] else Policy
    return list(part.model_fields)
