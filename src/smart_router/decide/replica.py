"""
Which replica of a model answers.

This runs once and more per request: what it reads are plain attributes of an object that lives as long as the replica.
"""

import hashlib
from collections.abc import Container, Sequence
from typing import Protocol, TypeVar

FULL_RETRY_S = 1.0  # after which a replica at its limit may have a place again; nobody can know

_MASK = (1 << 64) - 1


class Replica(Protocol):
    """One server as it stands now. Times are seconds of one monotonic clock."""

    @property
    def endpoint(self) -> str: ...

    @property
    def seed(self) -> int:
        """`seed(endpoint)`"""

    @property
    def in_flight(self) -> int:
        """Requests that this router has there."""

    @property
    def limit(self) -> int:
        """In flight at once."""

    @property
    def elsewhere(self) -> int:
        """By how many requests it is busier than that, as `load.elsewhere` says."""

    @property
    def load_until(self) -> float:
        """From then on `elsewhere` is too old to be believed."""

    @property
    def fit_at(self) -> float:
        """It is unhealthy or ejected until then."""

    @property
    def resting_until(self) -> float:
        """It asked to be left alone until then."""

    @property
    def usable_at(self) -> float:
        """The later of the two."""


R = TypeVar("R", bound=Replica)


class NoReplica(Exception):
    """None is usable."""


class AllBusy(NoReplica):
    """
    Some are fit, but each of them rests or is at its limit; the first may have a place in `retry_after_s`. *full*: one
    is at its limit only, so that a place may come free at any moment.
    """

    def __init__(self, retry_after_s: float = FULL_RETRY_S, *, full: bool = False) -> None:
        super().__init__(f"all replicas are busy for {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s
        self.full = full


def pick(pool: Sequence[R], warm: str | None, key: str, slack: int, now: float, without: Container[str]) -> R:
    """
    1. Stay on the *warm* replica while it is at most *slack* requests busier than the least busy one.
    2. When nothing is known of the session, hash: the same *key* finds the same replica again, whichever router asks.
    3. A hashed replica that is more than *slack* busier gives way to the least busy one.

    Raises:
        AllBusy: none below its limit is awake, but some would be fit.
        NoReplica: none of *pool* but not of *without* is fit.
    """
    least: R | None = None
    wanted: R | None = None
    least_busy = wanted_busy = able = 0
    for replica in pool:
        in_flight = replica.in_flight
        if replica.usable_at > now or in_flight >= replica.limit or replica.endpoint in without:
            continue
        able += 1
        busy = in_flight + replica.elsewhere if now < replica.load_until else in_flight
        if least is None or busy < least_busy:
            least, least_busy = replica, busy
        if replica.endpoint == warm:
            wanted, wanted_busy = replica, busy  # 1
    if least is None:
        raise _refusal([replica for replica in pool if replica.endpoint not in without], now)
    if able == 1:
        return least
    if wanted is None:
        wanted = _hashed(pool, key, now, without)  # 2
        wanted_busy = wanted.in_flight + wanted.elsewhere if now < wanted.load_until else wanted.in_flight
    return wanted if wanted_busy - least_busy <= slack else least  # 3


def wait_s(replica: Replica, now: float) -> float:
    """How long a replica that is at its limit or rests will not take a request."""
    full = FULL_RETRY_S if replica.in_flight >= replica.limit else 0.0
    return max(full, replica.resting_until - now)


def seed(endpoint: str) -> int:
    """The replica's part of `_hashed`, which needs to be computed only once."""
    return _digest(endpoint)


def _refusal(pool: Sequence[Replica], now: float) -> NoReplica:
    """None of *pool* is able."""
    fit = [replica for replica in pool if replica.fit_at <= now]
    if not fit:
        return NoReplica()
    return AllBusy(min(wait_s(r, now) for r in fit), full=any(r.resting_until <= now for r in fit))


def _hashed(pool: Sequence[R], key: str, now: float, without: Container[str]) -> R:
    """
    Rendezvous hashing (Thaler and Ravishankar 1998): the highest weight wins; losing a replica moves only its keys.
    The weight mixes two digests as splitmix64 does (Steele, Lea, Flood 2014), which is quicker than digesting a pair.
    """
    digest = _digest(key)
    found, highest = pool[0], -1
    for replica in pool:
        if replica.usable_at > now or replica.in_flight >= replica.limit or replica.endpoint in without:
            continue
        mixed = digest ^ replica.seed
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        mixed ^= mixed >> 31
        if mixed > highest:
            found, highest = replica, mixed
    return found


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest())
