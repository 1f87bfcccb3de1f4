"""Embeddings of examples are kept between trainings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from smart_router.classify.base import Matrix, Said
from smart_router.classify.embeddings import encode_known


class Counting:
    """An encoder whose embedding of a text is its length, and that remembers what it was asked."""

    dimension = 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, said: Sequence[Said]) -> Matrix:
        self.asked += [one.text for one in said]
        return np.array([[len(one.text) + 100 * len(one.after), 1] for one in said], dtype=np.float32)


@pytest.fixture
def encoder() -> Counting:
    return Counting()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "embeddings.npz"


def encoded(encoder: Counting, texts: Sequence[str], path: Path) -> list[float]:
    said = [Said(text) for text in texts]
    return [float(row[0]) for row in encode_known(encoder, said, path, lambda done, of: None)]


def test_only_changed_texts_are_encoded_again(encoder: Counting, kept: Path) -> None:
    assert encoded(encoder, ["a", "bb"], kept) == [1, 2]
    assert encoded(encoder, ["ccc", "a"], kept) == [3, 1]
    assert encoder.asked == ["a", "bb", "ccc"]


def test_a_text_after_another_is_another_one(encoder: Counting, kept: Path) -> None:
    said = [Said("a"), Said("a", "b"), Said("a", "bb")]
    for _ in range(2):
        rows = encode_known(encoder, said, kept, lambda done, of: None)
        assert rows[:, 0].tolist() == [1, 101, 201]
    assert encoder.asked == ["a", "a", "a"]


def test_what_is_no_example_any_more_is_dropped(encoder: Counting, kept: Path) -> None:
    for texts in (["a", "bb"], ["ccc"], ["a"]):
        encoded(encoder, texts, kept)
    assert encoder.asked == ["a", "bb", "ccc", "a"]


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04"])
def test_a_damaged_file_is_made_again(encoder: Counting, kept: Path, content: bytes) -> None:
    kept.parent.mkdir()
    kept.write_bytes(content)
    assert encoded(encoder, ["a"], kept) == [1]
    assert encoded(encoder, ["a"], kept) == [1]
    assert encoder.asked == ["a"]


def test_embeddings_of_another_size_are_not_taken(encoder: Counting, kept: Path) -> None:
    encoded(encoder, ["a"], kept)
    with kept.open("wb") as file:
        np.savez(file, names=np.array(["a"]), rows=np.ones((1, 3), dtype=np.float32))
    assert encoded(encoder, ["a"], kept) == [1]


def test_progress_is_told(encoder: Counting, kept: Path) -> None:
    told: list[tuple[int, int]] = []
    said = [Said(str(i)) for i in range(1500)]
    encode_known(encoder, said, kept, lambda done, of: told.append((done, of)))
    assert told == [(1024, 1500), (1500, 1500)]
