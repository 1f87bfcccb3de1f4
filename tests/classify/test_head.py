"""The linear heads: their formula, and what is stored of them."""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.classify.base import Matrix
from smart_router.classify.head import Head, Linear, Pair, as_stored, in_levels, load_head, save_head
from smart_router.errors import ArtifactUnusable
from tests.fakes import FakeEncoder

from .worlds import TEXTS, a_head, columns_of


@pytest.fixture(scope="module")
def head() -> Head:
    return a_head(encoder=FakeEncoder())


def a_linear(**changed: object) -> Linear:
    usual = Linear(
        sparse=np.zeros((4, 2), np.float32),
        attached=np.zeros((3, 2), np.float32),
        bias=np.zeros(2, np.float32),
        temperature=1.0,
    )
    return dataclasses.replace(usual, **changed)  # type: ignore[arg-type]  # a test states only what matters


def found(
    linear: Linear,
    *cols: int,
    media: tuple[str, ...] = (),
    embedding: list[float] | None = None,
    standing: int | None = None,
) -> list[float]:
    vector = None if embedding is None else np.array(embedding, np.float32)
    odds = linear.probabilities(np.array(cols, np.int64), media, vector, standing)  # type: ignore[arg-type]
    return [round(float(p), 4) for p in odds]


def test_nothing_known_is_even() -> None:
    assert found(a_linear()) == [0.5, 0.5]


def test_ngrams_weigh_by_the_root_of_their_number() -> None:
    sparse = np.array([[2, 0], [2, 0], [2, 0], [2, 0]], np.float32)
    assert found(a_linear(sparse=sparse), 0, 1, 2, 3) == [0.982, 0.018]  # softmax(8 / sqrt(4), 0)


def test_attached_media_weigh() -> None:
    attached = np.array([[0, 2], [0, 0], [0, 0]], np.float32)
    assert found(a_linear(attached=attached), media=("image",)) == [0.1192, 0.8808]
    assert found(a_linear(attached=attached), media=("audio",)) == [0.5, 0.5]


def test_the_embedding_weighs_and_may_be_missing() -> None:
    linear = a_linear(dense=np.array([[2, 0], [0, 2]], np.float32))
    assert found(linear, embedding=[1, 0]) == [0.8808, 0.1192]
    assert found(linear) == [0.5, 0.5]


def test_the_standing_use_case_weighs_and_may_be_missing() -> None:
    linear = a_linear(standing=np.array([[0, 0], [2, 0]], np.float32))
    assert found(linear, standing=1) == [0.8808, 0.1192]
    assert found(linear, standing=0) == [0.5, 0.5]
    assert found(linear) == [0.5, 0.5]
    assert found(a_linear(), standing=1) == [0.5, 0.5]


def test_all_parts_add_up() -> None:
    two = np.array([[2, 0], [2, 0], [2, 0]], np.float32)
    linear = a_linear(sparse=two, attached=two, standing=two[:2], dense=two[:1], bias=-two[0] * 3)
    assert found(linear, 1, media=("video",), embedding=[0.5], standing=0) == [0.7311, 0.2689]  # softmax(2+2+2+1-6, 0)


def test_a_higher_temperature_is_less_sure() -> None:
    bias = np.array([2, 0], np.float32)
    assert found(a_linear(bias=bias)) == [0.8808, 0.1192]
    assert found(a_linear(bias=bias, temperature=2.0)) == [0.7311, 0.2689]


def test_large_weights_do_not_overflow() -> None:
    assert found(a_linear(bias=np.array([1e4, -1e4], np.float32))) == [1.0, 0.0]


# what is stored


def same(one: Linear | None, other: Linear | None) -> bool:
    if one is None or other is None:
        return one is other
    arrays = zip(parts(one), parts(other), strict=True)
    return one.temperature == other.temperature and all(np.array_equal(a, b) for a, b in arrays)


def parts(linear: Linear) -> tuple[Matrix, ...]:
    missing = np.empty((0, 0), np.float32)
    optional = (missing if part is None else part for part in (linear.standing, linear.dense))
    return linear.sparse, linear.attached, linear.bias, *optional


def all_linears(head: Head) -> list[Linear | None]:
    return [head.first.lexical, head.first.hybrid, head.later.lexical, head.later.hybrid]


def saved_and_loaded(head: Head, folder: Path) -> Head:
    save_head(head, folder / "new" / "head.npz")
    return load_head(folder / "new" / "head.npz")


def test_what_is_loaded_is_what_was_saved(head: Head, tmp_path: Path) -> None:
    loaded = saved_and_loaded(head, tmp_path)
    assert (loaded.use_cases, loaded.inputs_sha256, loaded.meta) == (head.use_cases, head.inputs_sha256, head.meta)
    assert np.array_equal(loaded.known, head.known)
    assert loaded.known.dtype == np.uint32
    assert [same(a, b) for a, b in zip(all_linears(loaded), all_linears(head), strict=True)] == [True] * 4


def test_the_four_heads_do_not_change_places(tmp_path: Path) -> None:
    one, two, three, four = (a_linear(bias=np.array([i, 0], np.float32), temperature=i / 2) for i in (1, 2, 3, 4))
    head = Head(("a", "b"), "hash", Pair(one, two), Pair(three, four), np.array([7], np.uint32), {})
    assert all(map(same, all_linears(saved_and_loaded(head, tmp_path)), (one, two, three, four)))


