"""One exchange with a model server, from its acceptance to its one and only close."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from smart_router.errors import BackendTimeout, UpstreamError
from smart_router.observe.finished import Finished, Observer, Outcome, tell
from smart_router.types import Ask, Decision, Session, Usage
from smart_router.upstream.base import Answer
from smart_router.upstream.fleet import Lease


@dataclass(slots=True)
class Timing:
    """Moments of a monotonic clock, in seconds."""

    started: float
    decided: float = 0.0
    asked: float = 0.0
    first_token: float | None = None
    ended: float | None = None

    @property
    def routing_s(self) -> float:
        return self.decided - self.started

    @property
    def inference_s(self) -> float:
        return (self.ended or perf_counter()) - self.asked

    @property
    def total_s(self) -> float:
        return perf_counter() - self.started


@dataclass(slots=True)
class Exchange:
    """
    Holds a place at a replica and an open answer. Whoever has it must `await close()`, once the client has everything
    or has left; a second close does nothing. `parts` grows while the pieces are iterated.
    """

    ask: Ask
    decision: Decision
    lease: Lease
    answer: Answer
    timing: Timing
    before: Session | None  # the session as this turn found it
    preferred_model: str
    observers: Sequence[Observer]
    after: Session | None = None  # the session once this turn was committed; None if the store did not say
    parts: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    complete: bool = False
    failure: UpstreamError | None = None
    _closed: bool = False

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def new_session(self) -> bool:
        """Of first turns that race, only one began the session."""
        return self.before is None and (self.after is None or self.after.count == 1)

    async def pieces(self) -> AsyncIterator[str]:
        """
        The parts of the answer's text.

        Raises:
            UpstreamError: it broke off; what came before it is in `parts`.
        """
        try:
            async for piece in self.answer.pieces():
                self.usage = piece.usage or self.usage
                self.finish_reason = piece.finish_reason or self.finish_reason
                if piece.text:
                    self.timing.first_token = self.timing.first_token or perf_counter()
                    self.parts.append(piece.text)
                    yield piece.text
        except UpstreamError as exc:
            self.failure = exc
            raise
        self.timing.ended = perf_counter()
        self.complete = True

    async def close(self) -> None:
        if self._closed:
            return
        try:
            await self.abandon()
        finally:
            tell(self.observers, self._finished())

    async def abandon(self) -> None:
        """Close without telling the observers, for an exchange that never got as far as its client."""
        self._closed = True
        try:
            await self.answer.close()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        if self.failure is not None:
            self.lease.blame(self.failure)
        self.lease.release()

    def _outcome(self) -> Outcome:
        if self.failure is not None:
            return "timeout" if isinstance(self.failure, BackendTimeout) else "upstream_error"
        return "ok" if self.complete else "aborted"

    def _finished(self) -> Finished:
        timing, model = self.timing, self.lease.model.id
        return Finished(
            request_id=self.ask.request_id,
            session_id=self.ask.session_id,
            outcome=self._outcome(),
            total_s=timing.total_s,
            use_case=self.decision.use_case,
            model=model,
            endpoint=self.lease.endpoint,
            reason=self.decision.reason,
            confidence=self.decision.confidence,
            bypass=self.decision.bypass,
            encoded=bool(self.decision.scores),
            new_session=self.new_session,
            previous_use_case=self.before.lane.use_case if self.before and self.decision.context_changed else None,
            fallback_from=self.preferred_model if self.preferred_model != model else None,
            routing_s=timing.routing_s,
            first_token_s=timing.first_token - timing.asked if timing.first_token else None,
            inference_s=timing.inference_s,
            usage=self.usage,
        )
