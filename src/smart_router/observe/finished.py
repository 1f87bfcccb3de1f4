"""The record of a finished exchange, and who wants it."""

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
import structlog

from smart_router.types import Reason, Usage

log = structlog.get_logger("observe")

Outcome = Literal["ok", "aborted", "client_error", "upstream_error", "unavailable", "timeout", "internal_error"]

NOTHING_USED = Usage()


class Finished(msgspec.Struct, frozen=True, kw_only=True, gc=False):  # nothing in it can refer back to it
    """
    One exchange, successful or not. Durations in seconds; what was never reached is None. *previous_use_case* is set
    when the conversation changed.
    """

    request_id: str
    session_id: str
    outcome: Outcome
    total_s: float
    path: str = "/route"  # one of the data plane's own, never as a client wrote it
    use_case: str | None = None
    model: str | None = None
    endpoint: str | None = None
    reason: Reason | None = None
    confidence: float = 0.0
    bypass: bool = False
    encoded: bool = False  # the classifier looked at this turn
    new_session: bool = False
    previous_use_case: str | None = None
    fallback_from: str | None = None  # the model that should have answered
    routing_s: float | None = None
    first_token_s: float | None = None
    inference_s: float | None = None
    usage: Usage = NOTHING_USED
    status: int = 200
    trace_id: str | None = None  # 32 hexadecimal digits, where the request is traced
    limit: str | None = None  # the limit of its caller that refused it
    failure: str | None = None  # the code of the error that broke off an answer which had been accepted


Observer = Callable[[Finished], None]


def tell(observers: Iterable[Observer], done: Finished) -> None:
    """An observer that fails must not harm the answer, nor keep the news from the others."""
    for observer in observers:
        try:
            observer(done)
        except Exception as exc:
            log.error("an observer failed", request_id=done.request_id, exc_info=exc)
