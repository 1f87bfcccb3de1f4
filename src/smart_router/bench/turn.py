"""One turn of a conversation, as it was measured."""

from dataclasses import dataclass
from typing import Literal

Group = Literal["first", "bypassed", "classified"]
GROUPS: dict[Group, str] = {
    "first": "first turns",
    "bypassed": "bypassed follow-ups",
    "classified": "classified follow-ups",
}


@dataclass(frozen=True)
class Turn:
    """
    Seconds, as seen from here; *at_s* since the measurement began. Of a turn that failed, *error* is the kind and
    *message* what was said; its other numbers say nothing.
    """

    group: Group
    at_s: float
    total_s: float
    first_s: float = 0.0  # until the first word
    tokens: int = 0  # of the answer, as the model server counts them
    routing_s: float = 0.0  # as the router says
    use_case: str = ""
    model: str = ""
    error: str = ""
    message: str = ""

    @property
    def tokens_per_second(self) -> float | None:
        """After the first; None of an answer that has but one, or came as a whole."""
        writing_s = self.total_s - self.first_s
        return (self.tokens - 1) / writing_s if self.tokens > 1 and writing_s > 0 else None
