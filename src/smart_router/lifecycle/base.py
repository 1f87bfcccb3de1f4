"""What every kind of lifecycle promises: `tests/lifecycle/test_contract.py` holds each kind to it."""

from typing import Literal, Protocol

from msgspec import Struct

from smart_router.decide.swap import State
from smart_router.registry import Model

Seen = Literal["awake", "sleeping"]

ENDS_WITH_US = "process"  # the one lifecycle whose servers this process started: nobody else will stop them


class ModelReport(Struct, frozen=True):
    """How a model that comes and goes stands, for people and metrics. Moments are seconds since the epoch."""

    id: str
    group: str
    lifecycle: str
    state: State
    endpoints: tuple[str, ...] = ()
    pinned: bool = False  # by an operator
    preloaded: bool = False  # awake from the start, and never evicted
    in_flight: int = 0
    waiting: int = 0
    sessions: int = 0
    last_used: float | None = None
    awake_since: float | None = None
    wakes: int = 0  # by this router
    evictions: int = 0
    last_wake_s: float | None = None
    trouble: str = ""  # why it is not awake, or cannot be managed


def named(model: Model, endpoint: str) -> str:
    """Which one, in a message to an operator."""
    return f'{"model" if model.lora is None else "adapter"} "{model.id}" at {endpoint}'


class Lifecycle(Protocol):
    """
    Puts one model's server to sleep and wakes it. Nothing here decides when, nor keeps a state: `look` asks the server
    for that. Callers bound the time by cancelling.
    """

    cold: Literal["waking", "loading"]  # what it is called while a model of this kind comes

    async def start(self) -> None: ...

    async def close(self) -> None:
        """What this process started ends with it."""

    async def look(self, model: Model, endpoint: str) -> Seen:
        """
        What the server at *endpoint* says of *model*.

        Raises:
            UpstreamError: it does not answer.
            LifecycleFailed: it cannot be managed as the registry says; the message says what to change.
        """

    async def wake(self, model: Model, endpoint: str) -> None:
        """
        Have *model* awake at *endpoint*; returns once the server says so. Awake already: nothing happens.

        Raises:
            UpstreamError, LifecycleFailed: it is not; the next try begins anew.
        """

    async def sleep(self, model: Model, endpoint: str) -> None:
        """
        Let what runs there end, then have *model* asleep at *endpoint*; returns once the server itself says so. Asleep
        already: nothing happens.

        Raises:
            UpstreamError, LifecycleFailed: it is still awake, as far as is known.
        """
