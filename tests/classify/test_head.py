"""The linear head: its formula, and what is stored of it."""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest

from smart_router.classify.base import Matrix
from smart_router.classify.head import Head, Linear, load_head, save_head
from smart_router.classify.lexical import columns
from smart_router.classify.train import train_head
from smart_router.errors import ArtifactUnusable
from tests.fakes import FakeEncoder

from .worlds import EXAMPLES, TEXTS, USE_CASES, embeddings_of


@pytest.fixture(scope="module")
def head() -> Head:
    return train_head(EXAMPLES, USE_CASES, embeddings_of(FakeEncoder()), "encoder")


def a_linear(**changed: object) -> Linear:
    usual = Linear(
        sparse=np.zeros((4, 2), np.float32),
        attached=np.zeros((3, 2), np.float32),
        bias=np.zeros(2, np.float32),
        temperature=1.0,
    )
    return dataclasses.replace(usual, **changed)  # type: ignore[arg-type]  # a test states only what matters


def found(linear: Linear, *cols: int, media: tuple[str, ...] = (), embedding: list[float] | None = None) -> list[float]:
    vector = None if embedding is None else np.array(embedding, np.float32)
    odds = linear.probabilities(np.array(cols, np.int64), media, vector)  # type: ignore[arg-type]
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
    dense = linear.dense if linear.dense is not None else np.empty((0, 0), np.float32)
    return linear.sparse, linear.attached, linear.bias, dense


def test_what_is_loaded_is_what_was_saved(head: Head, tmp_path: Path) -> None:
    save_head(head, tmp_path / "new" / "head.npz")
    loaded = load_head(tmp_path / "new" / "head.npz")
    assert (loaded.use_cases, loaded.inputs_sha256, loaded.meta) == (head.use_cases, head.inputs_sha256, head.meta)
    assert same(loaded.lexical, head.lexical)
    assert same(loaded.hybrid, head.hybrid)


def test_a_loaded_head_decides_like_the_saved_one(head: Head, tmp_path: Path) -> None:
    save_head(head, tmp_path / "head.npz")
    loaded = load_head(tmp_path / "head.npz")
    for texts in TEXTS.values():
        for text in texts:
            expected = head.lexical.probabilities(columns(text), ())
            assert np.array_equal(loaded.lexical.probabilities(columns(text), ()), expected)


def test_a_head_without_an_encoder_stays_one(tmp_path: Path) -> None:
    save_head(train_head(EXAMPLES, USE_CASES, None, "none"), tmp_path / "head.npz")
    assert load_head(tmp_path / "head.npz").hybrid is None


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
        assert same(loaded.lexical, head.lexical)


@pytest.mark.parametrize("meta", ["[]", "5", "{}", '{"use_cases": 5, "inputs_sha256": ""}', "not json"])
def test_a_head_whose_description_is_damaged_is_unusable(head: Head, tmp_path: Path, meta: str) -> None:
    path = tmp_path / "head.npz"
    save_head(head, path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file}
    np.savez(path, **arrays | {"meta": np.array(meta)})
    with pytest.raises(ArtifactUnusable):
        load_head(path)
