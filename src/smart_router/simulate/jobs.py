"""What is to be generated, and the tokens that come of it."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from smart_router.simulate.tokens import tokenise

GARBAGE = tokenise(" garbage: these simulated weights were dropped by sleep level 2 and not read again;")

Finish = Literal["stop", "length", "abort"]


@dataclass(frozen=True, slots=True)
class Answer:
    """All the tokens of one choice, and why it ends after them."""

    tokens: tuple[str, ...]
    finish: Finish = "stop"
    stop_reason: str | None = None  # the stop string that was met


@dataclass(frozen=True, slots=True)
class Job:
    """What one request wants generated: nothing at all for embeddings."""

    prompt: tuple[str, ...]
    answers: tuple[Answer, ...] = ()
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One token of one choice; *position* counts that choice's tokens from 1."""

    choice: int
    text: str
    position: int
    finish: Finish | None = None
    stop_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One choice when it is complete."""

    tokens: tuple[str, ...]
    finish: Finish
    stop_reason: str | None

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of one exchange."""

    prompt: int
    completion: int

    @property
    def total(self) -> int:
        return self.prompt + self.completion


def garbled(job: Job) -> Job:
    """*job* with answers as long as they were that say what is the matter."""
    return replace(job, answers=tuple(replace(answer, tokens=_garbled(answer.tokens)) for answer in job.answers))


def steps_of(job: Job, choice: int, *, endless: bool = False) -> Iterator[Step]:
    """The steps of one choice; *endless* ones begin again where they would end."""
    answer = job.answers[choice]
    tokens = itertools.cycle(answer.tokens) if endless else answer.tokens
    last = 0 if endless else len(answer.tokens)
    for position, token in enumerate(tokens, 1):
        if position == last:
            yield Step(choice, token, position, answer.finish, answer.stop_reason)
        else:
            yield Step(choice, token, position)


def said(steps: Sequence[Step], choices: int) -> list[Said]:
    """The choices that *steps* amount to."""
    return [_said([step for step in steps if step.choice == choice]) for choice in range(choices)]


def _garbled(tokens: Sequence[str]) -> tuple[str, ...]:
    return tuple(itertools.islice(itertools.cycle(GARBAGE), len(tokens)))


def _said(steps: Sequence[Step]) -> Said:
    last = steps[-1]
    tokens = tuple(step.text for step in steps if step.finish != "abort")
    return Said(tokens, last.finish or "abort", last.stop_reason)
