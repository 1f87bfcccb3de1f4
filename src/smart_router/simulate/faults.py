"""What can be made to go wrong, how often, and how that is drawn."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from smart_router.simulate.errors import Refused

FaultName = Literal[
    "refuse-503",  # an error with Retry-After instead of an answer
    "rate-limit-429",  # the same, for the caller
    "error-500",  # an error, and no word when to come back
    "stall-before-headers",  # not a byte, until the client leaves
    "stall-mid-stream",  # headers and the first words, then nothing more
    "reset-mid-stream",  # headers and the first words, then the connection closes
    "role-then-error",  # a stream that opens, then says that it failed; a plain answer is a 500
    "broken-json",  # a stream's first words, or a plain answer, cut in the middle
    "never-ends",  # goes on past max_tokens, until the client leaves
    # Of putting to sleep and waking, of unloading and loading an adapter:
    "sleep-lies",  # it is answered as if it were done, and is not
    "wake-fails",  # an error, and it sleeps on
    "wake-hangs",  # not a byte, until the client leaves, and it sleeps on
]
FAULTS: tuple[FaultName, ...] = get_args(FaultName)
OF_SLEEP: tuple[FaultName, ...] = ("sleep-lies",)
OF_WAKING: tuple[FaultName, ...] = ("wake-fails", "wake-hangs")
OF_REQUESTS: tuple[FaultName, ...] = tuple(name for name in FAULTS if name not in (*OF_SLEEP, *OF_WAKING))
RETRY_AFTER_S = 1

_REFUSALS = {
    "refuse-503": (503, "ServiceUnavailableError"),
    "rate-limit-429": (429, "RateLimitError"),
    "error-500": (500, "InternalServerError"),
    "wake-fails": (500, "InternalServerError"),
}


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong with probability *rate*, at most *count* times (None = for ever)."""

    name: FaultName
    rate: float = 1.0  # probability, 0..1
    count: int | None = None


class Faults:
    """The faults that are switched on; draws from one seeded sequence, so that a run can be repeated."""

    def __init__(self, seed: int) -> None:
        self._draws = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._active: dict[FaultName, Fault] = {}

    @property
    def active(self) -> tuple[Fault, ...]:
        return tuple(self._active.values())

    def set(self, fault: Fault) -> None:
        """Switch *fault* on in place of the one of the same name; with a rate or count of 0, off."""
        self._active.pop(fault.name, None)
        if fault.rate > 0 and fault.count != 0:
            self._active[fault.name] = fault

    def clear(self) -> None:
        self._active.clear()

    def strike(self, among: Collection[FaultName] = OF_REQUESTS) -> FaultName | None:
        """
        What happens to one request: the first active fault *among* these whose draw hits, or nothing.

        Raises:
            Refused: the fault is an error instead of an answer.
        """
        active = (fault for fault in self.active if fault.name in among)
        struck = next((fault for fault in active if self._draws.random() < fault.rate), None)
        if struck is None:
            return None
        self._use_up(struck)
        if struck.name in _REFUSALS:
            raise refusal(struck.name)
        return struck.name

    def _use_up(self, fault: Fault) -> None:
        if fault.count is not None:
            fault.count -= 1
            if fault.count == 0:
                del self._active[fault.name]


def refusal(name: str) -> Refused:
    """The error that the fault *name* answers with."""
    status, kind = _REFUSALS.get(name, _REFUSALS["error-500"])
    retry_after_s = RETRY_AFTER_S if status in (429, 503) else None
    return Refused(f"This is a simulated fault: {name}.", status, type=kind, retry_after_s=retry_after_s)
