"""Requests of a caller under way at once."""

import pytest

from smart_router.access.places import Places
from smart_router.errors import TooManyRequests


def test_a_caller_has_so_many_places_and_gets_them_back() -> None:
    places = Places()
    first, second = places.take("ann", 2), places.take("ann", 2)
    with pytest.raises(TooManyRequests, match="may have 2 under way") as caught:
        places.take("ann", 2)
    assert (caught.value.limit, caught.value.status, caught.value.retry_after_s) == ("concurrency", 429, 1.0)
    first.leave()
    third = places.take("ann", 2)
    second.leave()
    third.leave()
    assert [places.take("ann", 1) is not None] == [True]


def test_each_caller_has_their_own() -> None:
    places = Places()
    places.take("ann", 1)
    places.take("bob", 1)


def test_nobody_is_remembered_who_has_none() -> None:
    places = Places()
    for i in range(100):
        places.take(f"caller {i}", 1).leave()
    assert places._taken == {}
