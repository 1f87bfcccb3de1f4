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
    """One process's settings; durations in seconds, sizes in bytes unless the name says otherwise."""

    model_config = SettingsConfigDict(
        env_file=DOTENV, extra="ignore", frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    # What to route to, and how
    model_registry: Path | None = None  # None: ./config/model_registry.yaml, else the one in the package
    routing_mode: RoutingMode = "realtime"

    # The door
    router_port: int = Field(8001, ge=1, le=65535, validation_alias=AliasChoices("ROUTER_PORT", "PORT"))
    api_key: SecretStr | None = None
    api_keys_file: Path | None = None
    allow_open: bool = False  # without a key, on an address that others can reach
    rate_limit_per_minute: int = Field(0, ge=0, le=60_000_000)  # requests of a key that has no limit of its own; 0: any
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, le=1024**3)
    max_query_chars: int = Field(32_768, ge=1, le=10_000_000)
    max_attachments: int = Field(8, ge=0, le=64)
    media_hosts: Annotated[tuple[str, ...], NoDecode] = ("*",)  # that links may lead to; *: public ones; none: none
    max_choices: int = Field(8, ge=1, le=1024)  # answers to one request: `n`, `best_of`
    allow_parameters: Annotated[tuple[str, ...], NoDecode] = ()  # that are not looked at, though known to be dangerous
    header_timeout: Seconds = 10.0  # for the head of a request, from the connection's first moment on
    body_timeout: Seconds = 30.0
    send_timeout: Seconds = 60.0  # for a part of a stream, until the client has taken it
    drain_delay: float = Field(3.0, ge=0, le=600)  # told to stop: not ready for so long, while it still serves
    drain_timeout: int = Field(30, ge=1, le=3600)  # then, for what is under way

    # Sessions
    redis_url: SecretStr | None = None
    redis_timeout_ms: int = Field(50, ge=1, le=10_000)
    session_timeout: int = Field(1800, ge=1, le=30 * 24 * 3600)
    max_sessions: int = Field(50_000, ge=1, le=10_000_000)  # bounds of the embedded store
    max_sessions_bytes: int = Field(256 * 1024 * 1024, ge=1024 * 1024, le=1024**4)
    memory_turns: int = Field(10, ge=0, le=200)
    memory_bytes: int = Field(262_144, ge=1024, le=16 * 1024 * 1024)  # per session, attachments included

    # The classifier
    encoder_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    encoder_prompt: str | None = None  # what stands before every text in a build; None: what the model itself says
    classifier_dir: Path | None = None  # where artifacts built here are kept; None: the user's cache folder
    confidence_threshold: float = Field(0.5, ge=0, le=1)  # probability; below it: the default use case
    switch_margin: float = Field(0.15, ge=0, le=1)  # probability by which another use case must lead to end a topic
    return_margin: float = Field(0.05, ge=0, le=1)  # the same, for a use case that the session was in before
    guard_threshold: float = Field(0.23, ge=0, le=1)  # probability of other use cases together that alarms the guard
    conflict_threshold: float = Field(0.9, ge=0, le=1)  # probability of a use case that what came with a turn rules out
    shadow_share: float = Field(0.01, ge=0, le=1)  # of the bypassed turns, that are classified afterwards to compare
    llm_classifier_model: str = ""  # id of the model that gives a second opinion; empty: none does
    llm_classifier_below: float = Field(0.5, ge=0, le=1)  # confidence below which it is asked
    llm_classifier_timeout: Seconds = 0.5
    classifier_queue: int = Field(1024, ge=1, le=100_000)
    classifier_timeout: Seconds = 2.0

    # Upstream
    connect_timeout: Seconds = 1.0
    first_byte_timeout: Seconds = 120.0  # of a stream; a whole answer comes with its end
    between_chunks_timeout: Seconds = 30.0
    open_timeout: Seconds = 300.0  # all attempts of one request together, a whole answer included
    queue_timeout: Seconds = 10.0  # for a place, where all replicas of a model are at their limits
    health_interval: Seconds = 5.0
    health_timeout: Seconds = 1.0
    load_interval: Seconds = 1.0  # of models with several replicas
    dns_interval: Seconds = 5.0  # of endpoints that are dns+http://
    replica_slack: int = Field(8, ge=0, le=10_000)  # requests by which the warm replica may be busier
    retry_budget: float = Field(0.2, ge=0, le=1)  # share of the requests of the last 10 s that may be retried

    # Models that come and go
    max_concurrent_models: int = Field(3, ge=1, le=1000)  # awake at once, of those that are not always
    model_switch_timeout: Seconds = 10.0  # that a request waits for its model to wake; then 503, or a fallback
    model_load_timeout: Seconds = 600.0  # for a model to be ready; then it has failed
    wait_comment_interval: Seconds = 3.0  # between comments to a client that takes a stream, while its model wakes
    min_residency: float = Field(2.0, ge=0, le=3600)  # awake at least so long before another may take its place
    lifecycle_interval: Seconds = 1.0  # between two looks at servers of models that come and go
    predictive_wake: bool = False  # the model that a session will likely ask next is woken early
    process_dir: Path | None = None  # logs and pid files of servers that are started; None: the user's state folder
    process_stop_timeout: Seconds = 15.0  # for such a server to end when told to; then it is killed

    # What is seen of it
    log_level: str = "info"
    log_format: LogFormat = "auto"

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
