"""The chat: what stands where, and what happens on which key."""

import os
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, TextArea

from smart_router.tui import commands
from smart_router.tui.answering import Answering
from smart_router.tui.explaining import help_text
from smart_router.tui.hints import Hints, Kind, Notice
from smart_router.tui.keys import BINDINGS
from smart_router.tui.orders import Orders
from smart_router.tui.plain import one_line
from smart_router.tui.presence import AGAIN_S, Presence
from smart_router.tui.prompt import Prompt
from smart_router.tui.screens.choice import Choice
from smart_router.tui.screens.file import File
from smart_router.tui.screens.reading import Reading
from smart_router.tui.session_list import SessionList
from smart_router.tui.sessions import Sessions
from smart_router.tui.start import Start
from smart_router.tui.status import Status
from smart_router.tui.talks import Talks
from smart_router.tui.themes import TERMINAL, THEMES
from smart_router.tui.transcript import Transcript
from smart_router.tui.watching import Watching

WIDTHS: list[tuple[int, str]] = [(0, "-narrow"), (90, "-wide")]  # from so many columns on
HEIGHTS: list[tuple[int, str]] = [(0, "-low"), (24, "-high")]  # and lines


class ChatApp(App[None]):
    """`smart-router chat`."""

    TITLE = "smart-router chat"
    CSS_PATH = "chat.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*BINDINGS]
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS

    def __init__(self, start: Start) -> None:
        colourless = "NO_COLOR" in os.environ  # https://no-color.org: then what is chosen is reversed, not coloured
        super().__init__(ansi_color=True if colourless else None)
        themes = [TERMINAL] if colourless else [*THEMES, *start.themes]
        for theme in themes:
            self.register_theme(theme)
        self.theme_names = list(dict.fromkeys(theme.name for theme in themes))
        self.theme = TERMINAL.name if colourless else start.theme
        self.start = start
        self.client = start.connect(start.key)
        self.presence = Presence()
        self.talks = Talks(start.names)
        self.talk = self.talks.begin(start.session or start.new_id())
        self.answering = Answering(self)
        self.watching = Watching(self)
        self.sessions = Sessions(self)
        self.orders = Orders(self)

    def compose(self) -> ComposeResult:
        yield Status(self.start.url)
        with Horizontal():
            yield SessionList()
            with Vertical():
                yield Transcript()
                yield Hints()
                yield Notice()
                yield Prompt(lambda line: commands.completions(line, self.orders.arguments))
        yield Footer(compact=True)

    async def on_mount(self) -> None:
        self.prompt.focus()
        await self.sessions.open(self.talk)
        if self.start.troubles:
            self.say("\n".join(self.start.troubles), "warning")
        self.watching.look()
        self.set_interval(AGAIN_S, self.watching.look_again)

    async def on_unmount(self) -> None:
        await self.client.close()

    # parts of the screen

    @property
    def prompt(self) -> Prompt:
        return self._first.query_one(Prompt)

    @property
    def transcript(self) -> Transcript:
        return self._first.query_one(Transcript)

    @property
    def session_list(self) -> SessionList:
        return self._first.query_one(SessionList)

    @property
    def _first(self) -> Screen[object]:
        """The chat itself, whatever is open above it."""
        return self.screen_stack[0]

    def say(self, sentence: str, kind: Kind = "info") -> None:
        """It stays until the next message is sent."""
        self._first.query_one(Notice).say(sentence, kind)

    def refresh_around(self) -> None:
        """All but the turns."""
        talk = self.talk
        self.transcript.update_opening(talk)
        self._first.query_one(Status).show(talk.title, talk.use_case, self.presence.state)
        self.session_list.show(self.talks, talk)
        self.prompt.border_subtitle = Content(" + ".join(one_line(file.label, 50) for file in talk.pending))
        self.prompt.set_class(bool(talk.pending), "-attached")

    # messages and commands

    async def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        self.say("")
        match commands.read(event.text.strip()):
            case None:
                await self.answering.send(commands.message(event.text.strip()), typed=event.text)
            case commands.Unknown(name=name, meant=meant):
                advice = f"did you mean /{meant}?" if meant else "/help lists them; // begins a message with a slash"
                self.say(f"/{one_line(name, 40)} is no command: {advice}", "error")
            case commands.Order() as order:
                self.prompt.typed.add(event.text)
                self.prompt.put("")
                self.run_worker(self.orders.carry_out(order), group="orders")  # some wait for the router

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        if event.text_area is self.prompt:
            self._first.query_one(Hints).show(event.text_area.text)

    def on_prompt_scrolled(self, event: Prompt.Scrolled) -> None:
        if event.pages < 0:
            self.transcript.scroll_page_up(animate=False)
        else:
            self.transcript.scroll_page_down(animate=False)

    async def on_session_list_wanted(self, event: SessionList.Wanted) -> None:
        talk = self.talks.find(event.id)
        if talk is None:
            return
        if event.what == "open":
            await self.sessions.open(talk)
        elif event.what == "rename":
            self.sessions.ask_for_name(talk)
        else:
            self.sessions.ask_to_end(talk)

    # keys

    async def action_new(self) -> None:
        await self.sessions.new()

    def action_sessions(self) -> None:
        """To the list and back."""
        if self.session_list.has_focus:
            self.leave_list()
        else:
            self.screen.add_class("-listing")
            self.session_list.focus()

    def action_attach(self) -> None:
        def chosen(path: str | None) -> None:
            if path:
                self.run_worker(self.orders.attach(path), group="orders")

        self.push_screen(File(Path.cwd()), chosen)

    def action_theme(self) -> None:
        before = self.theme

        def chosen(name: str | None) -> None:
            self.theme = name or before

        self.push_screen(Choice("Theme", "", self.theme_names, before, self._try_theme), chosen)

    def _try_theme(self, name: str) -> None:
        self.theme = name

    async def action_clear(self) -> None:
        """What is being answered stays."""
        self.talk.turns = [turn for turn in self.talk.turns if turn.running]
        await self.transcript.show(self.talk)
        self.refresh_around()

    def action_help(self) -> None:
        self.push_screen(Reading("Help", help_text()))

    def action_stop(self) -> None:
        if self.session_list.has_focus:
            self.leave_list()
        else:
            self.answering.stop(self.talk)

    def action_help_quit(self) -> None:
        """Ctrl+C ends nothing by accident."""
        self.say("Ctrl+Q quits; Esc stops an answer.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dialogs have keys of their own; what quits and stops the program holds everywhere."""
        return len(self.screen_stack) == 1 or action not in _OF_THE_CHAT

    def leave_list(self) -> None:
        self._first.remove_class("-listing")
        self.prompt.focus()


_OF_THE_CHAT = {"new", "sessions", "attach", "theme", "clear", "help", "stop"}
