"""The part that would have the model: who is running, who waits, the pace of tokens, sleep."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from smart_router.simulate.jobs import Finish, Job, Step, garbled, steps_of
from smart_router.simulate.metrics import Metrics
from smart_router.simulate.model import SimulatedModel
from smart_router.simulate.prefix_cache import PrefixCache

SleepMode = Literal["abort", "wait", "keep"]

KV_CACHE_TOKENS = 131_072
ENDLESS_PAUSE_S = 0.001  # what never ends must not fill the wire as fast as it can
PARTS = frozenset({"weights", "kv_cache"})  # what may be woken one by one
DROPS_WEIGHTS = 2  # this level of sleep


class Engine:
    """
    Runs jobs at the model's pace, at most `max_running` at once, none while asleep.

    Asleep, a new job hangs until it is woken and counts neither as running nor as waiting; so it is in vLLM.
    """

    def __init__(self, model: SimulatedModel, metrics: Metrics) -> None:
        self.model = model
        self.metrics = metrics
        self.prefix_cache = PrefixCache(KV_CACHE_TOKENS)
        self._runs: set[Run] = set()
        self._places = asyncio.Semaphore(model.max_running)
        self._admits = _set_event()
        self._runs_on = _set_event()
        self._idle = _set_event()
        self._asleep: set[str] = set()
        self._dropped = False  # the weights, and not read again
        self._changing = asyncio.Lock()  # while memory is freed or filled, nothing else is answered
        metrics.running.set_function(lambda: sum(run.sequences for run in self._runs))
        metrics.kv_cache_usage.set_function(lambda: min(1.0, sum(run.held for run in self._runs) / KV_CACHE_TOKENS))

    @property
    def running(self) -> int:
        return len(self._runs)

    async def is_sleeping(self) -> bool:
        """From the moment on that it takes no more jobs; it says nothing while it falls asleep or wakes."""
        async with self._changing:
            return not self._admits.is_set()

    def open(self, job: Job) -> "Run":
        """A run of *job*, which the caller closes however it ends; it takes its place with the first step."""
        return Run(self, job)

    async def sleep(self, level: int, mode: SleepMode = "abort") -> None:
        """*abort* ends what runs with finish_reason abort, *wait* lets it finish first, *keep* freezes it."""
        self._admits.clear()
        if mode == "keep":
            self._runs_on.clear()
        if mode == "abort":
            self._abort_all()
        if mode == "wait":
            await self._idle.wait()
        async with self._changing:
            if level and "weights" not in self._asleep:
                await asyncio.sleep(self.model.sleep_seconds)
                self._asleep = set(PARTS)
                self._dropped = self._dropped or level == DROPS_WEIGHTS
            self._admits.clear()
            self.prefix_cache.clear()
            self.metrics.sleep_level(level)

    async def wake_up(self, tags: frozenset[str] = frozenset()) -> bool:
        """Wake the parts *tags*, or all; True once all are awake and jobs run again. What is awake cannot be woken."""
        async with self._changing:
            if tags <= self._asleep:
                if "weights" in (tags or self._asleep):
                    await asyncio.sleep(self.model.wake_seconds)
                self._asleep -= tags or PARTS
            if not self._asleep:
                self.metrics.sleep_level(None)
                self._admits.set()
                self._runs_on.set()
            return not self._asleep

    async def reload_weights(self) -> bool:
        """Read the weights again, which level 2 has dropped; False if there is no room for them yet."""
        async with self._changing:
            if "weights" in self._asleep:
                return False
            self._dropped = False
            return True

    def said(self, job: Job) -> Job:
        """*job* as it comes out: without its weights, a model answers garbage."""
        return garbled(job) if self._dropped else job

    async def admit(self, run: "Run") -> None:
        """Wait until awake, then for a place, and take it."""
        while True:
            await self._admits.wait()
            with self.metrics.waiting.track_inprogress():
                await self._places.acquire()
            if self._admits.is_set():
                break
            self._places.release()
        self._runs.add(run)
        self._idle.clear()

    def release(self, run: "Run") -> None:
        """Give back the place of *run*, if it ever had one."""
        if run in self._runs:
            self._runs.remove(run)
            self._places.release()
        if not self._runs:
            self._idle.set()

    async def unfrozen(self) -> None:
        if not self._runs_on.is_set():
            await self._runs_on.wait()

    def _abort_all(self) -> None:
        for run in self._runs:
            run.abort()


class Run:
    """One job being generated. Whoever opened it closes it, whatever became of it; closing twice is closing once."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self.job = job
        self.generated = 0  # tokens of all choices
        self._engine = engine
        self._aborted = asyncio.Event()
        self._closed = False
        self._opened = time.monotonic()
        self._admitted: float | None = None
        self._first: float | None = None
        self._finished: list[Finish] = []

    @property
    def sequences(self) -> int:
        return max(1, len(self.job.answers))

    @property
    def held(self) -> int:
        """Tokens in the KV cache."""
        return len(self.job.prompt) + self.generated

    async def steps(self, *, endless: bool = False) -> AsyncIterator[Step]:
        """The tokens of all choices in turn; *endless* repeats them until the run is aborted or closed."""
        await self._admit()
        self.job = self._engine.said(self.job)
        unfinished = {choice: steps_of(self.job, choice, endless=endless) for choice in range(len(self.job.answers))}
        for due in self._dues(endless):
            await self._pause_until(due)
            for choice in tuple(unfinished):
                step = self._aborted_step(choice) if self._aborted.is_set() else next(unfinished[choice])
                self._count(step)
                if step.finish:
                    del unfinished[choice]
                yield step
            if not unfinished:
                return

    def abort(self) -> None:
        self._aborted.set()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._engine.release(self)
        if self._admitted is not None:
            self._record(self._admitted)

    async def _admit(self) -> None:
        await self._engine.admit(self)
        self._admitted = time.monotonic()
        metrics, prompt = self._engine.metrics, self.job.prompt
        metrics.prefix_queries.inc(len(prompt))
        metrics.prefix_hits.inc(self._engine.prefix_cache.look_up(prompt))
        metrics.prompt_tokens.inc(len(prompt))

    def _dues(self, endless: bool) -> Iterator[float]:
        """When each token is due: the first after the time to first token, the others at the pace."""
        rate = self._engine.model.tokens_per_second
        pause = max(1 / rate if rate else 0.0, ENDLESS_PAUSE_S if endless else 0.0)
        first = time.monotonic() + self._engine.model.ttft_ms / 1000
        return (first + number * pause for number in itertools.count())

    async def _pause_until(self, due: float) -> None:
        """Wait for *due*, or less if the run is aborted meanwhile."""
        await self._engine.unfrozen()
        remaining = due - time.monotonic()
        if remaining <= 0:
            return await asyncio.sleep(0)
        try:
            await asyncio.wait_for(self._aborted.wait(), remaining)
        except TimeoutError:
            await self._engine.unfrozen()

    def _aborted_step(self, choice: int) -> Step:
        return Step(choice, "", self.generated, "abort")

    def _count(self, step: Step) -> None:
        now, metrics = time.monotonic(), self._engine.metrics
        if step.finish:
            self._finished.append(step.finish)
        if step.finish == "abort":
            return
        self.generated += 1
        metrics.generation_tokens.inc()
        if self._first is None:
            self._first = self._latest = now
            metrics.first_token_s.observe(now - self._opened)
        else:
            metrics.between_tokens_s.observe(now - self._latest)
            self._latest = now

    def _record(self, admitted: float) -> None:
        now, metrics = time.monotonic(), self._engine.metrics
        for reason in (*self._finished, *["abort"] * (len(self.job.answers) - len(self._finished))):
            metrics.finished(reason)
        metrics.queued_s.observe(admitted - self._opened)
        metrics.end_to_end_s.observe(now - self._opened)
        metrics.inference_s.observe(now - admitted)
        metrics.prompt_length.observe(len(self.job.prompt))
        metrics.answer_length.observe(self.generated)
        metrics.asked_n.observe(self.sequences)
        if self.job.max_tokens is not None:
            metrics.asked_max_tokens.observe(self.job.max_tokens)
        if self._first is not None:
            metrics.prefill_s.observe(self._first - admitted)
            metrics.decode_s.observe(now - self._first)
            metrics.per_output_token_s.observe((now - self._first) / max(1, self.generated - 1))


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
