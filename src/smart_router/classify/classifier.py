"""
The classifier as the server uses it: the hybrid head where there is an encoder, else the lexical head, which is also
the guard.

Encoding runs on one thread of its own, in micro-batches of whatever is waiting, so the event loop never waits for it.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog

from smart_router.classify.base import Encoder, Query, Said, Vector
from smart_router.classify.head import Head, Pair
from smart_router.classify.scorer import Scorer

log = structlog.get_logger("classifier")

BATCH = 8  # queries per run: a longer one makes the first wait for the last


class EncoderFailed(Exception):
    """No embedding: too many queries are waiting, or the encoder raised."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities over use cases; `full` unless the encoder had no part in them."""

    probabilities: dict[str, float]
    full: bool


class Classifier:
    """
    Use `start()` and `close()`. `kind` is `hybrid` or `lexical`, `trouble` says why it is lexical.
    """

    def __init__(
        self, head: Head, encoder: Encoder | None, *, queue_size: int = 1024, timeout_s: float = 2.0, trouble: str = ""
    ) -> None:
        self._first, self._later = _Scorers(head.first, head.use_cases), _Scorers(head.later, head.use_cases)
        has_hybrid = head.first.hybrid is not None and head.later.hybrid is not None
        self._worker = _Worker(encoder, queue_size) if encoder is not None and has_hybrid else None
        self._timeout_s = timeout_s
        self.kind: Literal["hybrid", "lexical"] = "hybrid" if self._worker else "lexical"
        self.trouble = trouble

    def start(self) -> None:
        if self._worker:
            self._worker.start()

    def close(self) -> None:
        if self._worker:
            self._worker.stop()

    def cues(self, query: Query) -> dict[str, float]:
        """The lexical head's probabilities: tens of microseconds, no encoder."""
        return self._scorers(query).lexical(query)

    async def scores(self, query: Query) -> Scores:
        """The hybrid head's probabilities; the lexical head's when the encoder is missing, swamped, broken or slow."""
        hybrid = self._scorers(query).hybrid
        if self._worker is None or hybrid is None:
            return Scores(self.cues(query), full=False)
        try:
            async with asyncio.timeout(self._timeout_s):  # wait_for can swallow a cancellation (before Python 3.12)
                embedding = await self._worker.embed(query.said)
        except (EncoderFailed, TimeoutError):
            return Scores(self.cues(query), full=False)
        return Scores(hybrid(query, embedding), full=True)

    def _scorers(self, query: Query) -> "_Scorers":
        return self._first if query.standing is None else self._later


class _Scorers:
    """For one kind of turn."""

    def __init__(self, pair: Pair, use_cases: Sequence[str]) -> None:
        self.lexical = Scorer(pair.lexical, use_cases)
        self.hybrid = Scorer(pair.hybrid, use_cases) if pair.hybrid is not None else None


@dataclass(slots=True)
class _Job:
    said: Said
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Vector]" = field(init=False)

    def __post_init__(self) -> None:
        self.future = self.loop.create_future()


class _Worker:
    """One thread, one encoder, a bounded queue."""

    def __init__(self, encoder: Encoder, size: int) -> None:
        self._encoder = encoder
        self._jobs: queue.Queue[_Job | None] = queue.Queue(size)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)

    def start(self) -> None:
        try:
            self._encoder.encode([Said("warm up")])
        except Exception as exc:  # as it would for every query: they are then decided without it
            log.error("the encoder failed", exc_info=exc)
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._jobs.put(None, timeout=1)
            self._thread.join(timeout=5)

    def embed(self, said: Said) -> "asyncio.Future[Vector]":
        if self._stopped:
            raise EncoderFailed("the classifier is closed")
        job = _Job(said, asyncio.get_running_loop())
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise EncoderFailed("the queue is full") from None
        return job.future

    def _run(self) -> None:
        while batch := self._next_batch():
            wanted = [job for job in batch if not job.future.cancelled()]
            if not wanted:
                continue
            try:
                embeddings: Sequence[Vector] | EncoderFailed = list(self._encoder.encode([job.said for job in wanted]))
            except Exception as exc:  # whatever onnxruntime raises must not end this thread
                log.error("the encoder failed", exc_info=exc)
                embeddings = EncoderFailed(str(exc))
            for i, job in enumerate(wanted):
                answer = embeddings if isinstance(embeddings, EncoderFailed) else embeddings[i]
                with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                    job.loop.call_soon_threadsafe(_deliver, job.future, answer)

    def _next_batch(self) -> list[_Job]:
        first = self._jobs.get()
        if first is None:
            return []
        batch = [first]
        while len(batch) < BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            batch.append(job)
        return batch


def _deliver(future: "asyncio.Future[Vector]", answer: Vector | EncoderFailed) -> None:
    if future.done():
        return
    if isinstance(answer, EncoderFailed):
        future.set_exception(answer)
    else:
        future.set_result(answer)
