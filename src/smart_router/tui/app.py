"""The chat: what stands where, and what happens on which key."""

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.theme import Theme
from textual.widgets import Footer, TextArea
from textual.worker import Worker

from smart_router.client import AsyncClient, BadInput, Classification, ClientError, UnknownSession
from smart_router.tui import commands
from smart_router.tui.asking import Asking, Clock
from smart_router.tui.attaching import MOST, attached
from smart_router.tui.explaining import help_text, why_text
from smart_router.tui.hints import Hints, Kind, Notice
from smart_router.tui.keys import BINDINGS
from smart_router.tui.names import Names
from smart_router.tui.orders import Orders
from smart_router.tui.plain import one_line
from smart_router.tui.presence import AGAIN_S, Presence
from smart_router.tui.prompt import Prompt
from smart_router.tui.screens.choice import Choice
from smart_router.tui.screens.file import File
from smart_router.tui.screens.line import Line
from smart_router.tui.screens.reading import Reading
from smart_router.tui.session_list import SessionList
from smart_router.tui.status import Status
from smart_router.tui.talks import SESSION_ID, Talk, Talks
from smart_router.tui.themes import DEFAULT, TERMINAL, THEMES
from smart_router.tui.transcript import Transcript
from smart_router.tui.turns import Turn

MAX_TOKENS = 1024  # of an answer: the router's own default, 100, is short for a chat
WIDTHS: list[tuple[int, str]] = [(0, "-narrow"), (90, "-wide")]  # from so many columns on
HEIGHTS: list[tuple[int, str]] = [(0, "-low"), (24, "-high")]  # and lines
SHORT_OF_WORDS = "Describe what is attached."


