"""Makers that state only what matters, and fakes that record and can be scripted."""

import threading
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from smart_router.classify.base import Example, Matrix, Said
from smart_router.decide.load import Load
from smart_router.errors import BackendAsleep, UpstreamError
from smart_router.registry import Defaults, Model, Registry, UseCase
from smart_router.settings import Settings
from smart_router.types import Ask, Attachment, Decision, Lane, Session
from smart_router.upstream.base import SLEEPS, Answer, Call, Forward, Forwarded, Piece

PIXEL = "iVBORw0KGgo="  # base64, the beginning of a PNG


def an_ask(query: str = "Write a haiku", **changed: Any) -> Ask:
    given: dict[str, Any] = {"request_id": "r1", "caller": "ann", "query": query, "session_id": "s1"} | changed
    return Ask(**given)


def a_model(name: str = "text-model", *endpoints: str, **changed: Any) -> Model:
    return Model.model_validate({"id": name, "endpoints": endpoints or (f"http://{name}:8000",)} | changed)


def a_registry(*models: Model, use_cases: Sequence[UseCase] = (), source: Path = Path("registry.yaml")) -> Registry:
    """*models*, and unless given otherwise one use case, agent, that all of them serve."""
    served = use_cases or [a_use_case("agent", *(model.id for model in models))]
    return Registry(
        source=source,
        defaults=Defaults(use_case=served[0].id),
        models={model.id: model for model in models},
        groups={},
        use_cases={use_case.id: use_case for use_case in served},
    )


def a_use_case(name: str, *models: str, **changed: Any) -> UseCase:
    return UseCase.model_validate({"id": name, "models": models or ("text-model",)} | changed)


def settings(**changed: Any) -> Settings:
    """Settings of one test. Use together with `bare_environment`, or the machine's own variables count too."""
    return Settings(**changed)


def a_lane(use_case: str = "agent", model: str = "text-model", replica: str = "http://a:8000") -> Lane:
    return Lane(use_case, model, replica)


def a_session(use_case: str = "agent", **changed: Any) -> Session:
    given: dict[str, Any] = {
        "owner": "ann",
        "turn": 1,
        "group": "gpu0",
        "lanes": {"gpu0": a_lane(use_case)},
        "count": 1,
        "created": 0.0,
        "accessed": 0.0,
    } | changed
    return Session(**given)


def a_decision(use_case: str = "agent", **changed: Any) -> Decision:
    given: dict[str, Any] = {"use_case": use_case, "confidence": 0.9, "reason": "classified"} | changed
    return Decision(**given)


def an_image(data: str = PIXEL) -> Attachment:
    return Attachment("image", data=data, media_type="image/png")


def examples_of(texts: Mapping[str, Sequence[str]], writer: str = "") -> tuple[Example, ...]:
    return tuple(Example(text, use_case, "en", None, writer) for use_case, found in texts.items() for text in found)


class Clock:
    """Stands still until told."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class FakeEncoder:
    """
    The same text after the same gets the same vector. Records each batch; `hold()` makes it wait, `failure` makes it
    raise.
    """

    dimension = 8

    def __init__(self) -> None:
        self.batches: list[list[Said]] = []
        self.failure: Exception | None = None
        self.entered = threading.Event()  # somebody waits inside
        self._may_go = threading.Event()
        self._may_go.set()

    def hold(self) -> None:
        self.entered.clear()
        self._may_go.clear()

    def let_go(self) -> None:
        self._may_go.set()

    def encode(self, said: Sequence[Said]) -> Matrix:
        self.batches.append(list(said))
        self.entered.set()
        assert self._may_go.wait(10), "nobody let the encoder go"
        if self.failure is not None:
            raise self.failure
        rows = [np.random.default_rng(list("\0".join(one).encode())).normal(size=self.dimension) for one in said]
        found = np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)
        return found.reshape(-1, self.dimension)


class FakeAnswer:
    """Gives *pieces*, then *failure* if there is one; counts how often it is closed."""

    def __init__(self, *pieces: Piece, failure: UpstreamError | None = None) -> None:
        self._pieces = pieces
        self._failure = failure
        self.closed = 0

    async def pieces(self) -> AsyncIterator[Piece]:
        for piece in self._pieces:
            yield piece
        if self._failure:
            raise self._failure

    def close(self) -> None:
        self.closed += 1


class FakeUpstream:
    """An upstream whose health is a dict: endpoint -> the error of its check; those in `sleepers` sleep."""

    kind = "fake"

    def __init__(self) -> None:
        self.trouble: dict[str, Exception] = {}
        self.checked: list[str] = []
        self.running = False
        self.loads: dict[str, Load] = {}
        self.sleepers: set[str] = set()

    async def start(self) -> None:
        self.running = True

    async def close(self) -> None:
        self.running = False

    async def open(self, call: Call, endpoint: str, within_s: float = inf) -> Answer:
        return FakeAnswer(Piece(f"{endpoint} answers"))

    async def forward(self, forward: Forward, endpoint: str, within_s: float = inf) -> Forwarded:
        raise NotImplementedError

    async def check(self, model: Model, endpoint: str) -> str:
        self.checked.append(endpoint)
        if endpoint in self.trouble:
            raise self.trouble[endpoint]
        if endpoint in self.sleepers:
            raise BackendAsleep(SLEEPS)
        return ""

    async def models(self, model: Model, endpoint: str) -> frozenset[str]:
        return frozenset({model.served_name})

    async def asleep(self, endpoint: str) -> bool:
        return endpoint in self.sleepers

    async def load(self, endpoint: str) -> Load:
        return self.loads.get(endpoint, Load())


@dataclass
class FakeTransport:
    """Strict: what a closed transport cannot do is an error. `lose` is what the loop does after an abort."""

    written: bytes = b""
    paused: bool = False
    aborted: bool = False

    def write(self, data: bytes) -> None:
        assert not self.aborted
        self.written += data

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))

    def abort(self) -> None:
        assert not self.aborted
        self.aborted = True

    def pause_reading(self) -> None:
        assert not self.aborted
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert not self.aborted
        assert self.paused
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0
