"""Structured logs: one line per exchange with ids, decision and timings, never the text of a query or an answer."""

import logging
import sys
from typing import Any

import structlog

from smart_router.observe.finished import Finished


def configure_logs(level: str) -> None:
    """Readable lines on a terminal, JSON elsewhere, on standard error."""
    to_people = sys.stderr.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer() if to_people else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


class RequestLog:
    """Call it with each finished exchange."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("requests")

    def __call__(self, done: Finished) -> None:
        say = self._log.info if done.outcome in ("ok", "client_error") else self._log.warning
        say(
            "request",
            request_id=done.request_id,
            session_id=done.session_id,
            outcome=done.outcome,
            status=done.status,
            use_case=done.use_case,
            model=done.model,
            replica=done.endpoint,
            reason=done.reason,
            confidence=round(done.confidence, 4),
            bypass=done.bypass,
            routing_ms=_ms(done.routing_s),
            first_token_ms=_ms(done.first_token_s),
            total_ms=_ms(done.total_s),
            tokens=done.usage.total_tokens,
        )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
