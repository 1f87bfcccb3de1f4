"""Structured logs: one line per exchange with ids, decision and timings, never the text of a query or an answer."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from msgspec.structs import asdict

from smart_router.observe.finished import Finished
from smart_router.observe.lines import Lines
from smart_router.types import LogFormat

EXPECTED = ("ok", "client_error")  # outcomes that are no news to an operator
encode = msgspec.json.Encoder().encode


def configure_logs(level: str, form: LogFormat = "auto") -> None:
    """Lines on standard error; `auto` is readable ones on a terminal, JSON elsewhere."""
    at_terminal = sys.stderr.isatty()
    to_people = form == "console" or (form == "auto" and at_terminal)
    console = structlog.dev.ConsoleRenderer(colors=at_terminal)
    renderer: Any = console if to_people else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr) if to_people else LineLogger(Lines(sys.stderr, _lost)),
        cache_logger_on_first_use=False,
    )


class LineLogger:
    """What structlog calls with rendered lines; its own factory, as there is one stream."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def __call__(self, *_: object) -> "LineLogger":
        return self

    def msg(self, line: str) -> None:
        self.lines.say(line.encode("utf-8", "backslashreplace"))

    log = debug = info = warning = error = critical = exception = msg


class RequestLog:
    """
    Call it with each finished exchange, on the event loop, and `close()` it at the end. Follows the configuration of
    its construction: JSON lines are collected and written together, for people each goes through structlog.
    """

    def __init__(self) -> None:
        factory = structlog.get_config()["logger_factory"]
        self._log = structlog.get_logger("requests")
        self._lines = factory.lines if isinstance(factory, LineLogger) else None
        self._informs, self._warns = map(self._log.bind().is_enabled_for, (logging.INFO, logging.WARNING))

    def __call__(self, done: Finished) -> None:
        expected = done.outcome in EXPECTED
        if not (self._informs if expected else self._warns):
            return
        line = _line(done, "info" if expected else "warning")
        if self._lines is None:
            _say(self._log, line)
        else:
            self._lines.add(encode(line))

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()


class _Line(msgspec.Struct, gc=False, tag_field="event", tag="request"):
    """The keys and values that structlog would print."""

    request_id: str
    session_id: str
    outcome: str
    status: int
    path: str
    use_case: str | None
    model: str | None
    replica: str | None
    reason: str | None
    confidence: float
    bypass: bool
    routing_ms: float | None
    first_token_ms: float | None
    total_ms: float | None
    tokens: int
    level: str
    timestamp: datetime
    trace_id: str | msgspec.UnsetType = msgspec.UNSET  # not told where there is none


def _line(done: Finished, level: str) -> _Line:
    usage = done.usage
    return _Line(
        done.request_id,
        done.session_id,
        done.outcome,
        done.status,
        done.path,
        done.use_case,
        done.model,
        done.endpoint,
        done.reason,
        int(done.confidence * 1e4 + 0.5) / 1e4,  # several times as quick as round()
        done.bypass,
        _ms(done.routing_s),
        _ms(done.first_token_s),
        _ms(done.total_s),
        usage.prompt_tokens + usage.completion_tokens,
        level,
        datetime.now(UTC),
        done.trace_id or msgspec.UNSET,
    )


def _say(log: Any, line: _Line) -> None:
    """Through structlog, which has its own clock."""
    ours = {name: value for name, value in asdict(line).items() if name not in ("level", "timestamp")}
    getattr(log, line.level)("request", **{name: value for name, value in ours.items() if value is not msgspec.UNSET})


def _lost(lines: int) -> bytes:
    told = {"event": "log lines were dropped: their reader had stalled", "lines": lines, "level": "warning"}
    return encode(told | {"timestamp": datetime.now(UTC)})


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else int(seconds * 1e6 + 0.5) / 1e3
