"""A question and its answer, as they stand."""

from dataclasses import dataclass, field
from typing import Literal

from smart_router.client import Answer, Attachment, Decision

State = Literal["waiting", "answering", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Attached:
    """A file or a link that goes along with a message."""

    label: str  # for people: cat.png, image, 12 kB
    attachment: Attachment


@dataclass(eq=False)
class Turn:
    """
    Waiting until the router has decided; answering until the answer is whole (done), was stopped here or has failed.
    """

    question: str
    attached: tuple[Attached, ...] = ()
    use_case: str | None = None  # asked for by name
    state: State = "waiting"
    text: str = ""
    decision: Decision | None = None
    answer: Answer | None = None
    first_token_s: float | None = None  # from sending, as the total
    total_s: float | None = None
    trouble: str = ""  # why it failed, and what to do
    notes: list[str] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return self.state in ("waiting", "answering")

    @property
    def came_to_nothing(self) -> bool:
        return self.state in ("stopped", "failed") and not self.text