@given(
    weights=st.dictionaries(st.integers(0, 99), st.tuples(st.integers(-127, 127), st.integers(-127, 127))),
    optional=st.sets(st.sampled_from(["standing", "dense"])),
    seed=st.integers(0, 99),
)
def test_whatever_weights_there_are_come_back(
    tmp_path_factory: pytest.TempPathFactory, weights: dict[int, tuple[int, int]], optional: set[str], seed: int
) -> None:
    chance = np.random.default_rng(seed)
    sparse = np.zeros((100, 2), np.float32)
    for row, pair in weights.items():
        sparse[row] = pair
    more = {name: chance.normal(size=(2, 2)).astype(np.float32) for name in optional}
    attached = chance.normal(size=(3, 2)).astype(np.float32)
    linear = as_stored(a_linear(sparse=sparse * np.float32(0.01), attached=attached, **more), fine=True)
    head = Head(("a", "b"), "hash", Pair(linear, None), Pair(linear, linear), np.array([], np.uint32), {})
    loaded = saved_and_loaded(head, tmp_path_factory.mktemp("head"))
    for found in (loaded.first.lexical, loaded.later.lexical, loaded.later.hybrid):
        assert found is not None
        assert ((found.standing is None), (found.dense is None)) == ("standing" not in more, "dense" not in more)
        for a, b in zip(parts(found), parts(linear), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    assert loaded.first.hybrid is None


WEIGHTS = st.lists(st.tuples(*[st.floats(-50, 50, width=32)] * 2), min_size=1, max_size=20)


@given(WEIGHTS, st.booleans(), st.booleans())
def test_a_stored_weight_is_off_by_less_than_a_step(
    rows: list[tuple[float, float]], beside_encoder: bool, fine: bool
) -> None:
    dense = np.zeros((2, 2), np.float32) if beside_encoder else None
    sparse = np.array(rows, np.float32)
    scale, stored = in_levels(a_linear(sparse=sparse, dense=dense), fine)
    assert np.all(np.abs(stored * scale - sparse) <= scale * (0.5001 if fine else 0.6501))


@given(WEIGHTS, st.booleans(), st.booleans())
def test_what_is_stored_is_stored_as_it_is(rows: list[tuple[float, float]], beside_encoder: bool, fine: bool) -> None:
    dense = np.zeros((2, 2), np.float32) if beside_encoder else None
    once = as_stored(a_linear(sparse=np.array(rows, np.float32), dense=dense), fine)
    np.testing.assert_allclose(as_stored(once, fine).sparse, once.sparse, rtol=1e-6)


def test_a_loaded_head_decides_like_the_saved_one(head: Head, tmp_path: Path) -> None:
    save_head(head, tmp_path / "head.npz")
    loaded = load_head(tmp_path / "head.npz")
    for texts in TEXTS.values():
        for text in texts:
            expected = head.later.lexical.probabilities(columns_of(text), (), standing=1)
            assert np.array_equal(loaded.later.lexical.probabilities(columns_of(text), (), standing=1), expected)


def test_a_head_without_an_encoder_stays_one(tmp_path: Path) -> None:
    loaded = saved_and_loaded(a_head(), tmp_path)
    assert (loaded.first.hybrid, loaded.later.hybrid) == (None, None)


def test_the_same_head_is_the_same_file(head: Head, tmp_path: Path) -> None:
    save_head(head, tmp_path / "a.npz")
    save_head(head, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_saving_leaves_nothing_half_written_behind(head: Head, tmp_path: Path) -> None:
    save_head(head, tmp_path / "head.npz")
    save_head(head, tmp_path / "head.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["head.npz"]


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04", b"\x93NUMPY", b"\0" * 1000])
def test_a_file_that_is_no_head_is_unusable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "head.npz"
    path.write_bytes(content)
    with pytest.raises(ArtifactUnusable, match=r"head\.npz"):
        load_head(path)


def test_a_missing_head_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(ArtifactUnusable, match=r"head\.npz"):
        load_head(tmp_path / "head.npz")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_head_cut_short_is_unusable(head: Head, tmp_path: Path, share: float) -> None:
    path = tmp_path / "head.npz"
    save_head(head, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArtifactUnusable):
        load_head(path)


def test_a_head_with_a_damaged_byte_is_unusable_or_unharmed(head: Head, tmp_path: Path) -> None:
    path = tmp_path / "head.npz"
    save_head(head, path)
    whole = path.read_bytes()
    chance = random.Random(7)
    for _ in range(30):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            loaded = load_head(path)
        except ArtifactUnusable:
            continue
        assert all(map(same, all_linears(loaded), all_linears(head)))


@pytest.mark.parametrize("meta", ["[]", "5", "{}", '{"use_cases": 5, "inputs_sha256": ""}', "not json"])
def test_a_head_whose_description_is_damaged_is_unusable(head: Head, tmp_path: Path, meta: str) -> None:
    path = tmp_path / "head.npz"
    save_head(head, path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file}
    np.savez(path, **arrays | {"meta": np.array(meta)})
    with pytest.raises(ArtifactUnusable):
        load_head(path)
