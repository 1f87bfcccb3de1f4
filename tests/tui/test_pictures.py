"""
How it looks. Where a change is meant: `pytest tests/tui/test_pictures.py --snapshot-update`, `python -m
tests.tui.pictures`, and look at what has changed.
"""

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.color import Color

from smart_router.tui.asking import FORGOTTEN
from smart_router.tui.palette import READABLE, contrast
from smart_router.tui.themes import THEMES
from tests.tui.driving import Chat, a_chat
from tests.tui.fakes import FakeRouter, Reply
from tests.tui.pictures import AWAY, IMAGES, IN_DOCS, SCREENSHOT, SESSIONS, SORT, STATES, conversation


class Picture(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "svg"


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(Picture)


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_a_conversation_looks_so_in_every_theme(theme: str, picture: SnapshotAssertion) -> None:
    svg = await conversation(theme)
    assert svg == picture
    assert theme not in IN_DOCS or (IMAGES / IN_DOCS[theme]).read_text() == svg, "python -m tests.tui.pictures"


@pytest.mark.parametrize("state", STATES)
async def test_a_state_looks_so(state: str, picture: SnapshotAssertion) -> None:
    assert await STATES[state]() == picture


TABLE = "\n# One\n\n## Two\n\n###### Six\n\n> quoted\n\n| a | b |\n|---|---|\n| `1` | [x](https://example.org) |\n"


async def test_all_text_stands_out_in_all_themes_of_ours() -> None:
    router = FakeRouter([Reply([SORT + TABLE]), Reply(refuse=AWAY)], list(SESSIONS))
    async with a_chat(router, (90, 52)) as chat:
        await chat.send("Sort")
        chat.turns[0].notes.append(FORGOTTEN)
        await chat.send("More")
        chat.app.talk.pending = (SCREENSHOT,)
        chat.app.prompt.put("/se")
        chat.app.say("A warning", "warning")
        chat.app.session_list.focus()
        await _check(chat, "night", "ember", "paper", "mist")
        chat.app.action_theme()
        await _check(chat, "night", "ember", "paper", "mist")
        await chat.press("escape")
        chat.app.action_attach()
        await _check(chat, "night", "paper")


async def _check(chat: Chat, *themes: str) -> None:
    for theme in themes:
        chat.app.theme = theme
        await chat.pilot.pause()
        assert _faint(chat) == [], theme


def _faint(chat: Chat) -> list[str]:
    """Words on the screen that are hard to read, with their colours."""
    found = []
    dialog = chat.app.screen.query(".dialog")
    x, y, width, height = dialog.first().region if dialog else chat.app.screen.region  # what is below one is dimmed
    for strip in chat.app.screen._compositor.render_strips()[y : y + height]:
        for text, style, _ in strip.crop(x, x + width):
            ink, ground = (style.color, style.bgcolor) if style else (None, None)
            if not any(letter.isalnum() for letter in text):
                continue
            assert ink is not None and ground is not None, text
            colours = (Color.from_rich_color(ink), Color.from_rich_color(ground))
            if contrast(*colours) < READABLE:
                found.append(f"{text!r}: {colours[0].hex} on {colours[1].hex}: {contrast(*colours):.2f}")
    return found
