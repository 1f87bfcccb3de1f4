"""Files of queries."""

from pathlib import Path

import pytest

from smart_router.bench.plan import BadFile, Plan, read_queries


def test_a_file_has_a_query_per_line_as_text_or_as_json(tmp_path: Path) -> None:
    path = tmp_path / "queries"
    path.write_text(
        'plain words\n\n{"query": "of JSON"}\r\n{"text": "as `eval` has it", "label": "agent"}\n', "utf-8-sig"
    )
    assert read_queries(path) == ["plain words", "of JSON", "as `eval` has it"]


BAD = {
    "not there": (None, "cannot be read"),
    "empty": (b"\n \n", "has no queries"),
    "not UTF-8": (b"caf\xe9", "is not UTF-8 (byte 3)"),
    "broken JSON": (b'ok\n{"query": ', ":2: is not JSON"),
    "without a query": (b'{"queries": 1}', ":1: has no `query`"),
    "no text": (b'{"query": 5}', ":1: has no `query`"),
    "too many": (b"x\n" * 10_001, "at most 10000"),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named_with_what_to_write(content: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "queries"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadFile) as caught:
        read_queries(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


def test_queries_take_turns() -> None:
    plan = Plan(queries=("a", "b"))
    assert [plan.query(run) for run in range(5)] == ["a", "b", "a", "b", "a"]
