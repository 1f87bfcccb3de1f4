"""The numbered cases of `pick`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.replica import NoReplica, Replica, pick


def a_replica(name: str, in_flight: int = 0, *, limit: int = 64, healthy: bool = True) -> Replica:
    return Replica(name, in_flight, limit, healthy)


def picked(*pool: Replica, warm: str | None = None, key: str = "ann/s1", slack: int = 2) -> str:
    return pick(pool, warm, key, slack).id


def test_1_the_warm_replica_is_kept_while_it_is_at_most_slack_busier() -> None:
    assert picked(a_replica("a", 2), a_replica("b", 0), warm="a") == "a"


def test_1_beyond_the_slack_the_warm_replica_gives_way_to_the_least_busy() -> None:
    assert picked(a_replica("a", 4), a_replica("b", 2), a_replica("c", 1), warm="a") == "c"


def test_1_an_unhealthy_warm_replica_is_left() -> None:
    assert picked(a_replica("a", healthy=False), a_replica("b"), warm="a") == "b"


def test_1_a_warm_replica_at_its_limit_is_left_whatever_the_slack() -> None:
    assert picked(a_replica("a", 3, limit=3), a_replica("b"), warm="a", slack=100) == "b"


def test_1_a_warm_replica_that_no_longer_exists_is_forgotten() -> None:
    assert picked(a_replica("b"), warm="a") == "b"


def test_2_the_same_key_finds_the_same_replica_whatever_the_order() -> None:
    pool = [a_replica(name) for name in "abcde"]
    assert pick(pool, None, "ann/s1", 2) == pick(pool[::-1], None, "ann/s1", 2)


def test_2_keys_spread_over_the_replicas() -> None:
    pool = [a_replica(name) for name in "abcd"]
    counts = [sum(pick(pool, None, f"ann/{i}", 2).id == name for i in range(400)) for name in "abcd"]
    assert min(counts) > 50


def test_2_losing_a_replica_moves_only_its_own_keys() -> None:
    pool = [a_replica(name) for name in "abcd"]
    for i in range(100):
        before = pick(pool, None, f"ann/{i}", 2).id
        if before != "d":
            assert pick(pool[:3], None, f"ann/{i}", 2).id == before


def test_3_a_hashed_replica_that_is_clearly_busier_gives_way() -> None:
    hashed = picked(a_replica("a"), a_replica("b"))
    other = "b" if hashed == "a" else "a"
    assert picked(a_replica(hashed, 2), a_replica(other)) == hashed
    assert picked(a_replica(hashed, 3), a_replica(other)) == other


@pytest.mark.parametrize(
    "pool",
    [[], [a_replica("a", healthy=False)], [a_replica("a", 1, limit=1)]],
    ids=["none", "unhealthy", "full"],
)
def test_no_replica_is_said_so(pool: list[Replica]) -> None:
    with pytest.raises(NoReplica):
        pick(pool, "a", "ann/s1", 2)


REPLICAS = st.lists(
    st.builds(Replica, st.text("abcdef", min_size=1, max_size=2), st.integers(0, 9), st.integers(1, 9), st.booleans()),
    max_size=6,
    unique_by=lambda replica: replica.id,
)


@given(pool=REPLICAS, warm=st.none() | st.text("abcdef", min_size=1, max_size=2), slack=st.integers(0, 9))
def test_whoever_is_picked_is_able_and_within_the_slack(pool: list[Replica], warm: str | None, slack: int) -> None:
    able = [r for r in pool if r.healthy and r.in_flight < r.limit]
    try:
        found = pick(pool, warm, "ann/s1", slack)
    except NoReplica:
        assert not able
        return
    assert found in able
    assert found.in_flight <= min(r.in_flight for r in able) + slack
