"""Which writers the encoder does not learn from. The rest of the build needs torch."""

import pytest

from smart_router.classify.base import Example
from smart_router.classify.build import writers_apart
from smart_router.classify.lessons import Lessons


def by(*writers: str) -> Lessons:
    return Lessons(tuple(Example("hello", "agent", "en", None, writer) for writer in writers), ())


def names(count: int) -> list[str]:
    return [f"w{i:02}" for i in range(count)]


@pytest.mark.parametrize(("count", "apart"), [(12, ["w11"]), (23, ["w11"]), (24, ["w11", "w23"])])
def test_one_of_every_so_many_writers_is_kept_apart(count: int, apart: list[str]) -> None:
    assert list(writers_apart(by(*names(count)[::-1]))) == apart


@pytest.mark.parametrize(("count", "apart"), [(0, []), (1, []), (3, []), (4, ["w03"]), (9, ["w08"])])
def test_of_fewer_writers_the_last_is_kept_apart_and_of_very_few_none(count: int, apart: list[str]) -> None:
    assert list(writers_apart(by(*names(count)))) == apart


def test_examples_without_a_writer_are_never_kept_apart() -> None:
    assert writers_apart(by(*[""] * 30, "w1", "w2", "w3")) == ()
