"""Where sessions are kept, one kind per file, and what else the routers of one Redis share."""

from collections.abc import Callable

from smart_router.kinds import named_by
from smart_router.lifecycle.agreement import Agreement, Alone
from smart_router.sessions.agreement import ALIVE_S, RedisAgreement
from smart_router.sessions.base import Limits, SessionStore
from smart_router.sessions.fallback import FallbackStore
from smart_router.sessions.memory import EmbeddedStore
from smart_router.sessions.redis import RedisStore
from smart_router.settings import Settings

MISSED = 3  # LIFECYCLE_INTERVALs without a word, at least, before a router counts as gone

KINDS: dict[str, Callable[[Settings, Limits], SessionStore]] = {
    "embedded": lambda settings, limits: EmbeddedStore(limits),
    "redis": lambda settings, limits: FallbackStore(
        RedisStore(
            settings.redis_url.get_secret_value() if settings.redis_url else "",
            limits,
            timeout_ms=settings.redis_timeout_ms,
        ),
        EmbeddedStore(limits),
    ),
}


def open_store(settings: Settings) -> SessionStore:
    """
    What SESSION_STORE names; else the Redis of REDIS_URL, with the embedded store for when it is away; else that one.

    Raises:
        ConfigurationError: SESSION_STORE names nothing that can be imported.
    """
    limits = Limits(
        ttl_s=settings.session_timeout,
        memory_turns=settings.memory_turns,
        memory_bytes=settings.memory_bytes,
        sessions=settings.max_sessions,
        total_bytes=settings.max_sessions_bytes,
    )
    if settings.session_store:
        found: SessionStore = named_by("SESSION_STORE", settings.session_store)(settings, limits)
        return found
    return KINDS["redis" if settings.redis_url else "embedded"](settings, limits)


def open_agreement(settings: Settings) -> Agreement:
    """
    Through the Redis of REDIS_URL; without one, this router is alone. Nothing is connected until it is used.

    Raises:
        ConfigurationError: the URL is wrong.
    """
    if settings.redis_url is None:
        return Alone()
    return RedisAgreement(
        settings.redis_url.get_secret_value(),
        timeout_ms=settings.redis_timeout_ms,
        alive_s=max(ALIVE_S, MISSED * settings.lifecycle_interval),
    )
