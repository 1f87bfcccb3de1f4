"""Which replica of a model answers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replica:
    """One server as it stands now. `id` is its address."""

    id: str
    in_flight: int = 0
    limit: int = 64  # requests at once
    healthy: bool = True


class NoReplica(Exception):
    """None is both healthy and below its limit."""


def pick(pool: Sequence[Replica], warm: str | None, key: str, slack: int) -> Replica:
    """
    1. Stay on the *warm* replica while it is at most *slack* requests busier than the least busy one.
    2. When nothing is known of the session, hash: the same *key* finds the same replica again, whichever router asks.
    3. A hashed replica that is more than *slack* busier gives way to the least busy one.

    Raises:
        NoReplica: none is both healthy and below its limit.
    """
    able = [replica for replica in pool if replica.healthy and replica.in_flight < replica.limit]
    if not able:
        raise NoReplica
    least = min(able, key=lambda replica: replica.in_flight)
    known = next((replica for replica in able if replica.id == warm), None)
    wanted = known or max(able, key=lambda replica: weight(key, replica.id))  # 1, 2
    return wanted if wanted.in_flight - least.in_flight <= slack else least  # 3


def weight(key: str, replica: str) -> int:
    """Rendezvous hashing (Thaler and Ravishankar 1998): the highest wins; losing a replica moves only its keys."""
    return int.from_bytes(hashlib.blake2b(f"{key}\0{replica}".encode(), digest_size=8).digest())