@dataclass(frozen=True)
class Start:
    """What a chat begins with."""

    connect: Callable[[str | None], AsyncClient]  # with a key
    url: str
    key: str | None = None
    session: str | None = None
    theme: str = DEFAULT
    themes: Sequence[Theme] = ()  # beside ours
    troubles: Sequence[str] = ()  # to be told at the start
    names: Names = field(default_factory=lambda: Names(None))
    max_tokens: int = MAX_TOKENS
    clock: Clock = time.perf_counter
    new_id: Callable[[], str] = lambda: f"chat-{uuid.uuid4().hex[:12]}"


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
        self.orders = Orders(self)
        self._answering: dict[Turn, Worker[None]] = {}

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
        await self.open(self.talk)
        if self.start.troubles:
            self.say("\n".join(self.start.troubles), "warning")
        self.look()
        self.set_interval(AGAIN_S, self._look_again)

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
        """All but the transcript."""
        talk = self.talk
        self._first.query_one(Status).show(talk.title, talk.use_case, self.presence.state)
        self.session_list.show(self.talks, talk)
        self.prompt.border_subtitle = Content(" + ".join(one_line(file.label, 50) for file in talk.pending))
        self.prompt.set_class(bool(talk.pending), "-attached")

    # messages and commands

    async def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        self.say("")
        match commands.read(event.text.strip()):
            case None:
                await self.send(commands.message(event.text.strip()), typed=event.text)
            case commands.Unknown(name=name, meant=meant):
                advice = f"did you mean /{meant}?" if meant else "/help lists them; // begins a message with a slash"
                self.say(f"/{one_line(name, 40)} is no command: {advice}", "error")
            case commands.Order() as order:
                self.prompt.typed.add(event.text)
                self.prompt.put("")
                await self.orders.carry_out(order)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        if event.text_area is self.prompt:
            self._first.query_one(Hints).show(event.text_area.text)

    def on_prompt_scrolled(self, event: Prompt.Scrolled) -> None:
        if event.pages < 0:
            self.transcript.scroll_page_up(animate=False)
        else:
            self.transcript.scroll_page_down(animate=False)

    async def send(self, question: str, *, typed: str) -> None:
        talk = self.talk
        if talk.running:
            self.say(
                "An answer is being written: wait for its end, or stop it with Esc. Your message stays.", "warning"
            )
            return
        if not question and not talk.pending:
            return
        self.prompt.typed.add(typed)
        self.prompt.put("")
        turn = Turn(question or SHORT_OF_WORDS, talk.pending, talk.use_case)
        talk.pending = ()
        talk.add(turn)
        await self.transcript.show(talk)
        self._answering[turn] = self._exchange(talk, turn)
        self.refresh_around()

    @work(group="exchange")
    async def _exchange(self, talk: Talk, turn: Turn) -> None:
        asking = Asking(talk, turn, self.start.clock, lambda: self.transcript.update_turn(turn))
        try:
            await asking.run(self.client, self.start.max_tokens)
        finally:
            self._answering.pop(turn, None)
            if turn.state == "failed" or not turn.text:
                self._give_back(talk, turn)
            self.refresh_around()
        self._after(asking.failure)

    def _after(self, failure: ClientError | None) -> None:
        if failure is None:
            self.look()
            return
        self.presence.failed(failure)
        self.refresh_around()
        self._ask_for_key_if_locked()

    def _give_back(self, talk: Talk, turn: Turn) -> None:
        """What was typed is where it came from, unless something else has been begun there."""
        talk.pending = (*turn.attached, *talk.pending)[:MOST]
        if talk is not self.talk:
            talk.draft = talk.draft or turn.question
        elif not self.prompt.text:
            self.prompt.put(turn.question)

    # the router

    @work(group="look", exclusive=True)
    async def look(self) -> None:
        """Is it there, and which sessions has it?"""
        before = self.presence.state
        await self.presence.look(self.client)
        if self.presence.sessions is not None:
            self.talks.told(self.presence.sessions)
        self._tell(before)
        self.refresh_around()

    def _tell(self, before: str) -> None:
        now, trouble = self.presence.state, self.presence.trouble
        if now == "away" and before != "away":
            self.say(f"{trouble}. It is looked for every {AGAIN_S:g} s.", "error")
        elif now == "connected" and before in ("away", "locked"):
            self.say("The router is there.")
        elif now == "connected" and trouble:
            self.say(trouble, "warning")
        self._ask_for_key_if_locked()

    def _look_again(self) -> None:
        looking = any(worker.group == "look" and not worker.is_finished for worker in self.workers)
        if self.presence.state == "away" and not looking:
            self.look()

    def _ask_for_key_if_locked(self) -> None:
        if self.presence.state != "locked" or len(self.screen_stack) > 1:
            return
        sentence = f"{self.start.url} says: {self.presence.trouble}. The key is kept until you quit, and nowhere else."
        self.push_screen(Line("This router wants a key", sentence, secret=True), self._with_key)

    def _with_key(self, key: str | None) -> None:
        if not key:
            self.say("Without a key this router answers nobody: give one with --key or API_KEY, or send to be asked.")
            return
        try:
            former, self.client = self.client, self.start.connect(key)
        except BadInput as exc:
            self.say(str(exc), "error")
            return
        self.run_worker(former.close())
        self.look()

    # sessions

    async def open(self, talk: Talk) -> None:
        self.talk.draft, self.talk = self.prompt.text, talk
        self.talks.use(talk)
        self.prompt.put(talk.draft)
        await self.transcript.show(talk)
        self.refresh_around()
        self.screen.remove_class("-listing")
        self.prompt.focus()

    async def new(self, name: str = "") -> None:
        talk = self.talks.begin(self.start.new_id())
        if name:
            self.rename(talk, name)
        await self.open(talk)

    async def open_named(self, named: str) -> None:
        talk = self.talks.find(named)
        if talk is None and not SESSION_ID.fullmatch(named):
            await self.new(named)
            return
        await self.open(talk or self.talks.begin(named))

    def rename(self, talk: Talk, name: str) -> None:
        talk.name = one_line(name)
        try:
            self.start.names.give(talk.id, talk.name)
        except OSError as exc:
            self.say(f"the name holds until you quit; it could not be written down: {exc}", "warning")
        self.refresh_around()

    def ask_for_name(self, talk: Talk) -> None:
        def named(name: str | None) -> None:
            if name:
                self.rename(talk, name)

        self.push_screen(Line("Name this session", f"It is {talk.title} now.", talk.name), named)

    def ask_to_end(self, talk: Talk) -> None:
        def answered(chosen: str | None) -> None:
            if chosen == "End it":
                self.end(talk)

        sentence = f"{talk.title}: the router forgets what was said in it, and it goes from the list."
        self.push_screen(Choice("End this session?", sentence, ["Keep it", "End it"], "Keep it"), answered)

    @work
    async def end(self, talk: Talk) -> None:
        if talk.running:
            self._stop(talk)
        try:
            await self.client.end_session(talk.id)
        except UnknownSession:
            pass  # never begun, expired, or ended elsewhere: it is what was wanted
        except ClientError as exc:
            self.say(f"{talk.title} was not ended: {exc}", "error")
            return
        self.talks.drop(talk)
        self.start.names.forget(talk.id)
        if talk is self.talk:
            await self.new()
        self.say(f"Ended {talk.title}.")
        self.look()

    async def on_session_list_wanted(self, event: SessionList.Wanted) -> None:
        talk = self.talks.find(event.id)
        if talk is None:
            return
        if event.what == "open":
            await self.open(talk)
        elif event.what == "rename":
            self.ask_for_name(talk)
        else:
            self.ask_to_end(talk)

    # attachments

    @work
    async def attach(self, named: str) -> None:
        talk = self.talk
        if len(talk.pending) >= MOST:
            self.say(f"{MOST} files are attached already; send them, or take them away with /attach none", "error")
            return
        try:
            talk.pending = (*talk.pending, await asyncio.to_thread(attached, named))
        except BadInput as exc:
            self.say(str(exc), "error")
        self.refresh_around()

    def detach(self) -> None:
        self.talk.pending = ()
        self.refresh_around()

    # why

    @work
    async def explain(self) -> None:
        turn = self.talk.latest
        if turn is None or turn.decision is None:
            self.say("Nothing was decided in this session yet: send something first.", "warning")
            return
        self.push_screen(Reading("Why", why_text(turn, turn.decision, await self._asked_again(turn))))

    async def _asked_again(self, turn: Turn) -> Classification | str:
        try:
            return await self.client.classify(
                turn.question,
                session_id=self.talk.id,
                attachments=[file.attachment for file in turn.attached] or None,
            )
        except ClientError as exc:
            return f"The scores cannot be had: {exc}"

    # keys

    async def action_new(self) -> None:
        await self.new()

    def action_sessions(self) -> None:
        """To the list and back."""
        if self.session_list.has_focus:
            self._leave_list()
        else:
            self.screen.add_class("-listing")
            self.session_list.focus()

    def action_attach(self) -> None:
        def chosen(path: str | None) -> None:
            if path:
                self.attach(path)

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
            self._leave_list()
        else:
            self._stop(self.talk)

    def action_help_quit(self) -> None:
        """Ctrl+C ends nothing by accident."""
        self.say("Ctrl+Q quits; Esc stops an answer.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dialogs have keys of their own; what quits and stops the program holds everywhere."""
        return len(self.screen_stack) == 1 or action not in _OF_THE_CHAT

    def _leave_list(self) -> None:
        self.screen.remove_class("-listing")
        self.prompt.focus()

    def _stop(self, talk: Talk) -> None:
        if turn := talk.running:
            self._answering[turn].cancel()


_OF_THE_CHAT = {"new", "sessions", "attach", "theme", "clear", "help", "stop"}
