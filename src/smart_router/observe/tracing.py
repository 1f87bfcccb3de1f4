"""
Whether requests are traced: OpenTelemetry's own variables say so, and its packages are imported only then.

`observe/spans.py` has the spans themselves. Spans wait in a bounded queue and are sent by a thread: a collector that is
slow or away costs spans, and one line of the log a minute.
"""

import logging
import os
from collections.abc import Collection, Mapping
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from smart_router import __version__
from smart_router.errors import ConfigurationError
from smart_router.types import Trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

log = structlog.get_logger("tracing")

EXPORTERS = ("otlp", "console", "none")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
SERVICE = "smart-router"
LAST_WORDS_S = 3.0  # how long the end of the process may wait for the collector
COMPLAIN_EVERY_S = 60.0
MOST_OF_A_COMPLAINT = 300


class Tracing(Protocol):
    """Traces requests until it is closed."""

    def begin(self, scope: Mapping[str, Any]) -> Trace:
        """A request's trace, which goes on from the one that its headers name. Whoever has it must `end()` it."""

    def close(self) -> None:
        """Send what waits, within LAST_WORDS_S; blocks."""


def open_tracing(variables: Mapping[str, str], routes: Collection[str]) -> Tracing | None:
    """
    None where the environment does not ask for it. *routes*: the paths that may name a span.

    Raises:
        ConfigurationError: it asks for something that cannot be had.
    """
    exporters = check_variables(variables)
    if not exporters:
        return None
    # OpenTelemetry reads the process's environment alone; ours may come from `.env`.
    os.environ.update({name: value for name, value in variables.items() if name.startswith("OTEL_")})
    _listen_to_complaints()
    try:
        from smart_router.observe.spans import OpenTelemetry

        provider = _provider(exporters)
    except ImportError as exc:
        raise ConfigurationError(_MISSING) from exc
    except ValueError as exc:
        raise ConfigurationError(f"OTEL_…: OpenTelemetry does not take a value: {exc}") from exc
    log.info("requests are traced", exporters=exporters)
    return OpenTelemetry(provider.get_tracer(SERVICE, __version__), routes, lambda: _shut_down(provider))


def check_variables(variables: Mapping[str, str]) -> tuple[str, ...]:
    """
    The exporters that are asked for; none: nothing is traced.

    Raises:
        ConfigurationError: they, or the way to them, cannot be had.
    """
    if exporters := _wanted(variables):
        _check_the_way(variables)
    return exporters


_MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER: tracing needs packages that are not installed; "
    "run `pip install 'smart-router[tracing]'`, or set OTEL_TRACES_EXPORTER=none"
)


def _wanted(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Names of exporters; an empty variable counts as unset, as everywhere."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    given = variables.get("OTEL_TRACES_EXPORTER", "").strip()
    if not given:
        return ("otlp",) if any(variables.get(name) for name in ENDPOINTS) else ()
    names = tuple(name.strip() for name in given.split(","))
    if not set(names) <= set(EXPORTERS):
        raise ConfigurationError(f"OTEL_TRACES_EXPORTER: must be among {', '.join(EXPORTERS)} (it is {given!r})")
    return tuple(name for name in names if name != "none")


def _check_the_way(variables: Mapping[str, str]) -> None:
    for name in PROTOCOLS:
        if variables.get(name, "") not in ("", PROTOCOL):
            instead = f"unset it, and give the collector's HTTP port (4318 as a rule) in {ENDPOINTS[1]}"
            raise ConfigurationError(f"{name}: only {PROTOCOL} is spoken here (it is {variables[name]!r}); {instead}")
    for name in ENDPOINTS:
        given = variables.get(name, "")
        if given and not given.startswith(("http://", "https://")):
            raise ConfigurationError(f"{name}: must start with http:// or https:// (it is {given!r})")


def _provider(exporters: Collection[str]) -> "TracerProvider":
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in exporters:
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    return provider


def _exporter(name: str) -> "SpanExporter":
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _shut_down(provider: "TracerProvider") -> None:
    """The exporter's own patience with a collector that is away is longer than a restart should take."""
    ending = Thread(target=provider.shutdown, name="last spans", daemon=True)
    ending.start()
    ending.join(LAST_WORDS_S)


def _listen_to_complaints() -> None:
    theirs = logging.getLogger("opentelemetry")
    theirs.propagate = False
    if not any(isinstance(handler, Complaints) for handler in theirs.handlers):
        theirs.addHandler(Complaints())


class Complaints(logging.Handler):
    """What OpenTelemetry warns of, in our log, once a minute at most: a collector that is away must not fill it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = 0.0
        self._unsaid = 0

    def emit(self, record: logging.LogRecord) -> None:
        now = monotonic()
        if now < self._next:
            self._unsaid += 1
            return
        unsaid, self._unsaid, self._next = self._unsaid, 0, now + COMPLAIN_EVERY_S
        said = record.getMessage()[:MOST_OF_A_COMPLAINT]
        log.warning("OpenTelemetry warns, spans may be lost", said=said, not_told_before=unsaid)
