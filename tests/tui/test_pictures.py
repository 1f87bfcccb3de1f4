"""
How it looks. Where a change is meant: `pytest tests/tui/test_pictures.py --snapshot-update`, `python -m
tests.tui.pictures`, and look at what has changed.
"""

from collections.abc import Awaitable, Callable

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.color import Color

from smart_router.tui.asking import FORGOTTEN
from smart_router.tui.palette import READABLE, contrast
from tests.tui.driving import Chat, a_chat
from tests.tui.fakes import FakeRouter, Reply
from tests.tui.pictures import AWAY, IMAGES, IN_DOCS, SCREENSHOT, SESSIONS, SORT, choices, conversations, small, trouble


class Picture(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "svg"


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(Picture)


async def test_a_conversation_looks_so_in_every_theme(picture: SnapshotAssertion) -> None:
    for theme, svg in (await conversations()).items():
        assert svg == picture(name=theme)
        assert theme not in IN_DOCS or (IMAGES / IN_DOCS[theme]).read_text() == svg, "python -m tests.tui.pictures"


@pytest.mark.parametrize("scene", [small, trouble, choices], ids=lambda scene: scene.__name__)
async def test_it_looks_so(scene: Callable[[], Awaitable[dict[str, str]]], picture: SnapshotAssertion) -> None:
    for state, svg in (await scene()).items():
        assert svg == picture(name=state)


TABLE = "\n# One\n\n## Two\n\n###### Six\n\n> quoted\n\n| a | b |\n|---|---|\n| `1` | [x](https://example.org) |\n"


@pytest.mark.timeout(180)  # draws a large screen again and again
async def test_all_text_stands_out_in_all_themes_of_ours() -> None:
    router = FakeRouter([Reply([SORT + TABLE]), Reply(refuse=AWAY)], list(SESSIONS))
    async with a_chat(router, (90, 40)) as chat:
        await chat.send("Sort")
        chat.turns[0].notes.append(FORGOTTEN)
        await chat.send("More")
        chat.app.talk.pending = (SCREENSHOT,)
        chat.app.prompt.put("/se")
        chat.app.say("A warning", "warning")
        chat.app.session_list.focus()
        await _check(chat, "night", "ember", "paper", "mist")
        chat.app.action_theme()
        await _check(chat, "mist", "ember")
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
