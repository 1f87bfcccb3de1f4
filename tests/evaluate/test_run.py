"""Labelled files through the router as it is configured."""

import json
from pathlib import Path
from typing import Any

import pytest

from smart_router.errors import ConfigurationError
from smart_router.evaluate import run
from smart_router.evaluate.run import Evaluation, evaluated
from tests.choosing import REGISTRY, FakeClassifier
from tests.fakes import settings

pytestmark = pytest.mark.usefixtures("bare_environment")

QUERIES = [
    {"text": "please transcribe it", "label": "stt"},
    {"text": "Hi", "label": "multimodal", "modality": "image"},
    {"text": "Hi", "label": ""},
]
TURNS = [{"text": "Hi", "label": "agent"}, {"text": "and now?", "label": "agent"}]
SESSIONS = [{"turns": TURNS, "source": "a:1"}, {"turns": TURNS, "source": "b:1"}]


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> FakeClassifier:
    found = FakeClassifier()
    monkeypatch.setattr(run, "open_classifier", lambda registry, settings: found)
    return found


def write(folder: Path, name: str, lines: list[Any]) -> Path:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


async def of(*paths: Path, compare: bool = False) -> list[Evaluation]:
    return await evaluated(REGISTRY, settings(), paths, compare=compare)


async def test_queries_are_judged(tmp_path: Path, classifier: FakeClassifier) -> None:
    [found] = await of(write(tmp_path, "queries.jsonl", QUERIES))
    assert [one.chosen for one in found.judged] == ["stt", "multimodal", "agent"]
    assert (found.rows[0].right, found.rows[0].total, found.session_rows) == (2, 3, [])


async def test_text_only_are_those_that_words_decide(tmp_path: Path, classifier: FakeClassifier) -> None:
    [found] = await of(write(tmp_path, "queries.jsonl", QUERIES))
    assert [one.query.text for one in found.text_only] == ["please transcribe it"]


async def test_conversations_are_judged_by_source_and_all_together(tmp_path: Path, classifier: FakeClassifier) -> None:
    [found] = await of(write(tmp_path, "sessions.jsonl", SESSIONS))
    assert [(row.policy, row.part, row.turns) for row in found.session_rows] == [
        ("realtime", "all", 2),
        ("realtime", "a", 1),
        ("realtime", "b", 1),
    ]
    assert (found.judged, found.rows) == ([], [])
    assert found.session_rows[0].bypassed == 1.0


async def test_one_source_needs_no_row_of_its_own(tmp_path: Path, classifier: FakeClassifier) -> None:
    [found] = await of(write(tmp_path, "sessions.jsonl", SESSIONS[:1]))
    assert [row.part for row in found.session_rows] == ["all"]


async def test_to_compare_is_to_run_every_policy(tmp_path: Path, classifier: FakeClassifier) -> None:
    [found] = await of(write(tmp_path, "sessions.jsonl", SESSIONS[:1]), compare=True)
    assert [row.policy for row in found.session_rows] == [
        "realtime", "standard", "sticky", "every turn", "margin 0.4", "margin 0.8",
    ]  # fmt: skip
    bypassed = {row.policy: row.bypassed for row in found.session_rows}
    assert (bypassed["realtime"], bypassed["standard"]) == (1.0, 0.0), "whatever ROUTING_MODE is"


async def test_how_far_it_is_is_heard_after_every_query_and_conversation(
    tmp_path: Path, classifier: FakeClassifier
) -> None:
    paths = write(tmp_path, "s.jsonl", SESSIONS), write(tmp_path, "q.jsonl", QUERIES)
    heard: list[tuple[int, int]] = []
    await evaluated(REGISTRY, settings(), paths, compare=False, progress=lambda done, of: heard.append((done, of)))
    assert heard == [(number, 5) for number in range(1, 6)]


async def test_both_kinds_of_files_may_be_given_in_any_order(tmp_path: Path, classifier: FakeClassifier) -> None:
    paths = write(tmp_path, "s.jsonl", SESSIONS), write(tmp_path, "q.jsonl", QUERIES)
    found = await of(*paths)
    assert [(one.path, bool(one.judged), bool(one.session_rows)) for one in found] == [
        (paths[0], False, True),
        (paths[1], True, False),
    ]


async def test_a_wrong_file_is_told_before_anything_is_run(tmp_path: Path, classifier: FakeClassifier) -> None:
    with pytest.raises(ConfigurationError, match=r"q\.jsonl:1: not a labelled query"):
        await of(write(tmp_path, "s.jsonl", SESSIONS), write(tmp_path, "q.jsonl", [5]))
    assert (classifier.classified, classifier.guarded) == ([], [])


async def test_the_classifier_is_closed_whatever_happens(tmp_path: Path, classifier: FakeClassifier) -> None:
    path = write(tmp_path, "q.jsonl", QUERIES)
    await of(path)
    assert not classifier.running
    classifier.failure = RuntimeError("broken")
    with pytest.raises(RuntimeError, match="broken"):
        await of(path)
    assert not classifier.running
