"""Labelled queries: what is read, which line is wrong, and what is reported."""

import json
from pathlib import Path
from typing import Any

import pytest

from smart_router.chooser import Chooser
from smart_router.errors import ConfigurationError
from smart_router.evaluate.queries import Judged, Labelled, confusions, judge, load_labelled, report
from tests.choosing import REGISTRY, FakeClassifier
from tests.fakes import settings


def a_labelled(label: str = "agent", **changed: Any) -> Labelled:
    usual: dict[str, Any] = {"text": "Hi", "language": "en", "modality": None, "source": "dev", "hard": False}
    return Labelled(label=label, **usual | changed)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "queries.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_line_is_a_query_with_what_is_known_of_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"text": "Hi", "label": "agent"}',
        "",
        '{"text": "सुनो", "label": "stt", "lang": "hi", "modality": "audio", "source": "dev:7", "hard": true}',
    )
    assert load_labelled(path) == (
        a_labelled(source="unknown"),
        Labelled("सुनो", "stt", "hi", "audio", "dev", True),
    )


@pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b", "a\x85b", "a\x0cb"])
def test_a_separator_inside_a_text_does_not_end_its_line(tmp_path: Path, text: str) -> None:
    line = json.dumps({"text": text, "label": "agent"}, ensure_ascii=False)
    assert [query.text for query in load_labelled(write(tmp_path, line))] == [text]


@pytest.mark.parametrize(
    "line", ["{", "[]", "5", '{"text": "Hi"}', '{"label": "a"}', '{"text": "Hi", "label": "a", "modality": "smell"}']
)
def test_a_wrong_line_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, '{"text": "Hi", "label": "agent"}', line)
    with pytest.raises(ConfigurationError, match=r"queries\.jsonl:2: not a labelled query"):
        load_labelled(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_labelled(tmp_path / "none.jsonl")


def test_a_report_breaks_down_the_text_only_queries() -> None:
    judged = [
        Judged(a_labelled("agent"), "agent", 0.9),
        Judged(a_labelled("stt", language="hi", hard=True), "agent", 0.4),
        Judged(a_labelled("stt", modality="audio"), "stt", 1.0),
    ]
    found = {(row.part, row.value): (row.right, row.total) for row in report(judged)}
    assert found["all", ""] == (2, 3)
    assert found["modality", "text only"] == (1, 2)
    assert found["modality", "audio"] == (1, 1)
    assert found["class", "stt"] == (0, 1)
    assert found["language", "hi"] == (0, 1)
    assert found["difficulty", "easy"] == (1, 1)
    assert confusions(judged) == {("agent", "agent"): 1, ("stt", "agent"): 1}


def test_a_report_on_nothing_has_an_accuracy() -> None:
    assert [row.accuracy for row in report([])] == [0.0]


# what the router chooses


@pytest.mark.usefixtures("bare_environment")
async def test_each_query_is_judged_as_a_first_turn_with_its_modality_as_the_hint() -> None:
    asked = [
        a_labelled("stt", text="please transcribe it"),
        a_labelled("multimodal", text="please transcribe it", modality="image"),
        a_labelled("agent", text="look at this picture"),
    ]
    found = await judge(asked, Chooser(REGISTRY, FakeClassifier(), settings()))
    assert [(one.query, one.chosen, one.right) for one in found] == [
        (asked[0], "stt", True),
        (asked[1], "multimodal", True),
        (asked[2], "multimodal", False),
    ]
    assert found[0].confidence == pytest.approx(0.95)


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(("threshold", "right"), [(0.5, True), (0.3, False)])
async def test_of_what_belongs_nowhere_only_a_fallback_is_right(threshold: float, right: bool) -> None:
    chooser = Chooser(REGISTRY, FakeClassifier(), settings(confidence_threshold=threshold))
    [found] = await judge([a_labelled("", text="perhaps so")], chooser)
    assert (found.fell_back, found.right) == (right, right)


def test_a_fallback_to_the_right_use_case_is_right_and_no_other_is() -> None:
    assert Judged(a_labelled("agent"), "agent", 0.3, fell_back=True).right
    assert not Judged(a_labelled("stt"), "agent", 0.3, fell_back=True).right
