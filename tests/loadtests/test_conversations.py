"""The conversations that load is made of, and the files that they are read from."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from loadtests.conversations import FEWEST, MOST, USE_CASES, Unreadable, about, load

CONVERSATIONS = load()


def a_file(folder: Path, turns: str) -> Path:
    lines = ["language: en", "conversations:", "- name: one", "  about: agent", f"  turns: {turns}"]
    (folder / "one.yaml").write_text("\n".join(lines))
    return folder


def test_there_are_sixty_of_three_to_eight_turns() -> None:
    assert len(CONVERSATIONS) >= 60
    assert all(FEWEST <= len(conversation.turns) <= MOST for conversation in CONVERSATIONS)


def test_every_use_case_is_talked_about() -> None:
    assert {turn.about for conversation in CONVERSATIONS for turn in conversation.turns} == set(USE_CASES)


def test_five_languages_are_spoken() -> None:
    spoken = Counter(conversation.language for conversation in CONVERSATIONS)
    assert set(spoken) == {"en", "hi", "hi-Latn", "ta", "bn"}
    assert min(spoken.values()) >= 8


def test_some_switch_with_a_file_some_by_words_alone() -> None:
    changes = [
        after
        for conversation in CONVERSATIONS
        for before, after in pairwise(conversation.turns)
        if before.about != after.about
    ]
    with_file = [turn for turn in changes if turn.attach]
    assert len(changes) >= 10
    assert 0 < len(with_file) < len(changes)


def test_no_two_turns_of_a_conversation_and_no_two_openings_are_the_same() -> None:
    openings = [conversation.turns[0].say for conversation in CONVERSATIONS]
    assert len(set(openings)) == len(openings)
    assert all(len({turn.say for turn in one.turns}) == len(one.turns) for one in CONVERSATIONS)


def test_a_turn_goes_on_with_what_the_one_before_was_about(tmp_path: Path) -> None:
    [one] = load(a_file(tmp_path, "[a, {say: b, about: tts}, c]"))
    assert [turn.about for turn in one.turns] == ["agent", "tts", "tts"]
    assert one.switches


def test_only_conversations_about_what_is_asked_for_are_kept() -> None:
    kept = about(CONVERSATIONS, frozenset({"agent"}))
    assert kept
    assert {turn.about for conversation in kept for turn in conversation.turns} == {"agent"}


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ("[a, b]", r"has 2 turns; give it 3 to 8"),
        ("[a, {say: b, about: dance}, c]", r"turns\[1\]: about 'dance': must be one of agent"),
        ("[a, b, {say: c, attach: smell}]", r"turns\[2\]: attach 'smell': must be one of"),
        ("[a, b, {say: c, mood: bad}]", r"turns\[2\]: mood: a turn has say, about, attach and modality"),
        ("[a, b, {about: agent}]", r"turns\[2\]: say: is missing"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(tmp_path: Path, turns: str, says: str) -> None:
    with pytest.raises(Unreadable, match=rf"one\.yaml: conversations\[0\].*{says}"):
        load(a_file(tmp_path, turns))
