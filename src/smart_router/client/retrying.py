"""Whether something is asked again, and when. Pure: now and chance are arguments."""

from msgspec import Struct

from smart_router.client.address import Address
from smart_router.client.errors import BadInput, ClientError, NotARouter, RouterRefused, RouterUnreachable

FIRST_S = 0.5
MOST_S = 8.0
LONGEST_S = 60.0  # that a router may ask for; who is to wait longer is better told
TRY_LATER = (429, 503)


class Patience(Struct, frozen=True):
    """At most *timeout_s* for all attempts together and the pauses between them, and at most *retries* of them more."""

    timeout_s: float = 180.0
    connect_s: float = 10.0
    retries: int = 2

    def __post_init__(self) -> None:
        for name in ("timeout_s", "connect_s"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise BadInput(f"{name}: {value!r} is no time to wait; give seconds, more than 0")
        if self.retries < 0:
            raise BadInput(f"retries: {self.retries!r} is no number of times; give 0 or more")


def out_of_time(address: Address, patience: Patience) -> RouterUnreachable:
    within = f"{address.url} did not answer within {patience.timeout_s:g} s"
    return RouterUnreachable(f"{within}; ask again, or give it longer with timeout_s=…", asked=True)


class Trying:
    """One request, from its first attempt, *now*, to its last; seconds by any clock that does not jump."""

    def __init__(self, patience: Patience, repeatable: bool, now: float) -> None:
        self._patience = patience
        self._repeatable = repeatable
        self._ends = now + patience.timeout_s
        self._retries = 0

    def left_s(self, now: float) -> float:
        """Until the deadline; never nothing, as for some clients 0 means for ever."""
        return max(self._ends - now, 0.001)

    def check(self, now: float, address: Address) -> None:
        """
        Raises:
            RouterUnreachable: the deadline is over.
        """
        if now > self._ends:
            raise out_of_time(address, self._patience)

    def pause_s(self, error: ClientError, now: float, draw: float) -> float:
        """
        How long to wait before the next attempt.

        1. Who refused the connection, or said "later", is asked again; so is who lost it, if asking twice does no harm.
        2. It gets the time that it asks for, and a little more, so that not all come back at once.
        3. Else the pauses grow, and are drawn from all up to their length ("full jitter": Brooker, AWS Architecture
           Blog, 2015).

        Args:
            error: how the attempt failed.
            now: by the clock of the first attempt.
            draw: from 0 to 1, at random.

        Raises:
            ClientError: the *error* itself, where it makes no sense to try again, or there is no time for that.
        """
        if self._retries == self._patience.retries or not self._may_again(error):
            raise error
        asked_for = getattr(error, "retry_after_s", None)
        backoff = draw * min(MOST_S, FIRST_S * 2**self._retries)
        pause = backoff if asked_for is None else asked_for + draw * FIRST_S
        if (asked_for or 0) > LONGEST_S or now + pause >= self._ends:
            raise error
        self._retries += 1
        return float(pause)

    def _may_again(self, error: ClientError) -> bool:
        match error:
            case RouterRefused() | NotARouter():
                return error.status in TRY_LATER
            case RouterUnreachable():
                return not error.asked or self._repeatable
            case _:
                return False
