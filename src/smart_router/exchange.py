"""One exchange with a model server, from its acceptance to its one and only close."""

from collections.abc import AsyncIterator, Sequence
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from smart_router.errors import BackendTimeout, UpstreamError
from smart_router.observe.finished import Finished, Observer, Outcome, tell
from smart_router.types import Admission, Ask, Decision, Session, Usage
from smart_router.upstream.base import Answer, Forwarded
from smart_router.upstream.fleet import Lease


class Timing:
    """Moments of a monotonic clock, in seconds."""

    __slots__ = ("asked", "decided", "ended", "first_token", "started")

    def __init__(self, started: float, decided: float = 0.0, asked: float = 0.0) -> None:
        self.started = started
        self.decided = decided
        self.asked = asked
        self.first_token: float | None = None
        self.ended: float | None = None

    @property
    def routing_s(self) -> float:
        return self.decided - self.started

    @property
    def inference_s(self) -> float:
        return (self.ended or perf_counter()) - self.asked

    @property
    def total_s(self) -> float:
        return perf_counter() - self.started


class _Closes(Protocol):
    def close(self) -> None: ...


_A = TypeVar("_A", bound=_Closes)


class Exchange(Generic[_A]):
    """
    Holds a place at a replica and an open answer. Whoever has it must `close()` it, once the client has everything or
    has left; a second close does nothing.
    """

    def __init__(
        self,
        ask: Ask,
        decision: Decision,
        lease: Lease,
        answer: _A,
        timing: Timing,
        before: Session | None,  # the session as this turn found it
        preferred_model: str,
        observers: Sequence[Observer],
    ) -> None:
        self.ask = ask
        self.decision = decision
        self.lease = lease
        self.answer = answer
        self.timing = timing
        self.before = before
        self.preferred_model = preferred_model
        self.observers = observers
        self.admission: Admission | None = None  # where the caller's requests are limited
        self.after: Session | None = None  # the session once this turn was committed; None if that was not needed
        self.usage = Usage()
        self.complete = False
        self.failure: UpstreamError | None = None
        self._closed = False

    @property
    def new_session(self) -> bool:
        """Of first turns that race, only one began the session."""
        return self.before is None and (self.after is None or self.after.count == 1)

    @property
    def fallback_from(self) -> str | None:
        """The model that should have answered, where another one does."""
        preferred = self.preferred_model
        return None if preferred == self.lease.model.id else preferred

    def ended(self) -> None:
        """Everything has come."""
        self.timing.ended = perf_counter()
        self.complete = True

    def close(self) -> None:
        if self._closed:
            return
        try:
            self.abandon()
        finally:
            trace = self.ask.trace
            tell(self.observers if trace is None else (trace, *self.observers), self._finished())

    def abandon(self) -> None:
        """Close without telling the observers, for an exchange that never got as far as its client."""
        self._closed = True
        try:
            self.answer.close()
        finally:
            if self.failure is not None:
                self.lease.blame(self.failure)
            self.lease.release()

    def _outcome(self) -> Outcome:
        if self.failure is not None:
            return "timeout" if isinstance(self.failure, BackendTimeout) else "upstream_error"
        return "ok" if self.complete else "aborted"

    @property
    def status(self) -> int:
        """What the client was told."""
        return 200

    def _finished(self) -> Finished:
        timing, decision, model, before = self.timing, self.decision, self.lease.model.id, self.before
        return Finished(
            request_id=self.ask.request_id,
            session_id=self.ask.session_id,
            outcome=self._outcome(),
            total_s=timing.total_s,
            use_case=decision.use_case,
            model=model,
            endpoint=self.lease.endpoint,
            reason=decision.reason,
            confidence=decision.confidence,
            bypass=decision.bypass,
            encoded=bool(decision.scores),
            new_session=self.ask.keeps == "session" and self.new_session,
            previous_use_case=before.lane.use_case if before and decision.context_changed else None,
            fallback_from=self.fallback_from,
            routing_s=timing.routing_s,
            first_token_s=timing.first_token - timing.asked if timing.first_token else None,
            inference_s=timing.inference_s,
            usage=self.usage,
            failure=self.failure.code if self.failure else None,
            path=self.ask.path,
            status=self.status,
            trace_id=self.ask.trace.id if self.ask.trace is not None else None,
        )


class Reply(Exchange[Answer]):
    """An answer in our own words. `parts` grows while the pieces are iterated."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.parts: list[str] = []
        self.finish_reason: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.parts)

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
        self.ended()


class Passage(Exchange[Forwarded]):
    """An answer that is passed back byte for byte."""

    async def chunk(self) -> bytes:
        """
        The next part, b"" at the end.

        Raises:
            UpstreamError: it broke off.
        """
        try:
            data = await self.answer.chunk()
        except UpstreamError as exc:
            self.failure = exc
            raise
        if self.answer.complete and not self.complete:
            self.usage = self.answer.usage
            self.ended()
        return data

    def _outcome(self) -> Outcome:
        return "client_error" if self.complete and self.answer.status >= 400 else super()._outcome()

    @property
    def status(self) -> int:
        return self.answer.status
