"""What one router remembers of one server of a model that comes and goes."""

import asyncio

from smart_router.lifecycle.backoff import Backoff
from smart_router.lifecycle.base import Seen


class Place:
    """
    One server of the model. *seen*: what it said last, None where it does not answer; *holds*: the model takes room
    there, as far as is known; *open*: it gets requests; *unmanageable*: why it cannot be told to sleep or wake.
    """

    __slots__ = ("backoff", "coming", "endpoint", "holds", "open", "seen", "trouble", "unmanageable")

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.seen: Seen | None = None
        self.holds = self.open = False
        self.trouble = self.unmanageable = ""
        self.backoff = Backoff()
        self.coming: asyncio.Task[Exception | None] | None = None

    def became(self, seen: Seen) -> None:
        self.seen, self.holds, self.trouble = seen, seen == "awake", ""

    def silent(self, trouble: str, *, gone: bool) -> None:
        """Who does not answer in time may still take room; who is *gone* does not."""
        self.seen, self.trouble, self.holds = None, trouble, self.holds and not gone
