"""Which replica, whatever the pool."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.replica import AllBusy, NoReplica
from tests.decide.test_replica import NOW, REPLICAS, Stub, choose

KEYS = st.text(max_size=12)
WARM = st.none() | st.text("abcdef", min_size=1, max_size=2)
SLACK = st.integers(0, 9)
GONE = st.frozensets(st.text("abcdef", min_size=1, max_size=2), max_size=3)
IDLE = st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=2, max_size=6, unique=True)


def chosen(pool: list[Stub], warm: str | None, key: str, slack: int, without: frozenset[str]) -> str | type[NoReplica]:
    try:
        return choose(pool, warm, key=key, slack=slack, without=without)
    except NoReplica as none:
        return type(none)


@given(REPLICAS, WARM, KEYS, SLACK, GONE)
def test_one_that_is_unfit_full_resting_or_left_out_is_never_picked(
    pool: list[Stub], warm: str | None, key: str, slack: int, without: frozenset[str]
) -> None:
    able = {r.endpoint for r in pool if r.usable_at <= NOW and r.in_flight < r.limit} - without
    found = chosen(pool, warm, key, slack, without)
    assert found in able if able else isinstance(found, type)


@given(REPLICAS, WARM, KEYS, SLACK, GONE)
def test_nobody_is_picked_only_where_nobody_is_fit_and_busy_where_some_are(
    pool: list[Stub], warm: str | None, key: str, slack: int, without: frozenset[str]
) -> None:
    found = chosen(pool, warm, key, slack, without)
    if isinstance(found, type):
        fit = any(r.fit_at <= NOW for r in pool if r.endpoint not in without)
        assert found is (AllBusy if fit else NoReplica)


@given(REPLICAS, WARM, KEYS, SLACK, GONE)
def test_to_leave_replicas_out_is_the_same_as_not_to_have_them(
    pool: list[Stub], warm: str | None, key: str, slack: int, without: frozenset[str]
) -> None:
    others = [replica for replica in pool if replica.endpoint not in without]
    assert chosen(pool, warm, key, slack, without) == chosen(others, warm, key, slack, frozenset())


@given(IDLE, KEYS, st.randoms(use_true_random=False))
def test_among_idle_ones_the_key_decides_and_not_their_order(names: list[str], key: str, chance: object) -> None:
    pool = [Stub(name) for name in names]
    found = choose(pool, key=key)
    chance.shuffle(pool)  # type: ignore[attr-defined]
    assert choose(pool, key=key) == found


@given(IDLE, st.lists(KEYS, max_size=20), st.data())
def test_without_a_replica_only_its_own_keys_move(names: list[str], keys: list[str], data: st.DataObject) -> None:
    lost = data.draw(st.sampled_from(names))
    pool = [Stub(name) for name in names]
    for key in keys:
        before, after = choose(pool, key=key), choose(pool, key=key, without=frozenset({lost}))
        assert after == before or before == lost
