"""The numbered cases of `pick`."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.replica import FULL_RETRY_S, AllBusy, NoReplica, pick, seed

NOW = 1000.0
NOBODY: frozenset[str] = frozenset()


@dataclass
class Stub:
    """What `pick` reads of a replica."""

    endpoint: str
    in_flight: int = 0
    limit: int = 64
    fit_at: float = 0.0
    resting_until: float = 0.0
    elsewhere: int = 0
    load_until: float = 0.0

    @property
    def usable_at(self) -> float:
        return max(self.fit_at, self.resting_until)

    @property
    def seed(self) -> int:
        return seed(self.endpoint)


def a_replica(name: str, in_flight: int = 0, *, limit: int = 64, healthy: bool = True, rests_s: float = 0) -> Stub:
    fit_at = 0.0 if healthy else NOW + 10
    return Stub(name, in_flight, limit, fit_at, NOW + rests_s if rests_s else 0.0)


def a_busy_one(name: str, in_flight: int = 0, *, elsewhere: int, known_for_s: float = 1.0) -> Stub:
    return Stub(name, in_flight, elsewhere=elsewhere, load_until=NOW + known_for_s)


def choose(
    pool: Sequence[Stub], warm: str | None = None, key: str = "ann/s1", slack: int = 2, without: frozenset[str] = NOBODY
) -> str:
    return pick(pool, warm, key, slack, NOW, without).endpoint


def picked(*pool: Stub, warm: str | None = None, without: frozenset[str] = NOBODY, slack: int = 2) -> str:
    return choose(pool, warm, slack=slack, without=without)


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


def test_1_a_warm_replica_that_rests_is_left() -> None:
    assert picked(a_replica("a", rests_s=1), a_replica("b"), warm="a") == "b"


def test_1_what_others_have_there_counts_as_busy() -> None:
    assert picked(a_busy_one("a", elsewhere=3), a_replica("b"), warm="a") == "b"
    assert picked(a_busy_one("a", elsewhere=2), a_replica("b"), warm="a") == "a"
    assert picked(a_replica("a", 3), a_busy_one("b", elsewhere=3), warm="a") == "a"


def test_1_a_load_of_long_ago_is_unknown() -> None:
    assert picked(a_busy_one("a", elsewhere=100, known_for_s=0), a_replica("b"), warm="a") == "a"


def test_who_was_tried_is_left_out() -> None:
    assert picked(a_replica("a"), a_replica("b"), warm="a", without=frozenset({"a"})) == "b"


def test_2_the_same_key_finds_the_same_replica_whatever_the_order() -> None:
    pool = [a_replica(name) for name in "abcde"]
    for i in range(20):
        assert choose(pool, key=f"ann/{i}") == choose(pool[::-1], key=f"ann/{i}")


def test_2_every_router_and_version_hashes_alike() -> None:
    pool = [a_replica(f"http://10.0.0.{i}:8000") for i in range(8)]
    found = "".join(choose(pool, key=f"ann/{i}")[-6] for i in range(40))
    assert hashlib.sha256(found.encode()).hexdigest()[:8] == "ae3ac106"


@pytest.mark.parametrize("names", ["ab", "abc", "abcdefgh"])
def test_2_keys_spread_over_the_replicas(names: str) -> None:
    pool = [a_replica(f"http://{name}:8000") for name in names]
    found = [choose(pool, key=f"ann/{i}") for i in range(2000)]
    expected = 2000 / len(names)
    statistic = sum((found.count(r.endpoint) - expected) ** 2 / expected for r in pool)
    assert statistic < 25, "chi-square, 7 degrees of freedom or fewer: beyond 25 in 1 of 1000"


def test_2_losing_a_replica_moves_only_its_own_keys_and_spreads_them() -> None:
    pool = [a_replica(name) for name in "abcd"]
    heirs = []
    for i in range(400):
        before, after = choose(pool, key=f"ann/{i}"), choose(pool[:3], key=f"ann/{i}")
        if before == "d":
            heirs.append(after)
        else:
            assert after == before
    assert min(heirs.count(name) for name in "abc") > 15


def test_2_odd_keys_are_hashed_too() -> None:
    assert choose([a_replica("a"), a_replica("b")], key="\udc80\0") in "ab"


def test_3_a_hashed_replica_that_is_clearly_busier_gives_way() -> None:
    hashed = picked(a_replica("a"), a_replica("b"))
    other = "b" if hashed == "a" else "a"
    assert picked(a_replica(hashed, 2), a_replica(other)) == hashed
    assert picked(a_replica(hashed, 3), a_replica(other)) == other


# nobody


@pytest.mark.parametrize(
    "pool", [[], [a_replica("a", healthy=False)], [a_replica("a", healthy=False, rests_s=3)]], ids=str
)
def test_no_replica_is_said_so(pool: list[Stub]) -> None:
    with pytest.raises(NoReplica) as caught:
        choose(pool, "a")
    assert not isinstance(caught.value, AllBusy)


@pytest.mark.parametrize(
    ("pool", "soonest_s"),
    [
        ([a_replica("a", rests_s=3), a_replica("b", rests_s=2), a_replica("c", healthy=False)], 2.0),
        ([a_replica("a", 1, limit=1)], FULL_RETRY_S),
        ([a_replica("a", 1, limit=1), a_replica("b", rests_s=0.25)], 0.25),
        ([a_replica("a", 1, limit=1, rests_s=5)], 5.0),
    ],
)
def test_all_busy_says_when_the_first_will_not_be(pool: list[Stub], soonest_s: float) -> None:
    with pytest.raises(AllBusy) as caught:
        choose(pool, "a")
    assert caught.value.retry_after_s == pytest.approx(soonest_s)


REPLICAS = st.lists(
    st.builds(
        a_replica,
        st.text("abcdef", min_size=1, max_size=2),
        st.integers(0, 9),
        limit=st.integers(1, 9),
        healthy=st.booleans(),
        rests_s=st.sampled_from([0, 0, 2]),
    ),
    max_size=6,
    unique_by=lambda replica: replica.endpoint,
)


@given(pool=REPLICAS, warm=st.none() | st.text("abcdef", min_size=1, max_size=2), slack=st.integers(0, 9))
def test_whoever_is_picked_is_able_and_within_the_slack(pool: list[Stub], warm: str | None, slack: int) -> None:
    able = {r.endpoint: r for r in pool if r.usable_at <= NOW and r.in_flight < r.limit}
    try:
        found = able[choose(pool, warm, slack=slack)]
    except NoReplica:
        assert not able
        return
    least = min(r.in_flight for r in able.values())
    assert found.in_flight <= least + slack
    if warm in able and able[warm].in_flight <= least + slack:
        assert found.endpoint == warm
