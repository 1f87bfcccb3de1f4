"""
Settings from the environment and `.env`, under the names users know them by.

A malformed value stops the start with the variable's name, what it held and what is allowed.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le
from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from smart_router.decide.links import media_hosts
from smart_router.decide.parameters import allowed_parameters
from smart_router.errors import ConfigurationError
from smart_router.types import LogFormat, RoutingMode

DOTENV = ".env"  # in the folder the router starts in
REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "sentinel://", "sentinels://", "cluster://", "clusters://")
LOG_LEVELS = ("debug", "info", "warning", "error")

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Settings(BaseSettings):
    """
    One process's settings; durations in seconds, sizes in bytes unless the name says otherwise.

    `make docs` makes the tables of docs/configuration.md of it: a comment in a line of its own begins a table, the text
    below a field says what it is.
    """

    model_config = SettingsConfigDict(
        env_file=DOTENV, extra="ignore", frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    # What to route to, and how
    model_registry: Path | None = None
    """The registry; unset: `config/model_registry.yaml` here, else the copy in the package."""
    routing_mode: RoutingMode = "realtime"
    """`realtime`: follow-ups bypass the classifier; `standard`: every turn is classified, the session weighs in."""

    # The door
    router_port: int = Field(8001, ge=1, le=65535, validation_alias=AliasChoices("ROUTER_PORT", "PORT"))
    """Where `serve` listens; the first of the two that is set."""
    api_key: SecretStr | None = None
    """The shared key, which may do everything; unset, with no file of keys either: everybody may."""
    api_keys_file: Path | None = None
    """A file of many keys with scopes and limits, see [security.md](security.md); read again as it changes."""
    allow_open: bool = False
    """Without any key, `serve` listens on loopback addresses only unless this is true."""
    rate_limit_per_minute: int = Field(0, ge=0, le=60_000_000)
    """Requests a minute of each key that has no limit of its own; 0: any number."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of other pages that may call from a browser; unset: none."""
    playground: bool = True
    """The page at `/`, see [playground.md](playground.md); false: there is none."""
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, le=1024**3)
    """Of a request's body, attachments included; more is refused with 413."""
    max_query_chars: int = Field(32_768, ge=1, le=10_000_000)
    """Characters of a query."""
    max_attachments: int = Field(8, ge=0, le=64)
    """Attachments of a request."""
    media_hosts: Annotated[tuple[str, ...], NoDecode] = ("*",)
    """
    Where links to media may lead: `*` (any public host), `none`, or these hosts alone, `*.example.com` too; see
    [security.md](security.md#links-to-media).
    """
    max_choices: int = Field(8, ge=1, le=1024)
    """Answers to one request: `n`, `best_of`."""
    allow_parameters: Annotated[tuple[str, ...], NoDecode] = ()
    """
    Parameters let through though [known to stop model servers](security.md#dangerous-parameters); `*`: all of them.
    """
    header_timeout: Seconds = 10.0
    """Until the head of a request has arrived; then 408, and the connection is closed."""
    body_timeout: Seconds = 30.0
    """Until a body has arrived."""
    send_timeout: Seconds = 60.0
    """For a part of a stream, until the client has taken it; then it counts as gone."""
    drain_delay: float = Field(3.0, ge=0, le=600)
    """
    Told to stop (SIGTERM): for so long `/ready` says no, while everything is still served; see
    [operations.md](operations.md#start-and-stop).
    """
    drain_timeout: int = Field(30, ge=1, le=3600)
    """Told to stop, after `DRAIN_DELAY`: until what is under way is cut off."""

    # Sessions
    session_store: str = ""
    """
    `module:Class` of a session store of your own in place of Redis and the process's; see
    [extending.md](extending.md#a-session-store).
    """
    redis_url: SecretStr | None = None
    """
    Where sessions live: `redis://`, `rediss://`, `unix://`, `sentinel://`, `sentinels://`, `cluster://` or
    `clusters://`, see below; unset: in the process, one worker only.
    """
    redis_timeout_ms: int = Field(50, ge=1, le=10_000)
    """One round trip to Redis; then the request goes on with what this process knows of the session."""
    session_timeout: int = Field(1800, ge=1, le=30 * 24 * 3600)
    """That a session lives after its last turn."""
    max_sessions: int = Field(50_000, ge=1, le=10_000_000)
    """
    Sessions that the embedded store holds; the least recently used make room. With Redis, of each caller so many are
    listed by `GET /sessions`.
    """
    max_sessions_bytes: int = Field(256 * 1024 * 1024, ge=1024 * 1024, le=1024**4)
    """What the embedded store may fill; likewise."""
    memory_turns: int = Field(10, ge=0, le=200)
    """Exchanges remembered and sent along."""
    memory_bytes: int = Field(262_144, ge=1024, le=16 * 1024 * 1024)
    """That a session's conversation may fill, attachments included."""

    # The classifier
    classifier: str = ""
    """`module:Class` of a classifier of your own; see [extending.md](extending.md#a-classifier)."""
    encoder_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    """The encoder, a name or a path; others than the shipped one need `smart-router classifier build`."""
    encoder_prompt: str | None = None
    """What a build puts before every text, such as `query: ` for the E5 models; unset: what the model itself says."""
    classifier_dir: Path | None = None
    """Where artifacts and heads made here are kept; unset: `smart-router` in the user's cache folder."""
    confidence_threshold: float = Field(0.5, ge=0, le=1)
    """
    Probability below which a first turn goes to the default use case; a use case may have its own `threshold` in
    the registry.
    """
    switch_margin: float = Field(0.15, ge=0, le=1)
    """Probability by which another use case must lead to end a topic."""
    return_margin: float = Field(0.05, ge=0, le=1)
    """The same, for a use case that the session was in before."""
    guard_threshold: float = Field(0.23, ge=0, le=1)
    """Probability of other use cases together, by words, that has a follow-up classified."""
    conflict_threshold: float = Field(0.9, ge=0, le=1)
    """Probability from which on a text that asks for a use case which does not take what is attached is reported."""
    shadow_share: float = Field(0.01, ge=0, le=1)
    """Share of the bypassed turns that are classified afterwards, to compare; 0: none."""
    llm_classifier_model: str = ""
    """
    The model, an id of the registry, that gives a second opinion on turns the classifier is not sure of; unset: none.
    """
    llm_classifier_below: float = Field(0.5, ge=0, le=1)
    """Confidence below which a second opinion is asked for."""
    llm_classifier_timeout: Seconds = 0.5
    """For the second opinion; then the classifier's own choice stands."""
    classifier_queue: int = Field(1024, ge=1, le=100_000)
    """Queries waiting for the encoder; more are decided without it."""
    classifier_timeout: Seconds = 2.0
    """For the encoder; then the decision is made without it."""

    # Upstream
    connect_timeout: Seconds = 1.0
    """To connect to a model server."""
    first_byte_timeout: Seconds = 120.0
    """Until a stream's first content; then the next replica."""
    between_chunks_timeout: Seconds = 30.0
    """Between two parts of a stream."""
    open_timeout: Seconds = 300.0
    """All attempts of one request together, a whole (not streamed) answer included."""
    queue_timeout: Seconds = 10.0
    """
    Where all replicas of a model are at their `max_in_flight`: how long a request waits for a place before it gets
    a 503; how many may wait says the model's `max_queue`.
    """
    health_interval: Seconds = 5.0
    """Between two health checks of a model server."""
    health_timeout: Seconds = 1.0
    """For a health check's answer."""
    load_interval: Seconds = 1.0
    """How often models with several replicas are asked for their load; after three it is unknown."""
    dns_interval: Seconds = 5.0
    """How often the names of `dns+http://name:port` endpoints are looked up."""
    replica_slack: int = Field(8, ge=0, le=10_000)
    """Requests by which a session's warm replica may be busier than another; one that waits counts as four."""
    retry_budget: float = Field(0.2, ge=0, le=1)
    """Retries, as a share of the requests of the last 10 s; at least 10 per 10 s, or none when 0."""

    # Models that come and go
    max_concurrent_models: int = Field(3, ge=1, le=1000)
    """
    Models that come and go (a `lifecycle` other than `always`): how many are awake at once, over all groups; a
    group's own bound is its `max_resident`.
    """
    model_switch_timeout: Seconds = 10.0
    """That a request waits for its model to wake; then 503 with `Retry-After`, or a fallback answers."""
    model_load_timeout: Seconds = 600.0
    """For a model to be ready once it is being woken, whoever waits; then that try has failed."""
    wait_comment_interval: Seconds = 3.0
    """Between comments (SSE) to a client that takes a stream and waits for its model to wake."""
    min_residency: float = Field(2.0, ge=0, le=3600)
    """That a model which woke stays before another may take its place."""
    lifecycle_interval: Seconds = 1.0
    """Between two looks at the servers of models that come and go."""
    predictive_wake: bool = False
    """
    Wake the model that a session will likely ask next, as sessions of late did, before it is asked: see
    [model-lifecycle.md](model-lifecycle.md#waking-early).
    """
    process_dir: Path | None = None
    """
    Logs and pid files of model servers that the router starts (`lifecycle: process`, `smart-router up`); unset:
    `smart-router/processes` in `$XDG_STATE_HOME`, else in `~/.local/state`.
    """
    process_stop_timeout: Seconds = 15.0
    """For a server that the router started to end when it is told to; then it is killed."""

    # What is seen of it
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`: what is logged."""
    log_format: LogFormat = "auto"
    """Lines of the log; `auto`: readable on a terminal, JSON elsewhere."""

    @field_validator("api_key")
    @classmethod
    def _not_blank(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not value.get_secret_value().strip():
            raise ValueError("is blank; give a key, or unset it to let everybody in")
        return value

    @field_validator("cors_origins", "media_hosts", "allow_parameters", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("media_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return media_hosts(value)

    @field_validator("allow_parameters")
    @classmethod
    def _known_parameters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return allowed_parameters(value)

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(REDIS_SCHEMES):
            raise ValueError(f"must start with one of {', '.join(REDIS_SCHEMES)}, such as redis://localhost:6379/0")
        if value is not None and not _readable_url(value.get_secret_value()):
            raise ValueError("cannot be read as a URL; percent-encode special characters of the password")
        return value

    @field_validator("log_format", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in LOG_LEVELS:
            raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
        return value.lower()


def _readable_url(url: str) -> bool:
    """URLs of several servers are the session store's to read."""
    from redis.asyncio.connection import parse_url

    if url.startswith(("sentinel", "cluster")):
        return True
    try:
        parse_url(url)
    except (ValueError, TypeError):
        return False
    return True


def environment() -> Mapping[str, str]:
    """The variables of `.env` and of the process; the process wins."""
    return {name: value for name, value in dotenv_values(DOTENV).items() if value is not None} | dict(os.environ)


def load_settings() -> Settings:
    """
    Read `.env` and the environment.

    Raises:
        ConfigurationError: a value is malformed; one line per variable.
    """
    try:
        return Settings()
    except ValidationError as exc:
        raise ConfigurationError("\n".join(_line(error) for error in exc.errors())) from None


def _line(error: object) -> str:
    assert isinstance(error, dict)
    field = str(error["loc"][0]).lower() if error["loc"] else "settings"
    name = "PORT" if field == "router_port" and not environment().get("ROUTER_PORT") else field.upper()
    message = str(error["msg"]).removeprefix("Value error, ")
    value = "" if field in ("api_key", "redis_url") else f" (it is {error.get('input')!r})"
    return f"{name}: {message}{_allowed(field)}{value}"


def _allowed(field: str) -> str:
    """; allowed is 1 to 3600, where a field has bounds."""
    known = {"port": "router_port"}.get(field, field)
    metadata = Settings.model_fields[known].metadata if known in Settings.model_fields else []
    low = next((f"{part.ge}" for part in metadata if isinstance(part, Ge)), "")
    low = low or next((f"more than {part.gt}" for part in metadata if isinstance(part, Gt)), "")
    high = next((str(part.le) for part in metadata if isinstance(part, Le)), "")
    return f"; allowed is {low} to {high}" if low and high else ""
