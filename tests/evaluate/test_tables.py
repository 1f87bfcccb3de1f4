"""Evaluations as text, for people and for the documentation."""

from pathlib import Path

import pytest

from smart_router.evaluate.queries import Judged, Row
from smart_router.evaluate.run import Evaluation
from smart_router.evaluate.sessions import SessionRow
from smart_router.evaluate.tables import MISTAKES, markdown, plain

from .scripted import a_judged

JUDGED = [
    a_judged("agent", "agent", 0.9, language="en"),
    a_judged("stt", "agent", 0.6, language="hi", hard=True),
    a_judged("stt", "stt", 1.0, modality="audio"),
]
A_ROW = SessionRow("realtime", "all", 12, 0.9, 0.125, None, 1.0, 1.0, 0.0, 0.75, 0.25, 41.6)


def a_file(
    judged: list[Judged] | None = None, *, rows: list[SessionRow] | None = None, peers: list[Row] | None = None
) -> Evaluation:
    return Evaluation(Path("quality/dev.jsonl"), judged or [], peers or [], rows or [])


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def tables_of(text: str) -> list[list[list[str]]]:
    """Each as its rows of cells, without the line below the head."""
    blocks = "\n".join(line if line.startswith("|") else "" for line in text.splitlines()).split("\n\n")
    rows = [[cells(line) for line in block.strip().splitlines() if not line.startswith("|---")] for block in blocks]
    return [table for table in rows if table]


def test_every_file_is_named() -> None:
    both = [a_file(JUDGED), Evaluation(Path("other.jsonl"), JUDGED)]
    assert [line for line in plain(both).splitlines() if line.endswith(".jsonl")] == [
        "quality/dev.jsonl",
        "other.jsonl",
    ]
    assert [line for line in markdown(both).splitlines() if line.startswith("#")] == ["### dev", "### other"]


def test_plain_text_has_a_line_for_each_part_with_its_share() -> None:
    lines = [line.split() for line in plain([a_file(JUDGED)]).splitlines()]
    assert ["66.7%", "2/3"] in lines  # all
    assert ["text", "only", "50.0%", "1/2"] in lines
    assert ["audio", "100.0%", "1/1"] in lines
    assert ["hi", "0.0%", "0/1"] in lines


def test_plain_text_says_how_sure_it_was_and_what_it_took_for_what() -> None:
    text = plain([a_file(JUDGED)])
    assert "expected calibration error (text only)  0.350" in text  # 0.1 and 0.6 off
    assert "    stt taken for agent        1" in text
    assert "agent taken for agent" not in text


def test_the_most_frequent_mistakes_come_first_and_the_rest_is_left_out() -> None:
    judged = [a_judged("agent", f"c{i:02}", 0.5) for i in range(MISTAKES + 3) for _ in range(i + 1)]
    listed = [line for line in plain([a_file(judged)]).splitlines() if "taken for" in line]
    assert [int(line.split()[-1]) for line in listed] == list(range(MISTAKES + 3, 3, -1))


def test_what_belongs_nowhere_is_nobodys_mistake_but_stands_in_the_table() -> None:
    evaluation = a_file([a_judged("", "agent", 0.3)])
    assert "taken for agent" not in plain([evaluation])
    assert tables_of(markdown([evaluation]))[1] == [["text only: is, taken for", "agent"], ["nowhere", "1"]]


def test_every_table_in_markdown_has_as_many_cells_in_each_row_as_in_its_head() -> None:
    queries = a_file(JUDGED, peers=[Row("text only", "semantic-router 1.0", 2, 1)])
    found = tables_of(markdown([queries, a_file(rows=[A_ROW])]))
    assert len(found) == 4
    for head, *rows in found:
        assert {len(row) for row in rows} == {len(head)}


def test_markdown_says_what_was_taken_for_what() -> None:
    [_, confusions] = tables_of(markdown([a_file(JUDGED)]))
    assert confusions == [["text only: is, taken for", "agent"], ["agent", "1"], ["stt", "1"]]


def test_other_routers_stand_beside_this_one_on_the_same_queries() -> None:
    evaluation = a_file([*JUDGED, a_judged("", "agent", 0.3)], peers=[Row("text only", "semantic-router 1.0", 2, 2)])
    assert tables_of(markdown([evaluation]))[-1][1:] == [
        ["semantic-router 1.0", "2", "100.0%"],
        ["smart-router", "2", "50.0%"],
    ]
    assert "semantic-router 1.0 (text only)  100.0%   2/2" in plain([evaluation])


def test_a_policy_is_a_row_and_a_share_of_nothing_is_left_empty() -> None:
    [[head, row]] = tables_of(markdown([a_file(rows=[A_ROW])]))
    told = dict(zip(head, row, strict=True))
    assert (told["policy"], told["of"], told["later turns"]) == ("realtime", "all", "12")
    assert (told["right"], told["follow-ups dropped"], told["switches found by words"]) == ("90.0%", "12.5%", "")
    assert (told["flip-flops"], told["bypassed"], told["bypass, µs"]) == ("0.0%", "75.0%", "42")


def test_a_policy_in_plain_text_has_a_line_for_each_column() -> None:
    text = plain([a_file(rows=[A_ROW])])
    assert "  realtime, all\n" in text
    assert ["follow-ups", "dropped", "12.5%"] in [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("form", [plain, markdown])
def test_a_file_without_lines_is_named_and_no_more(form: object) -> None:
    assert callable(form)
    assert len(str(form([a_file()])).strip().splitlines()) == 1
