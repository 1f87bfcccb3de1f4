"""How answers are told: the Protocol of a dialect, and what all dialects share."""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.requests import Request

from smart_router.simulate.jobs import Counted, Said, Step
from smart_router.simulate.model import SimulatedModel

FINGERPRINT = "vllm-simulated"
DONE = b"data: [DONE]\n\n"


class Dialect(Protocol):
    """
    One API's way of telling one answer, whole or as a stream.

    A stream is `opening` before the first token, `delta` for each, `closing` after the last.
    """

    media_type: str  # of a whole answer

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes: ...

    def opening(self, counted: Counted) -> Iterator[bytes]: ...

    def delta(self, step: Step, counted: Counted) -> Iterator[bytes]: ...

    def closing(self, counted: Counted) -> Iterator[bytes]: ...

    def broken(self, error: dict[str, Any]) -> Iterator[bytes]:
        """What a stream ends with when the server fails in the middle."""
        ...


class Unstreamed:
    """The streamed half of a dialect that answers only as a whole."""

    def opening(self, counted: Counted) -> Iterator[bytes]:
        return iter(())

    def delta(self, step: Step, counted: Counted) -> Iterator[bytes]:
        return iter(())

    def closing(self, counted: Counted) -> Iterator[bytes]:
        return iter(())

    def broken(self, error: dict[str, Any]) -> Iterator[bytes]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Reply:
    """Who answers, and under which number."""

    id: str
    model: str
    created: int  # seconds since the epoch

    @classmethod
    def to(cls, request: Request, model: SimulatedModel, prefix: str) -> "Reply":
        """The number is the request's `X-Request-Id`, if it has one."""
        number = request.headers.get("x-request-id") or secrets.token_hex(8)
        return cls(f"{prefix}-{number}", model.id, int(time.time()))

    def headed(self, kind: str) -> dict[str, Any]:
        """The fields that every OpenAI-style object begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def encode(body: dict[str, Any]) -> bytes:
    encoded: bytes = msgspec.json.encode(body)
    return encoded


def data_event(body: dict[str, Any]) -> bytes:
    return b"data: " + encode(body) + b"\n\n"


def named_event(body: dict[str, Any]) -> bytes:
    """An event whose `event:` line repeats its type."""
    return f"event: {body['type']}\n".encode() + data_event(body)


def usage(counted: Counted) -> dict[str, Any]:
    return {
        "prompt_tokens": counted.prompt,
        "total_tokens": counted.total,
        "completion_tokens": counted.completion,
    }


def usage_in_full(counted: Counted) -> dict[str, Any]:
    return usage(counted) | {"prompt_tokens_details": None, "completion_tokens_details": None}


def usage_so_far(counted: Counted) -> dict[str, Any]:
    return usage(counted) | {"completion_tokens_details": None}
